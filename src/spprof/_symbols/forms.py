"""How DWARF writes values down: forms, and the abbreviations that say which forms an entry is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .binary import SymbolError, cstring, sleb, uleb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .binary import Data

FORM_STRING, FORM_STRP, FORM_LINE_STRP = 0x08, 0x0E, 0x1F
FORM_ADDR = 0x01
FORM_INDIRECT, FORM_IMPLICIT_CONST = 0x16, 0x21
#: Forms whose value is an index into .debug_str_offsets or .debug_addr.
STRING_INDICES = frozenset((0x1A, 0x25, 0x26, 0x27, 0x28, 0x1F02))
ADDRESS_INDICES = frozenset((0x1B, 0x29, 0x2A, 0x2B, 0x2C, 0x1F01))
FORM_RNGLISTX = 0x23
#: Strings in a file of their own that several debug files share (made by dwz); not followed.
_SHARED_STRINGS = frozenset((0x1D, 0x1F21))

#: Bytes of a number.
_FIXED = {
    0x05: 2, 0x06: 4, 0x07: 8, 0x0B: 1, 0x0C: 1, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x1C: 4, 0x1E: 16, 0x20: 8,
    0x24: 8, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4,
}  # fmt: skip
#: As wide as offsets are in this unit.
_OFFSETS = frozenset((0x0E, 0x10, 0x17, 0x1D, 0x1F, 0x1F20, 0x1F21))
_ULEB = frozenset((0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23, 0x1F01, 0x1F02))
#: Blocks by the width of their length; 0 for ULEB.
_BLOCKS = {0x03: 2, 0x04: 4, 0x0A: 1, 0x09: 0, 0x18: 0}


class Widths(NamedTuple):
    """What the size of some forms depends on."""

    offset: int
    address: int
    version: int


def number(data: bytes, pos: int, width: int) -> tuple[int, int]:
    """An unsigned number of *width* bytes, and the position after it."""
    end = pos + width
    if end > len(data):
        raise IndexError("ends early")
    return int.from_bytes(data[pos:end], "little"), end


def read_form(form: int, data: bytes, pos: int, widths: Widths) -> tuple[int | bytes, int]:
    """A value of that form, and the position after it. Texts inside the entry come as bytes, all others as numbers."""
    width = _FIXED.get(form)
    if width is not None:
        return number(data, pos, width)
    if form in _OFFSETS or (form == 0x10 and widths.version > 2):
        # In version 2 a reference across units (0x10) was as wide as an address.
        return number(data, pos, widths.address if form == 0x10 and widths.version == 2 else widths.offset)
    if form in _ULEB:
        return uleb(data, pos)
    if form == FORM_ADDR:
        return number(data, pos, widths.address)
    if form == FORM_STRING:
        return cstring(data, pos)
    if form in _BLOCKS:
        width = _BLOCKS[form]
        size, pos = number(data, pos, width) if width else uleb(data, pos)
        if pos + size > len(data):
            raise IndexError("ends early")
        return data[pos : pos + size], pos + size
    if form == 0x0D:
        return sleb(data, pos)
    if form == 0x19:  # present, by being named
        return 1, pos
    if form == FORM_INDIRECT:
        form, pos = uleb(data, pos)
        if form in {FORM_INDIRECT, FORM_IMPLICIT_CONST}:
            raise SymbolError("a form that names itself")
        return read_form(form, data, pos, widths)
    raise SymbolError(f"form {form:#x} is not known")


def text_of(form: int, value: int | bytes, strings: Mapping[int, Data]) -> str:
    """The text that a value stands for; empty if it can't be had. *strings* are the string sections by form."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    section = strings.get(form)
    return section.string(value) if section is not None else ""


class Abbreviation(NamedTuple):
    """The attributes of a kind of entry, as (attribute, form, value if it is written here)."""

    attributes: tuple[tuple[int, int, int], ...]


def read_abbreviations(data: bytes, wanted: int, limit: int) -> tuple[Abbreviation | None, int]:
    """The abbreviation of that code in a table that starts *data*, and how many were looked at. At most *limit* are."""
    pos = seen = 0
    while seen < limit:
        code, pos = uleb(data, pos)
        if code == 0:
            break
        _, pos = uleb(data, pos)
        pos += 1  # whether it has children
        attributes = []
        while True:
            attribute, pos = uleb(data, pos)
            form, pos = uleb(data, pos)
            if attribute == form == 0:
                break
            value = 0
            if form == FORM_IMPLICIT_CONST:
                value, pos = sleb(data, pos)
            if code == wanted:
                attributes.append((attribute, form, value))
        seen += 1
        if code == wanted:
            return Abbreviation(tuple(attributes)), seen
    return None, seen
