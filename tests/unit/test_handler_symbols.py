"""The signal handler calls nothing that allocates, locks, or belongs to Python's API.

``csrc/handler_objects.txt`` says what the handler is made of, and what it may call outside of that:

    object capture.c                  # a source file, relative to csrc
    entry  sp_capture                 # a function that runs in the handler: a root of the search
    allow  memcpy                     # why it is safe there

Every object is compiled as the extension is, one section for each function. The search follows the relocations from
the entries: calls, function pointers whose address is taken, tables of data. What it reaches outside of the objects
must be allowed, with a reason. Calls through a pointer that is set at run time cannot be followed: their targets are
entries as well. Without any entry every function of the objects counts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "csrc" / "handler_objects.txt"

#: No function: how position independent code finds its data.
LINKER_SYMBOLS = {"_GLOBAL_OFFSET_TABLE_"}


class HandlerList(NamedTuple):
    """The parsed file."""

    objects: list[str]
    entries: list[str]
    allowed: dict[str, str]


def parse(text: str) -> HandlerList:
    """Read the list; ValueError names the first bad line."""
    result = HandlerList([], [], {})
    for number, line in enumerate(text.splitlines(), 1):
        words, _, reason = line.partition("#")
        if not words.strip():
            continue
        kind, *rest = words.split()
        if kind not in {"object", "entry", "allow"} or len(rest) != 1:
            raise ValueError(f"line {number}: expected 'object FILE', 'entry FUNCTION' or 'allow SYMBOL  # reason'")
        if kind == "object":
            result.objects.append(rest[0])
        elif kind == "entry":
            result.entries.append(rest[0])
        elif not reason.strip():
            raise ValueError(f"line {number}: {rest[0]} is allowed without a reason")
        else:
            result.allowed[rest[0]] = reason.strip()
    return result


def tool(name: str) -> str:
    """A program of the compiler's kit; without it this test cannot say anything, so it fails."""
    path = shutil.which(name)
    assert path, f"{name} is needed"
    return path


