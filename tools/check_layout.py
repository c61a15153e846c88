"""Check that the source tree keeps its directions: who may include or import whom.

Usage: ``python tools/check_layout.py [ROOT]``. Prints one line per offence and exits with 1 if there is any.
The tables below are the architecture's law; a change to them is a decision, not a repair.
"""

from __future__ import annotations

import ast
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# ---------------------------------------------------------------------------------------------------------- C

#: Of the C11 standard library. <signal.h> is left out on purpose: what anyone wants of it is POSIX's part.
C_HEADERS = re.compile(
    r"(assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|stdalign|stdarg|stdatomic"
    r"|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|time|uchar|wchar|wctype)\.h"
)
PYTHON_HEADERS = (
    "Python.h",
    "internal/*",
    "cpython/*",
    "pycore_*.h",
    "code.h",
    "frameobject.h",
    "opcode*.h",
    "patchlevel.h",
    "pythread.h",
    "structmember.h",
)


class Row(NamedTuple):
    """What files of a kind may include, as patterns.

    A header of ours is written ``folder/name.h`` (``./name.h`` directly in csrc), any other ``c:``, ``python:`` or
    ``os:`` and its name. ``must_not`` takes away again from ``may``.
    """

    files: str
    may: tuple[str, ...]
    must_not: tuple[str, ...] = ()


#: The first row whose pattern fits a file counts.
INCLUDES = (
    Row("core/*", ("c:*", "core/*")),
    Row("native/*", ("c:*", "core/*", "native/*")),
    Row("cpython/*", ("c:*", "python:*", "core/*", "cpython/*")),
    Row("os/*", ("c:*", "os:*", "core/*", "os/*")),
    # The handler: what allocates, prints or blocks is not even declared there (by our headers at least).
    Row(
        "./capture.c",
        ("c:*", "core/*", "native/*", "cpython/*", "os/*", "./*"),
        ("c:stdio.h", "c:stdlib.h", "cpython/access*"),
    ),
    Row(
        "ext/*",
        ("c:*", "python:*", "core/*", "native/*", "cpython/*", "ext/*", "./*"),
        ("core/ring.h", "cpython/access*"),
    ),
    # The life cycle owns locks, and C11's <threads.h> is missing where pthreads are not.
    Row("./*", ("c:*", "os:pthread.h", "core/*", "native/*", "cpython/*", "os/*", "./*"), ("cpython/access*",)),
)

#: Words that may appear only in files that the pattern fits, and why.
WORDS = (
    (("PY_VERSION_HEX", "PY_MAJOR_VERSION", "PY_MINOR_VERSION", "Py_BUILD_CORE_MODULE", "Py_BUILD_CORE"),
     "cpython/*", "differences between Python versions have one home"),
    (("__linux__", "__gnu_linux__", "__ANDROID__", "__APPLE__", "__FreeBSD__", "__unix__", "__GLIBC__", "_WIN32"),
     "os/*", "differences between systems are files there, chosen by the build"),
)  # fmt: skip

_NOISE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)


def _without_noise(text: str) -> str:
    """A C file without comments and literals, every line still on its line."""
    return _NOISE.sub(lambda match: "\n" * match.group().count("\n") or " ", text)


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _relative(path: Path, csrc: Path) -> str:
    name = path.relative_to(csrc).as_posix()
    return name if "/" in name else f"./{name}"


def _shown(name: str) -> str:
    """A name or pattern of the table as a path of the tree."""
    return f"csrc/{name.removeprefix('./')}"


def _included(csrc: Path, file: Path, quote: str, header: str) -> str | None:
    """The name that the table knows a header by; None for one of ours that does not exist."""
    if quote == '"':
        for folder in (file.parent, csrc):
            path = (folder / header).resolve()
            if path.is_file() and csrc.resolve() in path.parents:
                return _relative(path, csrc.resolve())
        if not _fits(header, PYTHON_HEADERS):
            return None
    if C_HEADERS.fullmatch(header):
        return f"c:{header}"
    return f"python:{header}" if _fits(header, PYTHON_HEADERS) else f"os:{header}"


