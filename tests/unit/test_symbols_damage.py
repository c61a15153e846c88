"""Files that are cut short, altered or made to do harm: an answer or SymbolError, soon, and nothing else."""

from __future__ import annotations

import lzma
import random
import struct
import sys
import zlib
from pathlib import Path

import children
import pytest
from objects import build_c, run

from spprof._symbols import SymbolError, functions, problem, symbolize
from spprof._symbols.binary import Data, sleb, uleb
from spprof._symbols.dwarf import Dwarf
from spprof._symbols.elf import Elf, Section
from spprof._symbols.line import read_unit
from spprof._symbols.line import run as run_program
from spprof._symbols.table import tables_of

SMALL = "int small(int x)\n{\n    return x * 3;\n}\nstatic int other(int x)\n{\n    return x;\n}\nint (*kept)(int) = other;\n"
KINDS = [("-gdwarf-4",), ("-gdwarf-5",), ("-gdwarf-5", "-ffunction-sections"), ("-gdwarf-5", "-gz=zlib")]


@pytest.fixture(scope="module", params=KINDS, ids=" ".join)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A library of a few KB with all that is read."""
    options = ("-O1", "-nostdlib", "-Wl,-z,noseparate-code", *request.param)
    folder = tmp_path_factory.mktemp("small")
    path = build_c(folder, *options, source=SMALL)
    packed = folder / "packed"
    packed.write_bytes(lzma.compress(path.read_bytes()[:64]))
    run("objcopy", f"--add-section=.gnu_debugdata={packed}", path)
    return path.read_bytes()


def everything(raw: bytes) -> tuple[int, int]:
    """Reads all that can be read of a file; gives the number of functions and lines. Fails: SymbolError."""
    elf = Elf(Data(raw), "damaged")
    for reads in (elf.debug_link, elf.mini_debug_info):
        try:
            reads()
        except SymbolError:
            pass
    found = {f for table in tables_of(elf) for f in table.named(lambda _: True)}
    addresses = (
        {f.start for f in found} | {f.end - 1 for f in found} | set(range(0x1000, 0x1100, 5)) | set(range(600, 1000, 9))
    )
    for table in tables_of(elf):
        for address in addresses:
            table.at(address)
    return len(found), len(Dwarf(elf).places(addresses))


def survives(raw: bytes) -> bool:
    """Whether there was an answer. Another exception than SymbolError fails the test."""
    try:
        everything(raw)
    except SymbolError:
        return False
    return True


def flips(raw: bytes, seed: int, count: int) -> list[int]:
    chooser = random.Random(seed)
    answers = []
    for _ in range(count):
        damaged = bytearray(raw)
        for _ in range(chooser.choice((1, 1, 2, 8))):
            damaged[chooser.randrange(len(raw))] ^= 1 << chooser.randrange(8)
        answers.append(survives(bytes(damaged)))
    return answers


def test_the_whole_file_is_read(small: bytes) -> None:
    found, lines = everything(small)
    assert found >= 2
    assert lines >= 4


def test_some_truncations(small: bytes) -> None:
    for length in [*range(0, 130, 3), *range(130, len(small), 331), len(small) - 1]:
        survives(small[:length])
    assert not survives(small[:-1])


def test_some_flipped_bits(small: bytes) -> None:
    assert any(flips(small, seed=11, count=60))


@pytest.mark.slow
def test_every_truncation(small: bytes) -> None:
    for length in range(len(small)):
        survives(small[:length])


@pytest.mark.slow
def test_many_flipped_bits(small: bytes) -> None:
    answers = flips(small, seed=12, count=6000)
    assert 0.2 < sum(answers) / len(answers)


@pytest.mark.slow
def test_flipped_bits_where_they_hurt(small: bytes) -> None:
    """Headers and debug sections; most of a small file is padding."""
    elf = Elf(Data(small), "whole")
    sections = [
        s for s in elf.sections if s.name.startswith((".debug", ".symtab", ".strtab", ".note", ".gnu_debugdata"))
    ]
    header = struct.unpack_from("<Q", small, 40)[0]
    places = [
        *range(64),
        *range(header, len(small)),
        *(i for s in sections for i in range(s.offset, s.offset + s.size)),
    ]
    chooser = random.Random(13)
    for _ in range(6000):
        damaged = bytearray(small)
        for _ in range(chooser.choice((1, 2, 4))):
            damaged[chooser.choice(places)] = chooser.choice((0, 1, 0x7F, 0x80, 0xFF, chooser.randrange(256)))
        survives(bytes(damaged))


def test_a_damaged_file_has_no_names_and_says_why(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.so"
    path.write_bytes(small[:-100])
    assert symbolize(str(path), None, [0x1000])[0].label == "cut.so+0x1000"
    assert functions(str(path), None, ["small"]) == []
    assert problem(str(path), None)


# ------------------------------------------------------------------------------------------------------------- traps


def elf_with(name: str, contents: bytes, flags: int = 0) -> Elf:
    """An ELF file with one section."""
    names = b"\0" + name.encode() + b"\0.names\0"
    body = names + contents
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 0, 64 + len(body), 0, 64, 56, 0, 64, 3, 1
    )
    table = bytes(64)
    table += struct.pack("<IIQQQQIIQQ", len(name) + 2, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    table += struct.pack("<IIQQQQIIQQ", 1, 1, flags, 0, 64 + len(names), len(contents), 0, 0, 1, 0)
    return Elf(Data(header + body + table), "trap")


def test_a_section_that_claims_to_be_huge_once_unpacked() -> None:
    packed = zlib.compress(bytes(1000))
    for size in (1 << 40, 1 << 62, 1 << 20):
        elf = elf_with(".debug_line", struct.pack("<IIQQ", 1, 0, size, 1) + packed, flags=0x800)
        with pytest.raises(SymbolError, match="would take"):
            elf.section(".debug_line")
    for size in (999, 1001):
        elf = elf_with(".debug_line", struct.pack("<IIQQ", 1, 0, size, 1) + packed, flags=0x800)
        if size == 1001:
            with pytest.raises(SymbolError, match="shorter than it says"):
                elf.section(".debug_line")
        else:
            data = elf.section(".debug_line")
            assert data is not None and data.size == 999


def test_a_bomb_in_gnu_debugdata(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked stops at the limit."""
    from spprof._symbols import elf as module

    monkeypatch.setattr(module, "XZ_OUTPUT", 1 << 16)
    inside = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 0, 1 << 20, 0, 64, 56, 0, 64, 3, 1)
    elf = elf_with(".gnu_debugdata", lzma.compress(inside + bytes(1 << 22)))
    with pytest.raises(SymbolError, match=f"where there are {1 << 16}"):
        elf.mini_debug_info()
    monkeypatch.setattr(module, "XZ_MEMORY", 1 << 16)
    with pytest.raises(SymbolError, match="damaged"):
        elf.mini_debug_info()


