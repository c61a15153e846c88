"""Line programs: the file and line of addresses, from one unit of `.debug_line` (DWARF 2 to 5).

A unit is decoded as a whole, since nothing can be skipped in it, but rows are kept for one sequence at a time and only
what was asked for is taken out: memory is that of the largest sequence.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from .binary import SymbolError, cstring, sleb, uleb
from .forms import FORM_LINE_STRP, FORM_STRING, FORM_STRP, Widths, number, read_form, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .binary import Data

#: Rows of one sequence, entries of one table of files. Both are ten times more than the largest programs have.
ROWS_LIMIT = 4_000_000
FILES_LIMIT = 1_000_000
_STRIDE = 1 << 20
#: A unit that claims to be longer than that is not read.
UNIT_LIMIT = 128 << 20
_PATH, _DIRECTORY = 1, 2

#: The numbers of operands of the standard opcodes, from 1 on; a file with others was never seen.
_OPERANDS = b"\0\1\1\1\1\0\0\0\1\0\0\1"
#: Statement, block, prologue and epilogue: only debuggers need them.
_WITHOUT_EFFECT = frozenset((6, 7, 10, 11))


class Program(NamedTuple):
    """The header of a line program."""

    data: bytes
    widths: Widths
    tables: int  # where the tables of folders and files are
    start: int  # of the instructions
    min_length: int
    line_base: int
    line_range: int
    opcode_base: int
    operands: bytes  # how many each standard opcode has, from 1 on


def read_unit(section: Data, offset: int) -> tuple[Program, int]:
    """The line program at that offset of `.debug_line`, and the offset of the next one. Fails: SymbolError, IndexError."""
    head = section.read(offset, 4)
    size, offset_size, at = int.from_bytes(head, "little"), 4, offset + 4
    if size == 0xFFFFFFFF:
        size, offset_size, at = int.from_bytes(section.read(at, 8), "little"), 8, offset + 12
    elif size >= 0xFFFFFFF0:
        raise SymbolError(f"a unit of reserved length {size:#x}")
    if size > UNIT_LIMIT:
        raise SymbolError(f"a unit of {size} bytes")
    data = section.read(at, size)
    version, pos = number(data, 0, 2)
    if not 2 <= version <= 5:
        raise SymbolError(f"DWARF version {version} of line tables is not known")
    address_size = 8
    if version >= 5:
        address_size, pos = data[pos], pos + 2  # and the size of segment selectors
    header_length, pos = number(data, pos, offset_size)
    start = pos + header_length
    min_length, pos = data[pos], pos + 1
    if version >= 4:
        if data[pos] != 1:
            raise SymbolError("several operations per instruction")
        pos += 1
    line_base, line_range, opcode_base = data[pos + 1], data[pos + 2], data[pos + 3]
    if line_base >= 128:
        line_base -= 256
    pos += 4
    operands = b"\0" + data[pos : pos + opcode_base - 1]
    if line_range == 0 or len(operands) != max(opcode_base, 1) or opcode_base == 0 or start > len(data):
        raise SymbolError("a header that can't be right")
    if not _OPERANDS.startswith(operands[1:13]):
        raise SymbolError("standard opcodes with other operands")
    program = Program(
        data, Widths(offset_size, address_size, version), pos + opcode_base - 1, start, min_length, line_base,
        line_range, opcode_base, operands,
    )  # fmt: skip
    return program, at + size


class _Rows:
    """The rows of a sequence, as far as they answer what is asked."""

    def __init__(self, wanted: Sequence[int]) -> None:
        self.wanted = wanted  # sorted
        self.found: dict[int, tuple[int, int]] = {}  # address: number of file, line

    def answer(self, addresses: list[int], lines: list[int], files: list[tuple[int, int]], end: int) -> None:
        """Takes out of a whole sequence what is wanted of it. *files* are (first row, number of file)."""
        start = addresses[0]
        # A sequence at 0 is of a function that the linker left out.
        if start == 0 or end <= start:
            return
        low, high = bisect_left(self.wanted, start), bisect_left(self.wanted, end)
        if low == high:
            return
        if any(map(int.__gt__, addresses, addresses[1:])):  # must rise, and is not sorted in some hand-written code
            order = sorted(range(len(addresses)), key=addresses.__getitem__)
            numbers = [files[bisect_right(files, (row, 1 << 70)) - 1][1] for row in order]
            addresses, lines = [addresses[row] for row in order], [lines[row] for row in order]
            files = list(enumerate(numbers))
        for address in self.wanted[low:high]:
            row = bisect_right(addresses, address) - 1
            if row >= 0:
                file = files[bisect_right(files, (row, 1 << 70)) - 1][1]
                self.found.setdefault(address, (file, lines[row]))


def run(program: Program, wanted: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The number of the file, and the line, of those of the *wanted* addresses (sorted) that the program knows.

    Fails: SymbolError, IndexError.
    """
    data, min_length, opcode_base, line_base = program.data, program.min_length, program.opcode_base, program.line_base
    # What each special opcode adds to address and line.
    steps = [
        ((op - opcode_base) // program.line_range * min_length, line_base + (op - opcode_base) % program.line_range)
        if op >= opcode_base
        else (0, 0)
        for op in range(256)
    ]
    const_add_pc = (255 - opcode_base) // program.line_range * min_length
    rows = _Rows(wanted)
    addresses: list[int] = []
    lines: list[int] = []
    files: list[tuple[int, int]] = [(0, 1)]
    address, line, last = 0, 1, len(data)
    pos = program.start
    while pos < last:
        # Each row takes a byte at least, so that it is enough to count them now and then.
        stop = min(last, pos + _STRIDE)
        while pos < stop:
            op = data[pos]
            pos += 1
            if op >= opcode_base:
                more, down = steps[op]
                address += more
                line += down
                addresses.append(address)
                lines.append(line)
            elif op == 5:  # set_column; most of a program are this one and special opcodes
                while data[pos] >= 0x80:
                    pos += 1
                pos += 1
            elif op in _WITHOUT_EFFECT:
                continue
            elif op == 1:  # copy
                addresses.append(address)
                lines.append(line)
            elif op == 3:  # advance_line
                down = data[pos]
                if down < 0x80:
                    pos += 1
                    line += down - 128 if down & 0x40 else down
                else:
                    down, pos = sleb(data, pos)
                    line += down
            elif op == 0:
                size, pos = uleb(data, pos)
                if size == 0:
                    continue
                kind = data[pos]
                if kind == 2:  # set_address
                    address, _ = number(data, pos + 1, min(size - 1, 8))
                elif kind == 1:  # end_sequence
                    if addresses:
                        rows.answer(addresses, lines, files, address)
                        if len(rows.found) == len(wanted):
                            return rows.found
                    addresses, lines, files, address, line = [], [], [(0, 1)], 0, 1
                pos += size
            elif op == 8:  # const_add_pc
                address += const_add_pc
            elif op == 2:  # advance_pc
                more, pos = uleb(data, pos)
                address += more * min_length
            elif op == 4:  # set_file
                file, pos = uleb(data, pos)
                files.append((len(addresses), file))
            elif op == 9:  # fixed_advance_pc
                more, pos = number(data, pos, 2)
                address += more
            else:  # isa, and what later versions may add
                for _ in range(program.operands[op]):
                    _, pos = uleb(data, pos)
        if len(addresses) > ROWS_LIMIT or len(files) > ROWS_LIMIT:
            raise SymbolError(f"a sequence of more than {ROWS_LIMIT} rows")
    return rows.found


class Files:
    """The names of a program's files, by number. *folder* is where the compiler ran. Fails: SymbolError, IndexError."""

    def __init__(self, program: Program, folder: str, strings: Mapping[int, Data]) -> None:
        self._folder = folder
        self._strings = strings
        self._program = program
        self._shown: dict[int, str] = {}
        if program.widths.version >= 5:
            self._first = 0
            pos = program.tables
            folders, pos = self._table(pos)
            self._folders = [name for name, _ in folders]
            self._files, _ = self._table(pos)
        else:
            self._first = 1
            self._folders = [folder]
            self._files = []
            self._read_old(program.data, program.tables)

    def _read_old(self, data: bytes, pos: int) -> None:
        while len(self._folders) < FILES_LIMIT:
            name, pos = cstring(data, pos)
            if not name:
                break
            self._folders.append(name.decode("utf-8", "backslashreplace"))
        while len(self._files) < FILES_LIMIT:
            name, pos = cstring(data, pos)
            if not name:
                break
            folder, pos = uleb(data, pos)
            _, pos = uleb(data, pos)  # time
            _, pos = uleb(data, pos)  # size
            self._files.append((name.decode("utf-8", "backslashreplace"), folder))

    def _table(self, pos: int) -> tuple[list[tuple[str, int]], int]:
        """A table of version 5: (name, number of its folder)."""
        data, widths = self._program.data, self._program.widths
        count, pos = data[pos], pos + 1
        fields = []
        for _ in range(count):
            content, pos = uleb(data, pos)
            form, pos = uleb(data, pos)
            fields.append((content, form))
        entries, pos = uleb(data, pos)
        if entries > min(FILES_LIMIT, len(data)):
            raise SymbolError(f"a table of {entries} files")
        table: list[tuple[str, int]] = []
        for _ in range(entries):
            name, folder = "", 0
            for content, form in fields:
                value, pos = read_form(form, data, pos, widths)
                if content == _PATH:
                    name = text_of(form, value, self._strings)
                elif content == _DIRECTORY and isinstance(value, int):
                    folder = value
            table.append((name, folder))
        return table, pos

    def name(self, number_of_file: int) -> str:
        """The path of a file, as the compiler knew it; empty for a number that there is no file for."""
        shown = self._shown.get(number_of_file)
        if shown is None:
            shown = self._shown[number_of_file] = self._path(number_of_file - self._first)
        return shown

    def _path(self, index: int) -> str:
        if not 0 <= index < len(self._files):
            return ""
        name, number_of_folder = self._files[index]
        folder = self._folders[number_of_folder] if 0 <= number_of_folder < len(self._folders) else ""
        # Not os.path: these paths are of the machine that compiled, and of a system like this one.
        path = posixpath.join(self._folder, folder, name)
        return posixpath.normpath(path) if name else ""


#: Which sections texts are in, by form.
STRING_SECTIONS = {FORM_STRP: ".debug_str", FORM_LINE_STRP: ".debug_line_str"}
assert FORM_STRING not in STRING_SECTIONS
