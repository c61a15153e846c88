"""Functions of ELF files: the same as nm and readelf say, and never those of another file."""

from __future__ import annotations

import ctypes
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import children
import pytest
from objects import build_c, build_id, functions_by_nm, lines_by_addr2line, run

from spprof._symbols import SymbolError, functions, load_bias, problem, symbolize
from spprof._symbols.binary import Data, File
from spprof._symbols.elf import Elf
from spprof._symbols.table import base_name

LIBC = next((p for p in ("/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6") if os.path.exists(p)), "")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_c(tmp_path_factory.mktemp("elf"), "-O1")


@pytest.fixture(autouse=True)
def _no_installed_debug_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPPROF_DEBUG_PATH", str(tmp_path / "debug"))


def found_in(path: Path) -> set[tuple[str, int, int]]:
    return {(f.name, f.start, f.end - f.start) for f in functions(str(path), None, lambda _: True)}


def name_at(path: Path | str, address: int, build: bytes | None = None) -> str:
    return symbolize(str(path), build, [address])[0].name


def stripped(library: Path, folder: Path, *options: str) -> Path:
    made = folder / f"{library.stem}-stripped.so"
    run("strip", *options, library, "-o", made)
    return made


def test_functions_are_those_of_nm(library: Path) -> None:
    expected = functions_by_nm(library)
    assert {"hidden", "visible", "work", "__alias"} <= {name for name, _, _ in expected}
    found = found_in(library)
    assert expected <= found
    # Beyond them only what has no size, which nm lists in another form.
    unsized = {line.split()[-1] for line in run("nm", "--defined-only", library).splitlines()}
    assert {name for name, _, _ in found - expected} <= unsized


def test_each_byte_of_each_function_has_its_name(library: Path) -> None:
    by_address: dict[int, set[str]] = {}
    for name, start, size in functions_by_nm(library):
        for address in range(start, start + size):
            by_address.setdefault(address, set()).add(name)
    symbols = symbolize(str(library), None, by_address)
    assert len(symbols) == len(by_address) > 50
    for symbol, (address, names) in zip(symbols, by_address.items()):
        assert symbol.name in names
        assert symbol.offset == address
        assert symbol.module == library.name


def test_the_plain_name_of_several(library: Path) -> None:
    start = functions(str(library), None, ["__alias"])[0].start
    assert functions(str(library), None, ["visible"])[0].start == start
    assert name_at(library, start) == "visible"


def test_a_function_without_size_ends_where_the_next_one_starts(library: Path) -> None:
    [bare] = functions(str(library), None, ["bare"])
    assert name_at(library, bare.start + 3) == "bare"
    assert 4 <= bare.end - bare.start <= 4 + 16
    assert name_at(library, bare.end) != "bare"


def test_a_function_without_size_does_not_stand_for_all_that_is_not_exported(library: Path, tmp_path: Path) -> None:
    bare_library = stripped(library, tmp_path)
    [bare] = functions(str(library), None, ["bare"])
    assert name_at(bare_library, bare.start) == "bare"
    assert name_at(bare_library, bare.end) == name_at(bare_library, bare.start + 1) == ""


def test_outside_of_functions_there_is_no_name(library: Path) -> None:
    last = max(start + size for _, start, size in found_in(library))
    symbol = symbolize(str(library), None, [last + 0x100000])[0]
    assert (symbol.name, symbol.file, symbol.line) == ("", "", 0)
    assert symbol.label == f"{library.name}+{last + 0x100000:#x}"
    assert name_at(library, 0) == ""


def test_parts_of_functions_are_found_by_the_name_of_the_whole(library: Path) -> None:
    names = [f.name for f in functions(str(library), None, ["work"])]
    assert sorted(names) == ["work", "work.cold", "work.isra.0.constprop.1", "work.part.0"]
    assert [f.name for f in functions(str(library), None, ["work.cold"])] == ["work.cold"]
    assert {f.name for f in functions(str(library), None, lambda n: n.startswith("vis"))} >= {"visible"}
    assert functions(str(library), None, ["nothing"]) == []
    with pytest.raises(TypeError, match="not one text"):
        functions(str(library), None, "work")


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("f.cold", "f"),
        ("f.part.0.isra.0.cold", "f"),
        ("f.constprop.12", "f"),
        ("f.lto_priv.0", "f"),
        ("f.llvm.1234567", "f"),
        ("f.parted", "f.parted"),
        ("f", "f"),
        (".cold", ""),
    ],
)
def test_base_name(name: str, base: str) -> None:
    assert base_name(name) == base


