"""Files and lines: the same as addr2line says, for each version and kind of DWARF that compilers write."""

from __future__ import annotations

import os
import posixpath
import random
import shutil
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest
from objects import C_SOURCE, build_c, build_cplusplus, functions_by_nm, lines_by_addr2line, run, tool

from spprof._symbols import functions, problem, symbolize
from spprof._symbols.binary import Data, File, SymbolError
from spprof._symbols.dwarf import Dwarf
from spprof._symbols.elf import Elf

DWARF_5 = "-gdwarf-5"


def addresses_of(path: Path) -> list[int]:
    return sorted(set(chain.from_iterable(range(start, start + size) for _, start, size in functions_by_nm(path))))


def lines_of(path: Path, addresses: list[int]) -> list[tuple[str, int]]:
    return [(Path(s.file).name, s.line) for s in symbolize(str(path), None, addresses)]


def check(path: Path, expected: Path | None = None) -> None:
    """Each byte of each function is on the line that addr2line says."""
    expected = expected or path
    addresses = addresses_of(expected)
    found = lines_of(path, addresses)
    assert found == lines_by_addr2line(expected, addresses)
    assert sum(line > 0 for _, line in found) > 100
    assert problem(str(path), None) == ""


def without(path: Path, made: Path, *sections: str) -> Path:
    run("objcopy", *(f"--remove-section={name}" for name in sections), path, made)
    return made