def c_offences(csrc: Path) -> Iterator[str]:
    """Offences against INCLUDES and WORDS."""
    for file in sorted(path for path in csrc.rglob("*") if path.suffix in {".c", ".h"}):
        name = _relative(file, csrc)
        text = file.read_text(encoding="utf-8")
        row = next((row for row in INCLUDES if fnmatchcase(name, row.files)), None)
        if row is None:
            yield f"{_shown(name)}: its folder is not in the table of tools/check_layout.py"
            continue
        for match in _INCLUDE.finditer(text):
            where = f"{_shown(name)}:{text.count(chr(10), 0, match.start()) + 1}"
            target = _included(csrc, file, match.group(1), match.group(2))
            if target is None:
                yield f"{where}: there is no {match.group(2)} in its folder or in csrc/"
            elif not _fits(target, row.may) or _fits(target, row.must_not):
                allowed = ", ".join(row.may) + (f", not {', '.join(row.must_not)}" if row.must_not else "")
                yield f"{where}: {_shown(row.files)} may not include {target} (only {allowed})"
        bare = _without_noise(text)
        for words, home, why in WORDS:
            if not fnmatchcase(name, home):
                for match in re.finditer(rf"\b(?:{'|'.join(words)})\b", bare):
                    line = bare.count("\n", 0, match.start()) + 1
                    yield f"{_shown(name)}:{line}: {match.group()} belongs in {_shown(home)}: {why}"


# ----------------------------------------------------------------------------------------------------- Python

#: The parts of the package by module, relative to spprof. Every module belongs to one.
PARTS = {
    "front": ("__init__",),
    "model": (
        "_model",
        "_base",
        "_tree",
        "_rows",
        "_profile",
        "_aggregate",
        "_functions",
        "_questions",
        "_walk",
        "_analysis",
        "_analysis.*",
        "_stats",
        "_errors",
        "_task_summary",
        "_build",
        "_code",
        "_native_frames",
        "_version",
    ),
    "export": ("export", "export.*", "reading", "reading.*"),  # formats, both ways
    "sampler": ("_backend", "_fallback", "_fallback_*"),
    "session": (
        "_session",
        "_loading",
        "_threads",
        "_scoped",
        "_unwinding",
        "_qualnames",
        "_helper",
        "_tasks",
        "_task_r*",
        "_stream",
        "_growing",
    ),
    "symbols": ("_symbols", "_symbols.*"),
    "notebook": ("_magics",),
    "cli": ("cli", "cli.*", "__main__"),
    "pytest": ("_pytest_plugin", "_testruns", "_testruns.*"),
}
#: What each part may import of the others; its own modules always. `_native` is a part of its own.
IMPORTS = {
    "front": {"model", "session", "sampler", "notebook"},
    "model": {"export", "symbols"},  # Profile.save(), names of native frames; see LATE
    "export": {"model"},
    "sampler": set(),
    "session": {"sampler", "model", "export", "symbols"},
    "symbols": set(),
    "notebook": {"session", "model", "export"},
    "cli": {"front", "sampler", "session", "model", "export"},
    "pytest": {"front", "sampler", "session", "model", "export"},  # loaded by pytest alone
}
#: Imports that may only happen inside a function: the two parts need each other to load, or few programs need the other.
LATE = {("model", "export"), ("model", "symbols"), ("session", "symbols")}
#: Parts whose private names (`_x`, or anything in a module `_x`) nobody else uses.
CLOSED = {"export"}
NATIVE = "_native"
NATIVE_IMPORTER = "_backend"
#: Beside the standard library, and only inside functions.
OTHER_PACKAGES = {"model": {"pandas"}, "notebook": {"IPython"}, "cli": {"rich", "shtab"}}
#: An injected module hands over to the one that it hides; a plugin has its host.
EXEMPT = {
    ("cli._inject.sitecustomize", "sitecustomize"),
    ("cli._follow.sitecustomize", "sitecustomize"),
    ("_pytest_plugin", "pytest"),
    ("_testruns.options", "pytest"),
    ("_testruns.plugin", "pytest"),
}


class Import(NamedTuple):
    """One imported module (relative to spprof, or of another package) and the name taken out of it."""

    line: int
    module: str
    name: str | None
    ours: bool
    late: bool


def _part(module: str) -> str | None:
    return next((part for part, patterns in PARTS.items() if _fits(module, patterns)), None)


