"""Symbol tables: which function is at an address, where a function is.

Symbols stay the bytes that they are in the file; what is made of them is a sorted array of addresses (12 bytes each).
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from .binary import SymbolError, reading
from .elf import SHF_EXECINSTR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from .elf import Elf, Section

STT_FUNC, STT_GNU_IFUNC = 2, 10
_FUNCTIONS = frozenset((STT_FUNC, STT_GNU_IFUNC))
_SYMBOL = struct.Struct("<IBBHQQ")
#: Local, global, weak: which of several names of one place is shown.
_RANK = {1: 0, 2: 1, 0: 2}
#: How far back a function is looked for that goes on behind a smaller one inside it, and how many names a place has.
_STEPS_BACK = 64
#: What compilers append to the name of a part or copy of a function.
_PART = re.compile(r"(?:\.(?:cold|part|isra|constprop|lto_priv|localalias|llvm|__uniq|warm|hot|unlikely)(?:\.\d+)*)+\Z")


class Function(NamedTuple):
    """A function or a part of one: its name in the symbol table, [start, end) as the file counts addresses."""

    name: str
    start: int
    end: int


def base_name(name: str) -> str:
    """The name of the function in the source that this is a part or a copy of: ``f`` for ``f.constprop.0.cold``."""
    return _PART.sub("", name)


class SymbolTable:
    """The functions of one symbol table of one file. Fails: SymbolError, if it is damaged.

    complete: whether no function is missing. Only then does one without a size (assembler code often has none) go on up to the
        next one; in the table of a stripped file, all that it doesn't export would count as part of it.
    """

    def __init__(self, elf: Elf, section: Section, complete: bool) -> None:
        self._complete = complete
        with reading(f"{elf.name}: {section.name}"):
            if not 0 < section.link < len(elf.sections):
                raise SymbolError(f"{elf.name}: {section.name} has no names")
            raw = elf.contents(section).whole()
            self._symbols = raw[: len(raw) - len(raw) % _SYMBOL.size]
            self._names = elf.contents(elf.sections[section.link]).whole()
        # One number for each symbol sorts fast: address, then place in the table.
        keys = [
            value << 32 | index
            for index, (_, info, _, section_index, value, _) in enumerate(_SYMBOL.iter_unpack(self._symbols))
            if info & 15 in _FUNCTIONS and section_index and value
        ]
        keys.sort()
        self._starts = array("Q", [key >> 32 for key in keys])
        self._indices = array("I", [key & 0xFFFFFFFF for key in keys])
        self._code: list[tuple[int, int]] = sorted(
            (s.address, min(s.address + s.size, 1 << 64)) for s in elf.sections if s.flags & SHF_EXECINSTR and s.size
        )

    def __len__(self) -> int:
        return len(self._starts)

    def _name(self, offset: int) -> str:
        end = self._names.find(b"\0", offset)
        if end < 0:
            return ""
        name = self._names[offset:end].decode("utf-8", "backslashreplace")
        return name.partition("@")[0]  # of "memcpy@@GLIBC_2.14"

    def _code_end(self, address: int) -> int:
        """The end of the code section that this address lies in, or the address itself."""
        index = bisect_right(self._code, (address, 1 << 64)) - 1
        end = self._code[index][1] if index >= 0 else 0
        return max(end, address)

    def _end(self, position: int, size: int) -> int:
        """The end of a function."""
        start: int = self._starts[position]
        if size:
            return min(start + size, 1 << 64)
        if not self._complete:
            return start + 1
        after = bisect_right(self._starts, start, position)
        end = self._code_end(start)
        return min(end, self._starts[after]) if after < len(self._starts) else end

    def _symbol(self, position: int) -> tuple[int, int, int]:
        """Offset of the name, binding, size."""
        name, info, _, _, _, size = _SYMBOL.unpack_from(self._symbols, self._indices[position] * _SYMBOL.size)
        return name, info >> 4, size

    def at(self, address: int) -> Function | None:
        """The innermost function that this address lies in."""
        position = bisect_right(self._starts, address) - 1
        found: list[tuple[tuple[int, int, int, str], Function]] = []
        for there in range(position, max(position - _STEPS_BACK, -1), -1):
            start = self._starts[there]
            if found and start != found[0][1].start:
                break
            name_offset, binding, size = self._symbol(there)
            end = self._end(there, size)
            name = self._name(name_offset) if address < end else ""
            if name:
                # A name that a person gave rather than one that a library's inside goes by: `write`, not `__write`.
                underscores = len(name) - len(name.lstrip("_"))
                found.append(((not size, _RANK.get(binding, 3), underscores, name), Function(name, start, end)))
        return min(found)[1] if found else None

    def named(self, wanted: Collection[str] | Callable[[str], bool]) -> Iterator[Function]:
        """Functions, and parts of functions, whose name is wanted."""
        accepts = wanted if callable(wanted) else frozenset(wanted).__contains__
        for position, start in enumerate(self._starts):
            name_offset, _, size = self._symbol(position)
            name = self._name(name_offset)
            if name and (accepts(name) or accepts(base_name(name))):
                yield Function(name, start, self._end(position, size))


def tables_of(elf: Elf) -> list[SymbolTable]:
    """What there is of symbol tables in a file: the full one, else those that together come closest to it."""
    full = elf.find(".symtab")
    if full is not None:
        return [SymbolTable(elf, full, complete=True)]
    found = []
    try:
        mini = elf.mini_debug_info()
        inner = mini.find(".symtab") if mini is not None else None
        if mini is not None and inner is not None:
            found.append(SymbolTable(mini, inner, complete=False))
    except SymbolError:
        pass  # the names that the file itself has are still good
    exported = elf.find(".dynsym")
    if exported is not None:
        found.append(SymbolTable(elf, exported, complete=False))
    return found