@pytest.mark.parametrize(
    "options",
    [
        ("-O0", "-gdwarf-4"),
        ("-O2", DWARF_5),
        pytest.param(("-O1", "-gdwarf-2", "-gstrict-dwarf"), marks=pytest.mark.slow),
        pytest.param(("-O1", "-gdwarf-3", "-gstrict-dwarf"), marks=pytest.mark.slow),
        pytest.param(("-O2", "-gdwarf-4"), marks=pytest.mark.slow),
        pytest.param(("-O0", DWARF_5), marks=pytest.mark.slow),
        pytest.param(("-O3", DWARF_5, "-ffunction-sections", "-Wl,--gc-sections"), marks=pytest.mark.slow),
        pytest.param(("-O2", "-g1"), marks=pytest.mark.slow),
        pytest.param(("-O2", "-g", "-gno-as-locview-support", "-gno-as-loc-support"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_lines_of_c(options: tuple[str, ...], tmp_path: Path) -> None:
    check(build_c(tmp_path, *options))


def test_dwarf_of_64_bits(tmp_path: Path) -> None:
    """addr2line does not read all of it, so that the same program with the usual kind is asked."""
    made = build_c(tmp_path, "-O1", DWARF_5, "-gdwarf64", name="wide.so")
    check(made, build_c(tmp_path, "-O1", DWARF_5))


@pytest.mark.parametrize("kind", ["zlib", "zlib-gnu"])
def test_compressed_sections(kind: str, tmp_path: Path) -> None:
    path = build_c(tmp_path, "-O1", DWARF_5)
    made = tmp_path / "compressed.so"
    run("objcopy", f"--compress-debug-sections={kind}", path, made)
    check(made, path)


def test_compression_that_is_not_known_costs_the_lines_only(tmp_path: Path) -> None:
    path = build_c(tmp_path, "-O1", DWARF_5)
    made = tmp_path / "compressed.so"
    run("objcopy", "--compress-debug-sections=zlib", path, made)
    raw = bytearray(made.read_bytes())
    elf = Elf(Data(bytes(raw)), "compressed")
    section = elf.find(".debug_line")
    assert section is not None and section.flags & 0x800
    raw[section.offset] = 77
    made.write_bytes(raw)
    [hidden] = functions(str(made), None, ["hidden"])
    symbol = symbolize(str(made), None, [hidden.start])[0]
    assert (symbol.name, symbol.file) == ("hidden", "")
    assert "no line table" in problem(str(made), None)


@pytest.mark.parametrize(
    "gone",
    [(".debug_aranges",), (".debug_aranges", ".debug_info", ".debug_abbrev")],
    ids=["ranges in units", "line programs alone"],
)
@pytest.mark.parametrize("version", ["-gdwarf-4", DWARF_5])
def test_units_are_found_without_the_table_of_them(version: str, gone: tuple[str, ...], tmp_path: Path) -> None:
    """clang writes no .debug_aranges. Two sections of code make the unit's ranges a list."""
    path = build_c(tmp_path, "-O1", version, "-ffunction-sections")
    check(without(path, tmp_path / "less.so", *gone), path)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("-O0", "-gdwarf-4"), ("-O2", DWARF_5), ("-O2", "-gdwarf-4")], ids=" ".join)
def test_lines_of_cplusplus(options: tuple[str, ...], tmp_path: Path) -> None:
    """Lines of the header, inlined or not, and of the file itself. (addr2line mixes up file names with version 5.)"""
    path = build_cplusplus(tmp_path, *options)
    addresses = addresses_of(path)
    found, expected = lines_of(path, addresses), lines_by_addr2line(path, addresses)
    assert [line for _, line in found] == [line for _, line in expected]
    assert {file for file, _ in found} >= {"shape.h", "shape.cpp"}
    if "-gdwarf-4" in options and "-O0" in options:
        assert found == expected


def test_several_units_and_folders(tmp_path: Path) -> None:
    """Paths are joined from the folder of compilation and the folder of the file."""
    for name, text in (("one", C_SOURCE), ("sub/two", "int two(int x)\n{\n    return x * 7;\n}\n")):
        source = tmp_path / f"{name}.c"
        source.parent.mkdir(exist_ok=True)
        source.write_text(text)
    for version in ("-gdwarf-4", DWARF_5):
        made = tmp_path / f"both{version}.so"
        subprocess.run(
            [tool("gcc"), "-shared", "-fPIC", "-O0", version, "one.c", "sub/../sub/two.c", "-o", str(made)],
            cwd=tmp_path,
            check=True,
        )
        [two] = functions(str(made), None, ["two"])
        [hidden] = functions(str(made), None, ["hidden"])
        first, second = symbolize(str(made), None, [two.end - 1, hidden.start])
        assert (first.name, first.file, first.line) == ("two", str(tmp_path / "sub" / "two.c"), 4)
        assert (second.name, second.file, second.line) == ("hidden", str(tmp_path / "one.c"), 4)


def test_inlined_code_is_in_the_file_where_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "inner.h").write_text(
        "static inline __attribute__((always_inline)) int inner(volatile int *x)\n{\n    return *x + 5;\n}\n"
    )
    path = build_c(
        tmp_path, "-O2", DWARF_5, source='#include "inner.h"\n\nint outer(int *x)\n{\n    return inner(x);\n}\n'
    )
    [outer] = functions(str(path), None, ["outer"])
    found = symbolize(str(path), None, range(outer.start, outer.end))
    assert {symbol.name for symbol in found} == {"outer"}
    assert ("inner.h", 3) in {(Path(symbol.file).name, symbol.line) for symbol in found}


def test_functions_that_the_linker_left_out_claim_no_address(tmp_path: Path) -> None:
    """Their sequences start at 0, where a program linked at 0 has its first bytes."""
    path = build_c(
        tmp_path,
        "-O1",
        DWARF_5,
        "-ffunction-sections",
        "-fvisibility=hidden",
        "-Wl,--gc-sections",
        source="int gone(int x)\n{\n    return x * 3;\n}\n"
        '__attribute__((visibility("default"))) int kept(int x)\n{\n    return x;\n}\n',
    )
    assert not functions(str(path), None, ["gone"])
    assert {symbol.file for symbol in symbolize(str(path), None, range(64))} == {""}
    [kept] = functions(str(path), None, ["kept"])
    assert symbolize(str(path), None, [kept.start])[0].line == 6


def test_one_look_up_for_each_distinct_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build_c(tmp_path, "-O1", DWARF_5)
    asked: list[int] = []
    real = Dwarf.places

    def places(self: Dwarf, addresses: set[int]) -> dict[int, tuple[str, int]]:
        asked.extend(addresses)
        return real(self, addresses)

    monkeypatch.setattr(Dwarf, "places", places)
    [work] = [f for f in functions(str(path), None, ["work"]) if f.name == "work"]
    first = symbolize(str(path), None, [work.start, work.start + 1, work.start])
    assert symbolize(str(path), None, [work.start + 1, work.start]) == [first[1], first[0]]
    assert sorted(asked) == [work.start, work.start + 1]


def test_a_file_that_changes_between_calls_gives_no_lines(tmp_path: Path) -> None:
    path = build_c(tmp_path, "-O1", DWARF_5)
    elf = Elf(File(str(path)), str(path))
    dwarf = Dwarf(elf)
    [work] = [f for f in functions(str(path), None, ["work"]) if f.name == "work"]
    assert dwarf.places([work.start])
    elf.data.close()
    path.write_bytes(path.read_bytes() + b"\0")
    assert dwarf.places([work.start]) == {}
    with pytest.raises(SymbolError, match="changed while it was in use"):
        elf.data.read(0, 4)


def _interpreter() -> str:
    """The object with the interpreter's code: the program, or its library."""
    with open("/proc/self/maps") as maps:
        paths = [line.split(maxsplit=5)[-1].rstrip() for line in maps if " r-xp " in line]
    return next((path for path in paths if "/libpython" in path), os.path.realpath(sys.executable))


def _some_addresses(path: str, count: int) -> list[int]:
    """Addresses inside of functions; the same ones in each run."""
    ranges = functions(path, None, lambda _: True)
    chooser = random.Random(7)
    found: set[int] = set()
    assert len(ranges) > 1000
    while len(found) < count:
        function = chooser.choice(ranges)
        if function.end > function.start:
            found.add(chooser.randrange(function.start, function.end))
    return sorted(found)


@pytest.mark.slow
def test_the_interpreter_as_llvm_sees_it() -> None:
    """addr2line gives inlined code to the wrong file now and then, so that the reference is another one here."""
    path = _interpreter()
    symbolizer = shutil.which("llvm-symbolizer")
    if not symbolizer:
        pytest.skip("needs llvm-symbolizer")
    addresses = _some_addresses(path, 3000)
    command = [symbolizer, f"--obj={path}", "--no-inlines", "--functions=none", "--output-style=GNU"]
    said = subprocess.run(
        command, input="\n".join(map(hex, addresses)), capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for symbol, answer in zip(symbolize(path, None, addresses), filter(None, said)):
        file, _, line = answer.partition(" (discriminator")[0].rpartition(":")
        assert symbol.line == (int(line) if line.isdigit() else 0), answer
        assert symbol.file == ("" if file == "??" else posixpath.normpath(file)), answer


@pytest.mark.slow
def test_ten_thousand_addresses_in_three_seconds() -> None:
    path = _interpreter()
    addresses = _some_addresses(path, 10_000)
    # Of this process' own clock: a busy machine does not count.
    start = time.process_time()
    symbols = symbolize(path, None, addresses)
    assert time.process_time() - start < 3
    assert len(symbols) == len(addresses)
    start = time.process_time()
    symbolize(path, None, addresses)
    assert time.process_time() - start < 0.1