class _Imports(ast.NodeVisitor):
    """Collects the imports of one module that happen when it runs (not those under TYPE_CHECKING)."""

    def __init__(self, package: list[str], modules: set[str]) -> None:
        self.found: list[Import] = []
        self._package = package  # of the module, relative to spprof
        self._modules = modules
        self._depth = 0

    def _add(self, line: int, dotted: str, name: str | None, ours: bool) -> None:
        if ours and name is not None and f"{dotted}.{name}".lstrip(".") in self._modules:
            dotted, name = f"{dotted}.{name}".lstrip("."), None  # "from . import x": a module, not a name
        self.found.append(Import(line, (dotted or "__init__") if ours else dotted, name, ours, self._depth > 0))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top, _, rest = alias.name.partition(".")
            self._add(node.lineno, rest if top == "spprof" else top, None, top == "spprof")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            base = self._package[: len(self._package) - (node.level - 1)]
            dotted, ours = ".".join([*base, *([module] if module else [])]), True
        else:
            top, _, rest = module.partition(".")
            dotted, ours = (rest, True) if top == "spprof" else (top, False)
        for alias in node.names:
            self._add(node.lineno, dotted, alias.name, ours)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in {"import_module", "__import__"} and node.args and isinstance(node.args[0], ast.Constant):
            top, _, rest = str(node.args[0].value).lstrip(".").partition(".")
            ours = top == "spprof" or str(node.args[0].value).startswith(".")
            self._add(node.lineno, (rest if top == "spprof" else top) if ours else top, None, ours)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
        for child in node.orelse if name == "TYPE_CHECKING" else [node.test, *node.body, *node.orelse]:
            self.visit(child)

    def _visit_function(self, node: ast.AST) -> None:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function


def _front_offences(where: str, tree: ast.Module) -> Iterator[str]:
    """`__init__` re-exports and names; the only code in it is what makes late re-exports work."""
    for node in tree.body:
        hook = isinstance(node, ast.FunctionDef) and node.name in {"__getattr__", "__dir__"}
        kinds = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr, ast.If)
        if not hook and not isinstance(node, kinds):
            yield f"{where}:{node.lineno}: __init__.py holds re-exports and __all__, nothing else"


def _import_offence(module: str, part: str, found: Import) -> str | None:
    if not found.ours:
        if found.module in OTHER_PACKAGES.get(part, ()):
            return None if found.late else f"{found.module} may only be imported inside a function"
        standard: frozenset[str] | None = getattr(sys, "stdlib_module_names", None)  # 3.10 on
        if standard is None or found.module in standard or (module, found.module) in EXEMPT:
            return None
        return f"{part} stands on the standard library alone, not on {found.module}"
    if NATIVE in (found.module, found.name):
        if NATIVE_IMPORTER in {module, found.module}:
            return None
        return f"only {NATIVE_IMPORTER}.py imports {NATIVE}: ask it for `native` or `backend`"
    target = _part(found.module)
    if target is None:
        return f"imports {found.module}, which is not in the table of tools/check_layout.py"
    if target == part:
        return None
    if target not in IMPORTS[part]:
        return f"{part} may not import {target} ({found.module})"
    if (part, target) in LATE and not found.late:
        return f"{part} may import {target} only inside a function"
    names = [*found.module.split("."), found.name or ""]
    if target in CLOSED and any(name.startswith("_") and not name.startswith("__") for name in names):
        return f"{'.'.join(filter(None, names))} is private to {target}"
    return None


def python_offences(package: Path) -> Iterator[str]:
    """Offences against IMPORTS and its companions in src/spprof."""
    files = sorted(package.rglob("*.py"))
    parts = {file: list(file.relative_to(package).with_suffix("").parts) for file in files}
    modules = {".".join(names[:-1] if names[-1] == "__init__" else names) for names in parts.values()} | {NATIVE}
    for file in files:
        names = parts[file]
        module = ".".join(names[:-1] if names[-1] == "__init__" and len(names) > 1 else names)
        where = f"src/spprof/{file.relative_to(package).as_posix()}"
        part = _part(module)
        if part is None:
            yield f"{where}: not in the table of tools/check_layout.py"
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
        if module == "__init__":
            yield from _front_offences(where, tree)
        imports = _Imports(names[:-1], modules)
        imports.visit(tree)
        for found in imports.found:
            offence = _import_offence(module, part, found)
            if offence is not None:
                yield f"{where}:{found.line}: {offence}"


def offences(root: Path) -> list[str]:
    """All offences of a source tree, in the order of its files."""
    return [*c_offences(root / "csrc"), *python_offences(root / "src" / "spprof")]


def main() -> int:
    """Entry point."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    found = offences(root)
    print("\n".join([*found, f"{len(found)} offences against the layout"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
