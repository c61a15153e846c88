"""The C line table decoders give CPython's own answers.

``csrc/core/linetable.c`` is built alone, as a shared object, and asked about every instruction of every code object
of this interpreter's standard library; what CPython itself says is the truth: ``co_positions()`` (3.11 on),
``co_lines()`` (3.10), ``PyCode_Addr2Line()`` (all, and all there is on 3.9).
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import os
import shutil
import subprocess
import sys
import sysconfig
from array import array
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Row = tuple[int, int, int, int]

ROOT = Path(__file__).resolve().parents[2]
V39, V310, V311 = 0, 1, 2
FORMAT = V39 if sys.version_info < (3, 10) else V310 if sys.version_info < (3, 11) else V311
UNKNOWN = (0, 0, -1, -1)


class Decoder:
    """The shared object, by function."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self._sorted = library.sp_linetable_lookup_sorted
        self._sorted.restype = None
        self._sorted.argtypes = [
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_int32,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
        ]

        class Location(ctypes.Structure):
            _fields_ = [(name, ctypes.c_int32) for name in ("line", "end_line", "column", "end_column")]

        self._single = library.sp_linetable_lookup
        self._single.restype = Location
        self._single.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_int32]

    def batch(self, kind: int, table: bytes, first: int, offsets: Sequence[int]) -> array[int]:
        """Locations of many offsets, four numbers each, in one flat array."""
        asked = array("i", offsets)
        found = array("i", bytes(16 * len(asked)))
        asked_at, found_at = asked.buffer_info()[0], found.buffer_info()[0]
        self._sorted(kind, table, len(table), first, asked_at, len(asked), found_at)
        return found

    def single(self, kind: int, table: bytes, first: int, offset: int) -> Row:
        """Location of one offset."""
        found = self._single(kind, table, len(table), first, offset)
        return found.line, found.end_line, found.column, found.end_column


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    """Build the decoder with the machine's compiler; without one this test cannot say anything, so it fails."""
    compiler = os.environ.get("CC", "").split() or [shutil.which("cc") or shutil.which("gcc") or ""]
    assert compiler[0], "a C compiler is needed (cc, gcc, or the one named by CC)"
    target = tmp_path_factory.mktemp("linetable") / "linetable.so"
    source = ROOT / "csrc" / "core" / "linetable.c"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    subprocess.run([*compiler, *flags, f"-I{ROOT / 'csrc'}", str(source), "-o", str(target)], check=True)
    return Decoder(target)


def line_table(code: CodeType) -> bytes:
    """The stored table, in the format of this interpreter."""
    if sys.version_info < (3, 10):
        return code.co_lnotab
    return code.co_linetable


def addr2line(code: CodeType, offset: int) -> int:
    """CPython's own answer, 0 for none."""
    function = ctypes.pythonapi.PyCode_Addr2Line
    function.argtypes = [ctypes.py_object, ctypes.c_int]
    function.restype = ctypes.c_int
    line: int = function(code, offset)
    return max(line, 0)