def test_a_stripped_library_has_what_it_exports(library: Path, tmp_path: Path) -> None:
    bare = stripped(library, tmp_path)
    assert found_in(bare) >= functions_by_nm(bare, "-D")
    [work] = [f for f in functions(str(library), None, ["work"]) if f.name == "work"]
    [hidden] = functions(str(library), None, ["hidden"])
    assert name_at(bare, work.start) == "work"
    assert name_at(bare, hidden.start) == ""


def test_symbols_in_gnu_debugdata(library: Path, tmp_path: Path) -> None:
    """As Fedora builds it: the names of static functions in a compressed ELF file inside the library."""
    inner, packed, made = tmp_path / "inner", tmp_path / "inner.xz", tmp_path / "mini.so"
    run("objcopy", "--only-keep-debug", library, inner)
    packed.write_bytes(lzma.compress(inner.read_bytes()))
    run("objcopy", "-S", f"--add-section=.gnu_debugdata={packed}", library, made)
    [hidden] = functions(str(library), None, ["hidden"])
    assert name_at(made, hidden.start + 1) == "hidden"
    assert {"work", "hidden"} <= {name for name, _, _ in found_in(made)}


def test_damaged_gnu_debugdata_leaves_the_exported_names(library: Path, tmp_path: Path) -> None:
    packed, made = tmp_path / "inner.xz", tmp_path / "mini.so"
    packed.write_bytes(lzma.compress(b"no ELF file"))
    run("objcopy", "-S", f"--add-section=.gnu_debugdata={packed}", library, made)
    assert {"work", "visible"} <= {name for name, _, _ in found_in(made)}


def test_build_id_and_segments_are_those_of_readelf(library: Path, tmp_path: Path) -> None:
    for path in (library, stripped(library, tmp_path), Path(sys.executable)):
        elf = Elf(File(str(path)), str(path))
        assert elf.build_id == build_id(path)
        loads = [line.split() for line in run("readelf", "-lW", path).splitlines() if line.strip().startswith("LOAD")]
        expected = [tuple(int(field, 16) for field in (f[1], f[2], f[4], f[5])) for f in loads]
        assert [(s.offset, s.vaddr, s.filesz, s.memsz) for s in elf.segments if s.type == 1] == expected
        elf.data.close()
    assert build_id(library) != b""


@pytest.mark.parametrize("layout", ["separate-code", "noseparate-code"])
def test_addresses_of_mappings(layout: str, tmp_path: Path) -> None:
    """A segment may start in the middle of the page that is mapped, at an address unlike its offset."""
    path = build_c(tmp_path, "-O1", f"-Wl,-z,{layout}", "-Wl,-Ttext-segment=0x400000")
    elf = Elf(File(str(path)), str(path))
    loads = [line.split() for line in run("readelf", "-lW", path).splitlines() if line.strip().startswith("LOAD")]
    offset, address, size = next((int(f[1], 16), int(f[2], 16), int(f[4], 16)) for f in loads if "E" in f[6:-1])
    page = offset & -4096
    assert elf.code_address(offset) == address
    assert elf.code_address(page) == address - (offset - page)
    assert elf.code_address(offset + size - 1) == address + size - 1
    assert elf.code_address(offset + size) is None
    assert load_bias(str(path), None, 0x7F0000000000 + page, page) == 0x7F0000000000 + offset - address
    elf.data.close()


def test_a_file_without_section_headers_still_has_its_build_id(library: Path) -> None:
    raw = bytearray(library.read_bytes())
    raw[40:48] = bytes(8)  # e_shoff
    elf = Elf(Data(bytes(raw)), "headless")
    assert elf.sections == []
    assert elf.build_id == build_id(library)


# ------------------------------------------------------------------------------------------ the right file or none


def test_the_build_id_decides(library: Path) -> None:
    [hidden] = functions(str(library), None, ["hidden"])
    right = build_id(library)
    assert name_at(library, hidden.start, right) == "hidden"
    wrong = bytes([right[0] ^ 1]) + right[1:]
    for other in (wrong, b"", right[:-1]):
        symbol = symbolize(str(library), other, [hidden.start])[0]
        assert (symbol.name, symbol.file, symbol.module) == ("", "", library.name)
        assert functions(str(library), other, ["hidden"]) == []
        assert "replaced since it was loaded" in problem(str(library), other)
    assert problem(str(library), right) == ""


