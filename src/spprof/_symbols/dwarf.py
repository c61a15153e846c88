"""From addresses to lines: which unit an address belongs to, then its line program (see line.py).

Units are found by `.debug_aranges`; those that it leaves out (clang writes none) by the ranges in their first entry; and
those without either, or a file without `.debug_info`, by decoding line programs one after the other.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from . import line
from .binary import Data, SymbolError, reading, uleb
from .forms import (
    ADDRESS_INDICES,
    FORM_ADDR,
    FORM_RNGLISTX,
    STRING_INDICES,
    Abbreviation,
    Widths,
    number,
    read_abbreviations,
    read_form,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .elf import Elf

AT_NAME, AT_STMT_LIST, AT_LOW_PC, AT_HIGH_PC, AT_COMP_DIR, AT_RANGES = 0x03, 0x10, 0x11, 0x12, 0x1B, 0x55
AT_STR_OFFSETS_BASE, AT_ADDR_BASE, AT_RNGLISTS_BASE, AT_GNU_ADDR_BASE = 0x72, 0x73, 0x74, 0x2133
_TYPE_UNITS = frozenset((2, 6))
_UNITS_WITH_ID = frozenset((4, 5))
#: Units, abbreviations, ranges and 16 bytes of line programs that are looked at in one go before a file is taken for a trap.
WORK_LIMIT = 20_000_000
#: First try and limit of what is read of a unit's first entry, and of an abbreviation table.
_ENTRY, _ENTRY_LIMIT = 4096, 1 << 20
#: Units that claim the same address and are tried for it.
_CLAIMS = 8


class _Unit(NamedTuple):
    """The head of a compilation unit in `.debug_info`."""

    offset: int
    end: int
    entry: int  # where its first entry is
    abbreviations: int
    widths: Widths


class _Entry(NamedTuple):
    """What the first entry of a unit says that matters here."""

    line_program: int  # -1: none
    folder: str
    ranges: list[tuple[int, int]]


class Dwarf:
    """The line tables of a file. Fails: SymbolError, if nothing can be made of them."""

    def __init__(self, elf: Elf) -> None:
        self.name = elf.name
        self._elf = elf
        self._sections: dict[str, Data | None] = {}
        self._strings = {
            form: data for form, name in line.STRING_SECTIONS.items() if (data := self._section(name)) is not None
        }
        self._abbreviations: dict[tuple[int, int], Abbreviation | None] = {}
        self._entries: dict[int, _Entry] = {}
        self._units: dict[int, _Unit] = {}
        self._left = WORK_LIMIT
        self._starts: list[int] = []
        self._ranges: list[tuple[int, int, int]] = []  # start, end, unit; sorted
        self._reach: list[int] = []  # the largest end so far
        self._elsewhere: list[int] = []  # units that do not say where they are
        lines = self._section(".debug_line")
        if lines is None:
            raise SymbolError(f"{self.name}: no line table")
        self._lines = lines
        with reading(f"{self.name}: DWARF"):
            self._find_units()

    def _section(self, name: str) -> Data | None:
        if name not in self._sections:
            try:
                self._sections[name] = self._elf.section(name)
            except SymbolError:
                self._sections[name] = None  # what does not need it still works
        return self._sections[name]

    def _work(self, amount: int = 1) -> None:
        self._left -= amount
        if self._left < 0:
            raise SymbolError(f"{self.name}: more debug information than is looked at")

    # ----------------------------------------------------------------------------------------------- which unit

    def _find_units(self) -> None:
        info = self._section(".debug_info")
        if info is None:
            return
        ranges: list[tuple[int, int, int]] = []
        try:
            for unit in self._read_units(info):
                self._units[unit.offset] = unit
        except (SymbolError, IndexError):
            pass  # those before the damage are good
        listed = set()
        try:
            for start, end, offset in self._read_aranges():
                listed.add(offset)
                ranges.append((start, end, offset))
        except (SymbolError, IndexError):
            pass
        for offset in self._units:
            if offset in listed:
                continue
            try:
                found = self._entry(offset)
            except (SymbolError, IndexError, ValueError):
                continue
            ranges.extend((start, end, offset) for start, end in found.ranges)
            if not found.ranges and found.line_program >= 0:
                self._elsewhere.append(offset)
        self._ranges = sorted(r for r in ranges if 0 < r[0] < r[1])
        self._starts = [start for start, _, _ in self._ranges]
        reach = 0
        for _, end, _ in self._ranges:
            reach = max(reach, end)
            self._reach.append(reach)

    def _read_units(self, info: Data) -> Iterator[_Unit]:
        offset = 0
        while offset < info.size:
            self._work()
            head = info.window(offset, 48)
            size, pos = number(head, 0, 4)
            width = 4
            if size == 0xFFFFFFFF:
                size, pos = number(head, pos, 8)
                width = 8
            end = offset + pos + size
            version, pos = number(head, pos, 2)
            kind = 1
            if version >= 5:
                kind, address, pos = head[pos], head[pos + 1], pos + 2
                abbreviations, pos = number(head, pos, width)
                pos += 8 if kind in _UNITS_WITH_ID else 0
            else:
                abbreviations, pos = number(head, pos, width)
                address, pos = head[pos], pos + 1
            if 2 <= version <= 5 and kind not in _TYPE_UNITS and address in (4, 8):
                yield _Unit(offset, min(end, info.size), offset + pos, abbreviations, Widths(width, address, version))
            offset = end

    def _read_aranges(self) -> Iterator[tuple[int, int, int]]:
        """(start, end, unit) of each entry of `.debug_aranges`."""
        section = self._section(".debug_aranges")
        data = section.whole() if section is not None else b""
        at = 0
        while at < len(data):
            size, pos = number(data, at, 4)
            width = 4
            if size == 0xFFFFFFFF:
                size, pos = number(data, pos, 8)
                width = 8
            end = pos + size
            _, pos = number(data, pos, 2)
            unit, pos = number(data, pos, width)
            address, pos = data[pos], pos + 2  # and the size of segment selectors
            if address in (4, 8) and unit in self._units:
                pos += -(pos - at) % (2 * address)
                while pos + 2 * address <= min(end, len(data)):
                    self._work()
                    start = int.from_bytes(data[pos : pos + address], "little")
                    length = int.from_bytes(data[pos + address : pos + 2 * address], "little")
                    pos += 2 * address
                    if start == length == 0:
                        break
                    yield start, start + length, unit
            at = end

    def _claims(self, address: int) -> list[int]:
        """The units that say that this address is theirs, the closest first."""
        found: list[int] = []
        position = bisect_right(self._starts, address) - 1
        steps = 64
        while position >= 0 and self._reach[position] > address and len(found) < _CLAIMS and steps:
            _, end, unit = self._ranges[position]
            if end > address and unit not in found:
                found.append(unit)
            position -= 1
            steps -= 1
        return found

    # ---------------------------------------------------------------------------------------------- first entries

    def _entry(self, offset: int) -> _Entry:
        found = self._entries.get(offset)
        if found is None:
            found = self._entries[offset] = self._read_entry(self._units[offset])
        return found

    def _read_entry(self, unit: _Unit) -> _Entry:
        info = self._section(".debug_info")
        assert info is not None
        length = _ENTRY
        while True:
            self._work()
            data = info.window(unit.entry, min(length, unit.end - unit.entry))
            try:
                return self._parse_entry(unit, data)
            except (IndexError, ValueError):
                if length >= min(_ENTRY_LIMIT, unit.end - unit.entry):
                    raise
                length *= 16

    def _abbreviation(self, table: int, code: int) -> Abbreviation | None:
        key = (table, code)
        if key not in self._abbreviations:
            section = self._section(".debug_abbrev")
            length = _ENTRY
            while section is not None:
                try:
                    found, seen = read_abbreviations(section.window(table, length), code, self._left)
                except IndexError:
                    if length >= min(_ENTRY_LIMIT, section.size - table):
                        raise
                    length *= 16
                    continue
                self._work(seen)
                self._abbreviations[key] = found
                break
        return self._abbreviations.get(key)

    def _parse_entry(self, unit: _Unit, data: bytes) -> _Entry:
        code, pos = uleb(data, 0)
        abbreviation = self._abbreviation(unit.abbreviations, code)
        if abbreviation is None:
            raise SymbolError(f"{self.name}: a unit of an unknown kind")
        values: dict[int, tuple[int, int | bytes]] = {}
        for attribute, form, constant in abbreviation.attributes:
            if form == 0x21:
                values[attribute] = (form, constant)
            else:
                value, pos = read_form(form, data, pos, unit.widths)
                values[attribute] = (form, value)
        program = values.get(AT_STMT_LIST, (0, -1))[1]
        return _Entry(
            program if isinstance(program, int) else -1, self._text(unit, values), self._entry_ranges(unit, values)
        )

    def _text(self, unit: _Unit, values: dict[int, tuple[int, int | bytes]]) -> str:
        """The folder that a unit was compiled in; empty if it isn't known."""
        form, value = values.get(AT_COMP_DIR, (0, b""))
        try:
            if form in STRING_INDICES and isinstance(value, int):
                offsets, base = self._section(".debug_str_offsets"), _base(values, AT_STR_OFFSETS_BASE)
                if offsets is None or base is None:
                    return ""
                width = unit.widths.offset
                form, value = 0x0E, int.from_bytes(offsets.read(base + value * width, width), "little")
            return text_of(form, value, self._strings)
        except SymbolError:
            return ""

    def _address(self, unit: _Unit, form: int, value: int, base: int | None) -> int:
        """An address, which may be an index into `.debug_addr`."""
        if form not in ADDRESS_INDICES:
            return value
        table, width = self._section(".debug_addr"), unit.widths.address
        if table is None or base is None:
            raise SymbolError(f"{self.name}: an address without a table of addresses")
        return int.from_bytes(table.read(base + value * width, width), "little")

    def _entry_ranges(self, unit: _Unit, values: dict[int, tuple[int, int | bytes]]) -> list[tuple[int, int]]:
        addresses = _base(values, AT_ADDR_BASE)
        if addresses is None:
            addresses = _base(values, AT_GNU_ADDR_BASE)
        low_form, low_value = values.get(AT_LOW_PC, (0, 0))
        low = self._address(unit, low_form, low_value, addresses) if isinstance(low_value, int) else 0
        if AT_RANGES in values:
            form, at = values[AT_RANGES]
            if not isinstance(at, int):
                return []
            if unit.widths.version < 5:
                return list(self._old_ranges(unit, at, low))
            base = _base(values, AT_RNGLISTS_BASE)
            lists = self._section(".debug_rnglists")
            if lists is None:
                return []
            if form == FORM_RNGLISTX:
                if base is None:
                    return []
                width = unit.widths.offset
                at = base + int.from_bytes(lists.read(base + at * width, width), "little")
            return list(self._new_ranges(unit, lists, at, low, addresses))
        form, high = values.get(AT_HIGH_PC, (0, 0))
        if not isinstance(high, int) or AT_LOW_PC not in values:
            return []
        if form == FORM_ADDR or form in ADDRESS_INDICES:
            return [(low, self._address(unit, form, high, addresses))]
        return [(low, low + high)]

    def _old_ranges(self, unit: _Unit, at: int, base: int) -> Iterator[tuple[int, int]]:
        """A list of `.debug_ranges` (DWARF 3 and 4)."""
        section, width = self._section(".debug_ranges"), unit.widths.address
        while section is not None:
            self._work()
            data = section.read(at, 2 * width)
            start, end = int.from_bytes(data[:width], "little"), int.from_bytes(data[width:], "little")
            at += 2 * width
            if start == end == 0:
                return
            if start == (1 << 8 * width) - 1:
                base = end
            else:
                yield base + start, base + end

    def _new_ranges(
        self, unit: _Unit, lists: Data, at: int, base: int, addresses: int | None
    ) -> Iterator[tuple[int, int]]:
        """A list of `.debug_rnglists` (DWARF 5)."""
        width = unit.widths.address
        data, pos = lists.window(at, _ENTRY), 0
        while True:
            self._work()
            if pos + 40 > len(data):  # no entry is longer
                at, pos = at + pos, 0
                data = lists.window(at, _ENTRY)
            kind, pos = data[pos], pos + 1
            if kind == 0:
                return
            if kind in (1, 2, 3):
                index, pos = uleb(data, pos)
                first = self._address(unit, 0x1B, index, addresses)
                if kind == 1:
                    base = first
                    continue
                last, pos = uleb(data, pos)
                yield first, self._address(unit, 0x1B, last, addresses) if kind == 2 else first + last
            elif kind == 4:
                first, pos = uleb(data, pos)
                last, pos = uleb(data, pos)
                yield base + first, base + last
            elif kind == 5:
                base, pos = number(data, pos, width)
            elif kind in (6, 7):
                first, pos = number(data, pos, width)
                last, pos = number(data, pos, width) if kind == 6 else uleb(data, pos)
                yield first, last if kind == 6 else first + last
            else:
                raise SymbolError(f"{self.name}: ranges of an unknown kind")

    # ----------------------------------------------------------------------------------------------------- lines

    def places(self, addresses: Iterable[int]) -> dict[int, tuple[str, int]]:
        """File and line of those of the addresses that have them. Damage costs the units that it is in, no more."""
        self._left = WORK_LIMIT
        left = set(addresses)
        found: dict[int, tuple[str, int]] = {}
        claims = {address: self._claims(address) for address in left}
        for turn in range(_CLAIMS):
            by_unit: dict[int, list[int]] = {}
            for address in left:
                if turn < len(claims[address]):
                    by_unit.setdefault(claims[address][turn], []).append(address)
            if not by_unit:
                break
            for offset, wanted in by_unit.items():
                found.update(self._places_of_unit(offset, wanted))
            left -= found.keys()
        if left and not self._units:
            found.update(self._places_without_units(left))
            return found
        tried = set()
        for offset in self._elsewhere:
            if not left:
                break
            program = self._entries[offset].line_program
            if program in tried:
                continue  # several units may share one
            tried.add(program)
            found.update(self._places_of_unit(offset, left))
            left -= found.keys()
        return found

    def _places_of_unit(self, offset: int, wanted: Iterable[int]) -> dict[int, tuple[str, int]]:
        try:
            with reading(self.name):
                entry = self._entry(offset)
                return self._run(entry.line_program, entry.folder, wanted)[0] if entry.line_program >= 0 else {}
        except SymbolError:
            return {}

    def _places_without_units(self, left: set[int]) -> dict[int, tuple[str, int]]:
        """Without `.debug_info`: all line programs, one behind the other, until every address is found."""
        found: dict[int, tuple[str, int]] = {}
        offset = 0
        try:
            with reading(self.name):
                while left and offset < self._lines.size:
                    some, offset = self._run(offset, "", left)
                    found.update(some)
                    left = left - some.keys()
        except SymbolError:
            pass
        return found

    def _run(self, offset: int, folder: str, wanted: Iterable[int]) -> tuple[dict[int, tuple[str, int]], int]:
        """What one line program says about addresses, and where the next program is."""
        program, after = line.read_unit(self._lines, offset)
        self._work(len(program.data) >> 4)  # units that share a program run it again and again
        rows = line.run(program, sorted(wanted))
        found: dict[int, tuple[str, int]] = {}
        if rows:
            files = line.Files(program, folder, self._strings)
            for address, (file, at) in rows.items():
                name = files.name(file)
                # Line 0: the compiler made this up, no line of the source stands for it.
                if name:
                    found[address] = (name, at if 0 < at < 1 << 31 else 0)
        return found, after


def _base(values: dict[int, tuple[int, int | bytes]], attribute: int) -> int | None:
    value = values.get(attribute, (0, None))[1]
    return value if isinstance(value, int) else None