def test_a_sparse_file_of_a_terabyte(tmp_path: Path) -> None:
    """Sections as large as the file: none is read whole."""
    path = tmp_path / "sparse.so"
    size = 1 << 40
    names = b"\0.symtab\0.debug_line\0.debug_aranges\0"
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 0, 128, 0, 64, 56, 0, 64, 5, 1)
    table = bytes(64) + struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    for name, kind, link in ((1, 2, 1), (9, 1, 0), (21, 1, 0)):
        table += struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, 4096, size - 4096, link, 0, 1, 24)
    with open(path, "wb") as file:
        file.write(header + names.ljust(64, b"\0") + table)
        try:
            file.truncate(size)
        except OSError:
            pytest.skip("the file system has no files of that size")
    assert symbolize(str(path), None, [0x1000])[0].name == ""
    assert "more than the" in problem(str(path), None) or "reserved" in problem(str(path), None)


def line_unit(program: bytes) -> Data:
    """A unit of .debug_line (DWARF 4) with that program, one file, no folders."""
    tables = b"\0a.c\0\0\0\0\0"
    start = struct.pack("<BBBbBB", 1, 1, 1, -5, 14, 13) + bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]) + tables
    body = struct.pack("<HI", 4, len(start)) + start + program
    return Data(struct.pack("<I", len(body)) + body)


SET_ADDRESS = b"\0\x09\x02" + struct.pack("<Q", 0x1000)
END = b"\0\x01\x01"


def test_line_programs_by_hand() -> None:
    """Each opcode: advance_pc 4, copy, advance_line 10, special (+1 line, +1 byte), const_add_pc, fixed_advance_pc."""
    program = SET_ADDRESS + b"\x01\x02\x04\x03\x0a\x01" + bytes([13 + 14 + 6]) + b"\x08\x01\x09\x10\0\x01\x02\x05" + END
    unit, after = read_unit(line_unit(program), 0)
    assert after == line_unit(program).size
    found = run_program(unit, list(range(0xFF0, 0x1050)))
    assert found[0x1000] == found[0x1003] == (1, 1)
    assert found[0x1004] == (1, 11)
    assert found[0x1005] == found[0x1015] == (1, 12)
    assert found[0x1005 + 17] == found[0x1005 + 17 + 16] == (1, 12)
    assert min(found) == 0x1000
    assert max(found) == 0x1005 + 17 + 16 + 5 - 1