def compiled(source: Path, csrc: Path, target: Path) -> Path:
    """Compile one file with the extension's flags, functions and data in sections of their own."""
    compiler = os.environ.get("CC", "").split() or [tool("cc")]
    paths = sysconfig.get_paths()
    includes = {f"-I{csrc}", f"-I{paths['include']}", f"-I{paths['platinclude']}"}
    flags = ["-std=gnu11", "-O2", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-D_GNU_SOURCE"]
    flags += ["-ffunction-sections", "-fdata-sections", "-fno-jump-tables"]  # one section, one thing
    command = [*compiler, *flags, *sorted(includes), "-c", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


class Symbol(NamedTuple):
    """One row of a symbol table; section 0 is "not here"."""

    name: str
    section: int
    is_global: bool


class Object:
    """What the search needs to know of an object file."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        listing = subprocess.run(
            [tool("readelf"), "-SsrW", str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
        self.sections = {name: int(n) for n, name in re.findall(r"^ +\[ *(\d+)\] (\S+)", listing, re.MULTILINE)}
        self.symbols: dict[int, Symbol] = {}
        self.relocations: dict[int, list[int]] = {}  # section -> symbols that it refers to
        source = 0
        for line in listing.splitlines():
            words = line.split()
            heading = re.match(r"Relocation section '\.rela?(\.\S+)'", line)
            if heading:
                source = self.sections.get(heading.group(1), 0)
            elif re.match(r" +\d+: ", line):
                section = int(words[6]) if words[6].isdigit() else 0
                name = words[7] if len(words) > 7 else ""
                self.symbols[int(words[0][:-1])] = Symbol(name, section, words[4] != "LOCAL")
            elif len(words) >= 3 and words[2].startswith("R_"):
                self.relocations.setdefault(source, []).append(int(words[1], 16) >> (32 if len(words[1]) > 8 else 8))

    def titled(self, section: int) -> str:
        """A section's function or variable."""
        name = next(name for name, number in self.sections.items() if number == section)
        return f"{self.name}:{re.sub(r'^[.](text|data|bss|rodata|tbss|tdata)[.]', '', name)}"


def forbidden(objects: list[Object], entries: list[str], allowed: set[str]) -> list[str]:
    """The chains of references that lead from the entries to symbols that are not allowed."""
    home = {s.name: (o, s.section) for o in objects for s in o.symbols.values() if s.is_global and s.section}
    local = {s.name: (o, s.section) for o in objects for s in o.symbols.values() if s.name and s.section}
    missing = [f"there is no function {entry} in the objects" for entry in entries if entry not in local]
    todo = [local[entry] for entry in entries if entry in local]
    if not entries:
        todo = [(o, n) for o in objects for name, n in o.sections.items() if name.startswith(".text")]
    chains = {(o.name, n): o.titled(n) for o, n in todo}
    found = []
    while todo:
        here, section = todo.pop(0)
        chain = chains[here.name, section]
        for number in here.relocations.get(section, ()):
            symbol = here.symbols[number]
            target = (here, symbol.section) if symbol.section else home.get(symbol.name)
            if target is None:
                if symbol.name not in allowed | LINKER_SYMBOLS:
                    found.append(f"{chain} -> {symbol.name}")
            elif (target[0].name, target[1]) not in chains:
                chains[target[0].name, target[1]] = f"{chain} -> {target[0].titled(target[1])}"
                todo.append(target)
    return missing + sorted(set(found))


def check(handler: HandlerList, csrc: Path, build: Path) -> list[str]:
    """Compile and search."""
    objects = []
    for number, name in enumerate(handler.objects):
        objects.append(Object(name, compiled(csrc / name, csrc, build / f"{number}.o")))
    return forbidden(objects, handler.entries, set(handler.allowed))


def test_handler(tmp_path: Path) -> None:
    handler = parse(LIST.read_text(encoding="utf-8"))
    assert "capture.c" in handler.objects
    found = check(handler, ROOT / "csrc", tmp_path)
    assert not found, "\n".join(["the handler refers to what csrc/handler_objects.txt does not allow:", *found])


# ---- the check itself

SOURCES = {
    "a.c": """
        #include <stdlib.h>
        #include <string.h>
        extern int helper(int);
        extern void *callback(void);
        static __attribute__((noinline)) int quiet(int x) { char b[64]; memset(b, x, (size_t)x); return helper(b[x]); }
        int entry(int x) { return quiet(x) + 1; }
        void *set_up(void) { return malloc(10); }
        static void *(*const table[])(void) = {callback, set_up};
        void *by_table(int i) { return table[i](); }
    """,
    "b.c": """
        #include <stdio.h>
        int helper(int x) { return x * 3; }
        void *callback(void) { return stdout; }
        void shout(const char *s) { puts(s); }
        __attribute__((weak)) extern int perhaps(void);
        int maybe(void) { return perhaps ? perhaps() : 0; }
        extern __thread int elsewhere;
        int thread_local(void) { return elsewhere; }
    """,
}


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("entry entry\nallow memset # pure", []),
        ("entry entry", ["a.c:entry -> a.c:quiet -> memset"]),
        ("entry set_up", ["a.c:set_up -> malloc"]),
        ("entry shout", ["b.c:shout -> puts"]),
        ("entry maybe", ["b.c:maybe -> perhaps"]),
        ("entry gone", ["there is no function gone in the objects"]),
        ("allow memset # a\nallow malloc # b\nallow puts # c\nallow stdout # d", ["b.c:maybe -> perhaps"]),
    ],
)
def test_search(tmp_path: Path, lines: str, found: list[str]) -> None:
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    handler = parse(f"object a.c\nobject b.c\n{lines}\nallow elsewhere # e\nallow __tls_get_addr # f\n")
    assert check(handler, tmp_path, tmp_path) == found


def test_search_follows_tables_and_sees_the_loader(tmp_path: Path) -> None:
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = check(parse("object a.c\nobject b.c\nentry by_table\nentry thread_local"), tmp_path, tmp_path)
    ends = {chain.rpartition(" -> ")[2] for chain in found}
    # the general model for thread-local variables calls the loader (or its descriptor), which may allocate
    assert {"malloc", "stdout", "elsewhere"} <= ends


@pytest.mark.parametrize("line", ["allow memcpy", "allow memcpy #", "object", "entry a b", "permit x # y"])
def test_bad_lines(line: str) -> None:
    with pytest.raises(ValueError, match="line 2: "):
        parse(f"# a comment\n{line}\n")