def truth(code: CodeType) -> array[int]:
    """What CPython says about each instruction of a code object, in the decoder's form."""
    flat = array("i")
    if sys.version_info >= (3, 11):
        for line, end_line, column, end_column in code.co_positions():
            # comparing with None is much cheaper than calling a function 20 million times
            flat.append(line if line is not None and line > 0 else 0)
            flat.append(end_line if end_line is not None and end_line > 0 else 0)
            flat.append(column if column is not None else -1)
            flat.append(end_column if end_column is not None else -1)
    elif sys.version_info >= (3, 10):
        for start, end, line in code.co_lines():
            flat.extend((line or 0, 0, -1, -1) * ((end - start) // 2))
    else:
        for offset in range(0, len(code.co_code), 2):
            flat.extend((addr2line(code, offset), 0, -1, -1))
    return flat


def standard_library(tests: bool) -> Iterator[Path]:
    """Every source file of the standard library, of its modules or of their tests, in a fixed order."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if {"site-packages", "dist-packages"} & set(parts) or not path.is_file():
            continue  # not the standard library's, or a link that leads nowhere
        if tests == bool({"test", "tests", "idle_test"} & set(parts)):
            yield path


def code_objects(code: CodeType) -> Iterator[CodeType]:
    """A code object and all those in its constants."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from code_objects(const)


def library_code(tests: bool) -> Iterator[CodeType]:
    """Every code object of the standard library, from its cached bytecode where there is some."""
    for path in standard_library(tests):
        loader = importlib.machinery.SourceFileLoader(path.stem, str(path))
        try:
            code = loader.get_code(path.stem)
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue  # test data of the standard library that is not meant to compile
        if code is not None:
            yield from code_objects(code)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile other people's sources: write no bytecode, mind no warning of theirs."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def differences(decoder: Decoder, code: CodeType) -> list[str]:
    """Where the decoder and CPython disagree about a code object."""
    table, first = line_table(code), code.co_firstlineno
    size = len(code.co_code)
    want = truth(code)
    got = decoder.batch(FORMAT, table, first, range(0, size, 2))
    wrong = []
    if got != want:
        for i in range(0, max(len(got), len(want)), 4):
            if got[i : i + 4] != want[i : i + 4]:
                wrong.append(f"{code} at {i // 2}: {list(got[i : i + 4])}, not {list(want[i : i + 4])}")
    for offset in (-1, 0, size // 4 * 2, size - 2):
        line = decoder.single(FORMAT, table, first, offset)[0]
        if line != addr2line(code, offset):
            wrong.append(f"{code} at {offset}: line {line}, not {addr2line(code, offset)}")
    return wrong


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("tests", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["modules", "tests"])
def test_whole_standard_library(decoder: Decoder, tests: bool) -> None:
    if tests and not any(standard_library(tests)):
        pytest.skip("this interpreter came without the standard library's tests")
    wrong: list[str] = []
    objects = instructions = 0
    for code in library_code(tests):
        objects += 1
        instructions += len(code.co_code) // 2
        wrong += differences(decoder, code)
        if len(wrong) > 20:
            break
    assert not wrong, "\n".join(wrong)
    assert tests or objects > 10_000, f"only {objects} code objects were found"
    print(f"{objects} code objects, {instructions} instructions")


def test_odd_offsets_and_inline_caches(decoder: Decoder) -> None:
    """An offset inside an instruction or its caches belongs to the instruction."""
    code = differences.__code__
    even = decoder.batch(FORMAT, line_table(code), code.co_firstlineno, range(0, len(code.co_code), 2))
    odd = decoder.batch(FORMAT, line_table(code), code.co_firstlineno, range(1, len(code.co_code), 2))
    assert even == odd


def test_beyond_the_end(decoder: Decoder) -> None:
    """3.9's last line goes on for ever; later formats know where the code ends."""
    code = differences.__code__
    table, size = line_table(code), len(code.co_code)
    for offset in (size, size + 2, 2**31 - 2):
        found = decoder.single(FORMAT, table, code.co_firstlineno, offset)
        assert found == ((addr2line(code, size - 2), 0, -1, -1) if FORMAT == V39 else UNKNOWN)


def test_running_frames(decoder: Decoder) -> None:
    """``f_lasti`` as the sampler will read it leads to ``f_lineno``."""

    def called() -> FrameType:
        return sys._getframe()

    def generated() -> Iterator[FrameType]:
        yield sys._getframe()

    for frame in (called(), next(generated()), sys._getframe()):
        lasti, line = frame.f_lasti, frame.f_lineno  # on one line: this frame moves on
        code = frame.f_code
        assert decoder.single(FORMAT, line_table(code), code.co_firstlineno, lasti)[0] == line


# Tables that no compiler wrote, but valid ones: CPython and the decoder must still agree.


def varint(value: int) -> bytes:
    """Six bits a byte, least significant first, bit 6 set on all but the last."""
    out = bytearray()
    while value > 63:
        out.append(0x40 | value & 63)
        value >>= 6
    return bytes(out + bytes([value]))


def svarint(value: int) -> bytes:
    """The sign in bit 0."""
    return varint(-value << 1 | 1 if value < 0 else value << 1)


def entry(kind: int, units: int, payload: bytes) -> bytes:
    """One entry of the 3.11 format."""
    return bytes([0x80 | kind << 3 | units - 1]) + payload


UNITS = st.integers(1, 8)
DELTA = st.integers(-100_000, 100_000)
COLUMN = st.integers(0, 100_000)
SMALL = st.integers(0, 127)
ENTRY_311 = st.one_of(
    st.builds(lambda kind, units, byte: entry(kind, units, bytes([byte])), st.integers(0, 9), UNITS, SMALL),
    st.builds(lambda kind, units, a, b: entry(kind, units, bytes([a, b])), st.integers(10, 12), UNITS, SMALL, SMALL),
    st.builds(lambda units, line: entry(13, units, svarint(line)), UNITS, DELTA),
    st.builds(
        lambda units, line, height, a, b: entry(14, units, svarint(line) + varint(height) + varint(a) + varint(b)),
        UNITS,
        DELTA,
        COLUMN,
        COLUMN,
        COLUMN,
    ),
    st.builds(lambda units: entry(15, units, b""), UNITS),
)
#: An even number of bytes of code (0 to 254), and a line delta.
PAIR = st.builds(lambda half, line: bytes([2 * half, line & 255]), st.integers(0, 127), st.integers(-128, 127))


def fresh_code(table: bytes, first: int, size: int) -> CodeType:
    """A code object that is never run, of ``size`` bytes, with this table."""
    changes: dict[str, Any] = {"co_code": bytes([9, 0]) * (size // 2), "co_firstlineno": first}
    changes["co_lnotab" if FORMAT == V39 else "co_linetable"] = table
    return differences.__code__.replace(**changes)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=st.lists(ENTRY_311 if FORMAT == V311 else PAIR, min_size=1, max_size=60), first=st.integers(1, 10_000_000))
def test_valid_tables(decoder: Decoder, parts: list[bytes], first: int) -> None:
    table = b"".join(parts)
    if FORMAT == V311:
        size = sum(2 * ((part[0] & 7) + 1) for part in parts)
    else:
        if FORMAT == V310:
            table += bytes([2, 1])  # the last range of a 3.10 table is never empty
        size = sum(table[::2]) + (2 if FORMAT == V39 else 0)
    code = fresh_code(table, first, size)
    assert decoder.batch(FORMAT, table, first, range(0, size, 2)) == truth(code)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from((V39, V310, V311)),
    table=st.one_of(
        st.binary(max_size=200),
        st.lists(ENTRY_311, max_size=40).map(b"".join),
        st.just(line_table(differences.__code__)),
    ),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 400),
    first=st.integers(-(2**31), 2**31 - 1),
    offsets=st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 300), max_size=30),
)
def test_any_bytes_give_an_answer(
    decoder: Decoder,
    kind: int,
    table: bytes,
    changes: list[tuple[int, int]],
    cut: int,
    first: int,
    offsets: list[int],
) -> None:
    mutated = bytearray(table)
    for at, byte in changes:
        if at < len(mutated):
            mutated[at] = byte
    data = bytes(mutated[: max(cut, 0)])
    found = decoder.batch(kind, data, first, offsets)
    for i, offset in enumerate(offsets):
        row = tuple(found[4 * i : 4 * i + 4])
        assert row == decoder.single(kind, data, first, offset)
        line, end_line, column, end_column = row
        assert line >= 0 and end_line >= 0 and column >= -1 and end_column >= -1
        if offset < 0:
            assert row == (max(first, 0), 0, -1, -1)