def test_rows_in_disorder_are_put_in_order() -> None:
    program = b"".join(
        (SET_ADDRESS[:3] + struct.pack("<Q", address) + b"\x03" + step + b"\x01")
        for address, step in ((0x1000, b"\x00"), (0x1020, b"\x01"), (0x1010, b"\x01"))
    )
    program += SET_ADDRESS[:3] + struct.pack("<Q", 0x1030) + END
    unit, _ = read_unit(line_unit(program), 0)
    found = run_program(unit, [0x1008, 0x1018, 0x1028])
    assert {address: line for address, (_, line) in found.items()} == {0x1008: 1, 0x1018: 3, 0x1028: 2}


def test_rows_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from spprof._symbols import line

    monkeypatch.setattr(line, "ROWS_LIMIT", 1000)
    monkeypatch.setattr(line, "_STRIDE", 100)
    for program in (SET_ADDRESS + b"\x20" * 2000 + END, SET_ADDRESS + b"\x04\x01" * 2000 + END):
        unit, _ = read_unit(line_unit(program), 0)
        with pytest.raises(SymbolError, match="more than 1000 rows"):
            run_program(unit, [0x1001])


@pytest.mark.parametrize("program", [b"\x02" + b"\xff" * 100, b"\x03", b"\0", b"\0\xff", b"\x09\x01"])
def test_line_programs_that_end_in_the_middle(program: bytes) -> None:
    unit, _ = read_unit(line_unit(SET_ADDRESS + program), 0)
    with pytest.raises((SymbolError, IndexError)):
        run_program(unit, [0x1001])


def test_numbers_of_any_length() -> None:
    assert uleb(b"\xe5\x8e\x26", 0) == (624485, 3)
    assert sleb(b"\xc0\xbb\x78", 0) == (-123456, 3)
    assert sleb(b"\x7f", 0) == (-1, 1)
    assert uleb(b"\x80" * 9 + b"\x01", 0) == (1 << 63, 10)
    with pytest.raises(SymbolError, match="more than ten bytes"):
        uleb(b"\x80" * 11 + b"\x01", 0)
    with pytest.raises(IndexError):
        uleb(b"\x80", 0)


def test_work_has_a_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Many units that share one long list would take the square of the file's size."""
    from spprof._symbols import dwarf

    path = build_c(tmp_path, "-O1", "-gdwarf-5", "-ffunction-sections")
    monkeypatch.setattr(dwarf, "WORK_LIMIT", 3)
    [work] = functions(str(path), None, ["hidden"])
    symbol = symbolize(str(path), None, [work.start])[0]
    assert (symbol.name, symbol.line) == ("hidden", 0)
    monkeypatch.setattr(dwarf, "WORK_LIMIT", 1 << 20)
    lines = Dwarf(Elf(Data(path.read_bytes()), "limited"))
    assert lines.places([work.start])
    monkeypatch.setattr(dwarf, "WORK_LIMIT", 5)
    assert lines.places([work.start]) == {}


def test_sections_behind_the_end_of_the_file() -> None:
    elf = elf_with(".debug_line", b"x")
    section = elf.sections[2]
    assert isinstance(section, Section)
    with pytest.raises(SymbolError, match="outside of the file"):
        elf.contents(section._replace(size=1 << 50))
    with pytest.raises(SymbolError):
        elf.contents(section._replace(offset=(1 << 64) - 1))


@pytest.mark.parametrize("small", [KINDS[2]], indirect=True, ids=" ".join)
def test_memory_stays_small(small: bytes, tmp_path: Path) -> None:
    """Damaged files, read where there is little memory to be had."""
    path = tmp_path / "small.so"
    path.write_bytes(small)
    done = children.python(
        "-c",
        "import resource, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "import test_symbols_damage as t\n"
        "raw = open(sys.argv[1], 'rb').read()\n"
        "t.everything(raw)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "t.flips(raw, 14, 150)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n",
        path,
        Path(__file__).parent,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64 << 10  # KB
