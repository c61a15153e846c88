"""An ELF file: sections, segments, build id, debug link. 64 bits, little endian, linked."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from .binary import SECTION_LIMIT, Data, Part, SymbolError, reading

SHT_NOTE, SHT_NOBITS = 7, 8
SHF_ALLOC, SHF_EXECINSTR, SHF_COMPRESSED = 2, 4, 0x800
PT_LOAD, PT_NOTE = 1, 4
PF_X = 1
#: The largest page there is on the systems that run this.
PAGE = 64 << 10
ET_EXEC, ET_DYN = 2, 3
NT_GNU_BUILD_ID = 3
ELFCOMPRESS_ZLIB = 1
#: What deflate can make of a byte at most: a header that promises more lies.
DEFLATE_RATIO = 1032
#: For `.gnu_debugdata`: what xz may use, and the most that may come out.
XZ_MEMORY, XZ_OUTPUT = 64 << 20, 64 << 20
_NOTES_LIMIT = 1 << 20

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")


class Section(NamedTuple):
    """A section header."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class Segment(NamedTuple):
    """A program header: *filesz* bytes at *offset* of the file are at *vaddr* once loaded."""

    type: int
    flags: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int


class Elf:
    """The headers of an ELF file, and its sections on request. Fails: SymbolError, if it isn't one or is damaged."""

    def __init__(self, data: Data, name: str) -> None:
        self.name = name
        self.data = data
        with reading(name):
            self._read_headers()
            self.build_id = self._build_id()

    def _read_headers(self) -> None:
        start = self.data.window(0, _HEADER.size)
        if start[:4] != b"\x7fELF":
            raise SymbolError(f"{self.name}: not an ELF file")
        if start[4:6] != b"\x02\x01":
            raise SymbolError(f"{self.name}: only 64-bit little-endian ELF files are read")
        fields = _HEADER.unpack(start)
        if fields[1] not in (ET_EXEC, ET_DYN):
            raise SymbolError(f"{self.name}: neither a program nor a shared library (ELF type {fields[1]})")
        phoff, shoff, phentsize, phnum, shentsize, shnum, names = fields[5], fields[6], *fields[9:14]
        self.segments: list[Segment] = []
        if phoff and phnum:
            if phentsize != _SEGMENT.size:
                raise SymbolError(f"{self.name}: program headers of {phentsize} bytes")
            for kind, flags, offset, vaddr, _, filesz, memsz, _ in _SEGMENT.iter_unpack(
                self.data.read(phoff, phnum * phentsize)
            ):
                self.segments.append(Segment(kind, flags, offset, vaddr, filesz, memsz))
        self.sections: list[Section] = []
        if shoff:
            if shentsize != _SECTION.size:
                raise SymbolError(f"{self.name}: section headers of {shentsize} bytes")
            first = _SECTION.unpack(self.data.read(shoff, shentsize))
            # More than 65,279 sections: the numbers are in the first header.
            shnum, names = shnum or first[5], first[6] if names == 0xFFFF else names
            self._read_sections(self.data.read(shoff, shnum * shentsize), names)

    def _read_sections(self, table: bytes, names: int) -> None:
        rows = list(_SECTION.iter_unpack(table))
        texts = b""
        if 0 < names < len(rows):
            texts = Part(self.data, rows[names][4], rows[names][5]).whole()
        for name, kind, flags, address, offset, size, link, *_ in rows:
            text = texts[name : max(texts.find(b"\0", name), name)].decode("utf-8", "backslashreplace")
            self.sections.append(Section(text, kind, flags, address, offset, size, link))
        self._by_name = {section.name: section for section in reversed(self.sections)}

    def _build_id(self) -> bytes:
        # Sections first: a debug file has its notes, but segments that say where they were in the program.
        places = [(s.offset, s.size) for s in self.sections if s.type == SHT_NOTE]
        if not self.sections:
            places = [(s.offset, s.filesz) for s in self.segments if s.type == PT_NOTE]
        for offset, size in places:
            if size <= _NOTES_LIMIT:
                found = _build_id_of(Part(self.data, offset, size).whole())
                if found:
                    return found
        return b""

    def code_address(self, offset: int) -> int | None:
        """What the file calls the address of that byte of its code; None if none of its code is there.

        A mapping starts at a page, which may begin before the segment does.
        """
        for segment in self.segments:
            if segment.type == PT_LOAD and segment.flags & PF_X and offset < segment.offset + segment.filesz:
                address = segment.vaddr + offset - segment.offset
                if offset >= segment.offset - segment.offset % PAGE and address >= 0:
                    return address
        return None

    def find(self, name: str) -> Section | None:
        """The section of that name, if its bytes are in this file."""
        section = self._by_name.get(name) if self.sections else None
        return section if section is not None and section.type != SHT_NOBITS and section.size else None

    def contents(self, section: Section) -> Data:
        """The bytes of a section, decompressed. Fails: SymbolError."""
        with reading(f"{self.name}: {section.name}"):
            data = Part(self.data, section.offset, section.size)
            if section.flags & SHF_COMPRESSED:
                kind, _, size = struct.unpack("<IIQ", data.read(0, 16))
                if kind != ELFCOMPRESS_ZLIB:
                    raise SymbolError(f"{self.name}: {section.name} is compressed in a way (no. {kind}) not read here")
                size_of_header = 24
            elif section.name.startswith(".zdebug"):
                head = data.read(0, 12)
                if head[:4] != b"ZLIB":
                    return data
                size, size_of_header = int.from_bytes(head[4:], "big"), 12
            else:
                return data
            if size > min(SECTION_LIMIT, (data.size + 1) * DEFLATE_RATIO):
                raise SymbolError(f"{self.name}: {section.name} would take {size} bytes")
            found = zlib.decompressobj().decompress(data.read(size_of_header, data.size - size_of_header), size or 1)
            if len(found) != size:
                raise SymbolError(f"{self.name}: {section.name} is shorter than it says")
            return Data(found)

    def section(self, name: str) -> Data | None:
        """The bytes of the section of that name, None if there is none. `.zdebug_x` stands for `.debug_x`."""
        section = self.find(name)
        if section is None and name.startswith(".debug_"):
            section = self.find(f".z{name[1:]}")
        return None if section is None else self.contents(section)

    def has_lines(self) -> bool:
        """Whether there is a line table in the file."""
        return bool(self.find(".debug_line") or self.find(".zdebug_line"))

    def debug_link(self) -> tuple[str, int] | None:
        """The name and checksum of the file that debug information was moved to."""
        data = self.section(".gnu_debuglink")
        if data is None or not 8 <= data.size <= 4096:
            return None
        name = data.string(0)
        if not name or "/" in name or name in {".", ".."}:
            return None
        return name, int.from_bytes(data.read(data.size - 4, 4), "little")

    def mini_debug_info(self) -> Elf | None:
        """The ELF file inside `.gnu_debugdata`, with the symbols that `.dynsym` leaves out (Fedora and its kin)."""
        data = self.section(".gnu_debugdata")
        if data is None:
            return None
        what = f"{self.name}: .gnu_debugdata"
        import lzma

        with reading(what):
            try:
                unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
                found = unpacker.decompress(data.whole(), XZ_OUTPUT)
            except lzma.LZMAError as error:
                raise SymbolError(f"{what}: damaged ({error})") from error
        return Elf(Data(found), what)


def _build_id_of(notes: bytes) -> bytes:
    """The build id among notes, empty if there is none."""
    pos = 0
    while pos + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, pos)
        start = pos + 12 + (name_size + 3 & ~3)
        if kind == NT_GNU_BUILD_ID and notes[pos + 12 : pos + 16] == b"GNU\0" and name_size == 4:
            return notes[start : start + size] if start + size <= len(notes) else b""
        pos = start + (size + 3 & ~3)
    return b""