def test_a_library_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    first = build_c(tmp_path / "a", name="lib.so", source="int before(void) { return 1; }")
    second = build_c(
        tmp_path / "b", name="lib.so", source="int pad(int x) { return x * 9; } int after(void) { return 1; }"
    )
    path = tmp_path / "lib.so"
    shutil.copy(first, path)
    identity = build_id(path)
    address = functions(str(path), None, ["before"])[0].start
    assert name_at(path, address, identity) == name_at(path, address) == "before"
    os.replace(second, path)
    assert name_at(path, address) != "before"
    assert name_at(path, address, identity) == ""
    assert functions(str(path), None, ["after"])


def test_deleted_files(library: Path) -> None:
    """The kernel appends a word; the file of that name may be another one, unless its build id says that it isn't."""
    [hidden] = functions(str(library), None, ["hidden"])
    path = f"{library} (deleted)"
    for build in (None, b""):
        symbol = symbolize(path, build, [hidden.start])[0]
        assert (symbol.name, symbol.module) == ("", library.name)
    assert "deleted or replaced" in problem(path, None)
    assert name_at(path, hidden.start, build_id(library)) == "hidden"


@pytest.mark.parametrize("path", ["[vdso]", "", "/memfd:jit (deleted)", "//anon", "relative.so", "[heap]", "/dev/zero"])
def test_what_is_no_file(path: str) -> None:
    symbol = symbolize(path, None, [0x1234])[0]
    assert symbol.name == symbol.file == ""
    assert symbol.label.endswith("+0x1234")
    assert symbol.module
    assert problem(path, None)


def test_files_that_are_no_elf_files(tmp_path: Path) -> None:
    fifo, text, folder = tmp_path / "fifo", tmp_path / "text", tmp_path / "folder"
    os.mkfifo(fifo)
    text.write_text("not ELF")
    folder.mkdir()
    for path in (fifo, text, folder, tmp_path / "gone", tmp_path / "nul\0"):
        assert name_at(path, 1) == ""
        assert functions(str(path), None, ["f"]) == []
        assert problem(str(path), None)
    with pytest.raises(SymbolError, match="not an ELF file"):
        Elf(Data(b"not ELF"), "text")
    with pytest.raises(SymbolError, match="64-bit little-endian"):
        Elf(Data(b"\x7fELF\x01\x01" + bytes(100)), "of 32 bits")


def test_an_object_file_is_refused(tmp_path: Path) -> None:
    made = build_c(tmp_path, "-O1", name="lib.so")
    run("gcc", "-c", tmp_path / "object.c", "-o", tmp_path / "object.o")
    assert made.exists()
    assert "neither a program nor a shared library" in problem(str(tmp_path / "object.o"), None)


def test_addresses_out_of_range(library: Path) -> None:
    for address in (-1, 1 << 64):
        with pytest.raises(ValueError, match="an address is"):
            symbolize(str(library), None, [address])
    assert symbolize(str(library), None, [(1 << 64) - 1])[0].name == ""
    assert symbolize(str(library), None, []) == []


# ---------------------------------------------------------------------------------------------- separate debug files


@pytest.fixture
def split(tmp_path: Path) -> tuple[Path, Path]:
    """A library and the debug file that was split off it."""
    whole = build_c(tmp_path / "build", "-O1", "-gdwarf-5", name="libsplit.so")
    library, debug = tmp_path / "libsplit.so", tmp_path / "libsplit.debug"
    run("objcopy", "--only-keep-debug", whole, debug)
    run("objcopy", "--strip-all", whole, library)
    return library, debug


def _hidden(path: Path) -> int:
    line = next(line for line in run("nm", path).splitlines() if line.endswith(" hidden"))
    return int(line.split()[0], 16)


def _installed(debug: Path, root: Path, build: bytes) -> Path:
    path = root / ".build-id" / build.hex()[:2] / f"{build.hex()[2:]}.debug"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(debug, path)
    return path


def test_debug_file_by_build_id(split: tuple[Path, Path], tmp_path: Path) -> None:
    library, debug = split
    address = _hidden(debug)
    assert name_at(library, address) == ""
    _installed(debug, tmp_path / "debug", build_id(library))
    moved = tmp_path / "moved.so"  # the answer for the other path is kept
    shutil.copy(library, moved)
    symbol = symbolize(str(moved), build_id(library), [address])[0]
    assert symbol.name == "hidden"
    assert [(Path(symbol.file).name, symbol.line)] == lines_by_addr2line(debug, [address])
    assert symbol.line > 0


def test_debug_file_of_another_build_is_not_used(split: tuple[Path, Path], tmp_path: Path) -> None:
    library, debug = split
    other = build_c(tmp_path / "other", "-O2", "-gdwarf-5", name="libsplit.so")
    _installed(other, tmp_path / "debug", build_id(library))
    assert name_at(library, _hidden(debug), build_id(library)) == ""


def test_debug_file_of_a_library_that_is_gone(split: tuple[Path, Path], tmp_path: Path) -> None:
    """Replaced by an upgrade, but its debug file is there: the right names."""
    library, debug = split
    build = build_id(library)
    _installed(debug, tmp_path / "debug", build)
    address = _hidden(debug)
    shutil.copy(build_c(tmp_path / "other", name="libsplit.so", source="int x(void) { return 0; }"), library)
    assert name_at(library, address, build) == "hidden"
    assert problem(str(library), build) == ""
    library.unlink()
    assert name_at(library, address, build) == "hidden"
    assert name_at(f"{library} (deleted)", address, build) == "hidden"


@pytest.mark.parametrize("place", ["", ".debug", "root"])
def test_debug_link(split: tuple[Path, Path], tmp_path: Path, place: str) -> None:
    library, debug = split
    address = _hidden(debug)
    run("objcopy", f"--add-gnu-debuglink={debug}", library)
    folder = tmp_path / "debug" / str(tmp_path).lstrip("/") if place == "root" else tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    if folder != tmp_path:
        debug.rename(folder / debug.name)
    assert name_at(library, address) == "hidden"


def test_debug_link_to_a_changed_file_is_not_used(split: tuple[Path, Path]) -> None:
    library, debug = split
    address = _hidden(debug)
    run("objcopy", f"--add-gnu-debuglink={debug}", library)
    debug.write_bytes(debug.read_bytes() + b"\0")
    assert name_at(library, address) == ""


def test_debug_link_to_another_build_is_not_used(split: tuple[Path, Path], tmp_path: Path) -> None:
    """The checksum is right, the build id is not."""
    library, _ = split
    other = build_c(tmp_path / "other", "-O2", "-gdwarf-5", name="other.so")
    run("objcopy", f"--add-gnu-debuglink={other}", library)
    shutil.copy(other, tmp_path / "other.so")
    assert name_at(library, _hidden(other)) == ""


# ----------------------------------------------------------------------------------------------------- real programs


def test_the_c_library_of_this_process() -> None:
    """An address that the loader gives, an object that the kernel names and that lies where the kernel says."""
    address = ctypes.cast(ctypes.CDLL(None).qsort, ctypes.c_void_p).value
    assert address is not None
    with open("/proc/self/maps") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            start, end = (int(part, 16) for part in fields[0].split("-"))
            if start <= address < end:
                break
    path, file_offset = fields[5].rstrip(), int(fields[2], 16)
    bias = load_bias(path, None, start, file_offset)
    assert bias is not None and bias % 4096 == 0
    assert name_at(path, address - bias, build_id(Path(path))) == "qsort"
    assert load_bias(path, None, start, 1 << 40) is None
    assert load_bias(path, b"other", start, file_offset) is None


def test_neither_ctypes_nor_xz_without_need(library: Path) -> None:
    done = children.python(
        "-c",
        "import sys, spprof\n"
        "assert not any(m.startswith('spprof._symbols') for m in sys.modules)\n"
        "from spprof._symbols import symbolize, functions\n"
        "[f] = functions(sys.argv[1], None, ['hidden'])\n"
        "assert symbolize(sys.argv[1], None, [f.start])[0].name == 'hidden'\n"
        "print([m for m in ('ctypes', 'lzma', 'dataclasses') if m in sys.modules])\n",
        str(library),
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_no_descriptor_is_kept(library: Path) -> None:
    before = os.listdir("/proc/self/fd")
    symbolize(str(library), None, range(0, 0x4000, 7))
    symbolize(str(library), b"other", [1])
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.slow
@pytest.mark.parametrize("path", [LIBC, os.path.realpath(sys.executable)])
def test_large_programs_have_the_functions_of_nm(path: str) -> None:
    if not path:
        pytest.skip("needs a C library in a known place")
    dynamic = functions_by_nm(Path(path), "-D")
    try:
        full = functions_by_nm(Path(path))
    except (AssertionError, subprocess.CalledProcessError):
        full = set()
    assert dynamic | full <= found_in(Path(path))
