"""Objects, and what is at their addresses: puts ELF, symbol tables, debug files, lines and demangling together.

What can't be found is left out, never guessed: without a name a place is still module and offset. In particular a file
whose build id is not that of the object that ran (replaced since, by an upgrade say) is not used for names.
"""

from __future__ import annotations

import os
import posixpath
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from .binary import File, SymbolError
from .debugfile import PATH_VARIABLE, find_debug_file
from .demangle import demangle
from .dwarf import Dwarf
from .elf import Elf
from .table import Function, SymbolTable, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

_DELETED = " (deleted)"
#: Objects whose tables and answers are kept; a process has some hundreds at most.
_KEPT = 64


class Symbol(NamedTuple):
    """What is at an address of an object.

    name: the function, demangled; empty if it is not known. A part that the compiler split off keeps its suffix (``f.cold``).
    file, line: where the instruction comes from, "" and 0 if not known. For inlined code that is the source of the
        inlined function, while *name* is the function that it was inlined into.
    module: the object's file name, offset: the address asked for.
    inlined: names of the functions inlined there, outermost first, if the reader knows them (this one does not).
    """

    name: str
    file: str
    line: int
    module: str
    offset: int
    inlined: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name, or module and offset (``libc.so.6+0x2724a``) where there is none."""
        return self.name or f"{self.module}+{self.offset:#x}"


class _Object:
    """One program or library. Reads its files when made, and keeps no file open between calls."""

    def __init__(self, path: str, build_id: bytes | None) -> None:
        self.problem = ""
        self.module = posixpath.basename(path.removesuffix(_DELETED)) or path or "[unknown]"
        self.symbols: dict[int, Symbol] = {}
        self._tables: list[SymbolTable] = []
        self._elfs: list[Elf] = []
        self._own: Elf | None = None
        self._dwarf: Dwarf | None = None
        self._with_lines: Elf | None = None
        if not path.startswith("/") or path.startswith(("//anon", "/memfd:", "/dev/zero", "/SYSV")):
            self.problem = f"{path or 'memory without a file'}: not a file"
            return
        try:
            self._read(path, build_id)
        finally:
            self.close()

    def _read(self, path: str, build_id: bytes | None) -> None:
        elf = None
        try:
            elf = self._own_file(path, build_id)
        except (SymbolError, ValueError) as error:
            self.problem = str(error)
        self._own = elf
        known = build_id or (elf.build_id if elf is not None else b"")
        elfs = [elf] if elf is not None else []
        if elf is None or not (elf.find(".symtab") and elf.has_lines()):
            debug = find_debug_file(path.removesuffix(_DELETED), elf, known)
            if debug is not None:
                elfs.append(debug)
                self.problem = self.problem if elf is not None else ""
        self._elfs = elfs
        # A stripped file's own names last: they are a few of those that its debug file has.
        for candidate in sorted(elfs, key=lambda e: e.find(".symtab") is None):
            try:
                self._tables += tables_of(candidate)
            except SymbolError as error:
                self.problem = str(error)
        self._with_lines = next((candidate for candidate in elfs if candidate.has_lines()), None)

    def _own_file(self, path: str, build_id: bytes | None) -> Elf:
        """The object's own file. Fails: SymbolError, if it is not what ran, or nobody can tell."""
        file_path = path.removesuffix(_DELETED)
        if path != file_path and not build_id:
            raise SymbolError(f"{file_path}: deleted or replaced since it was loaded")
        elf = Elf(File(file_path), file_path)
        if build_id is not None and elf.build_id != build_id:
            elf.data.close()
            raise SymbolError(
                f"{file_path}: replaced since it was loaded (build id {elf.build_id.hex() or 'missing'}, not "
                f"{build_id.hex() or 'missing'}); profile again with the file as it is now, or install the debug file"
            )
        return elf

    def close(self) -> None:
        for elf in self._elfs:
            elf.data.close()

    def bias(self, start: int, file_offset: int) -> int | None:
        # Of a debug file, segments say where things were in the program, not where they are in that file.
        address = self._own.code_address(file_offset) if self._own is not None else None
        return start - address if address is not None else None

    def look_up(self, offsets: Iterable[int]) -> None:
        """Puts answers for all these addresses into *symbols*."""
        new = {offset for offset in offsets if offset not in self.symbols}
        if not new:
            return
        places: dict[int, tuple[str, int]] = {}
        try:
            if self._dwarf is None and self._with_lines is not None:
                self._dwarf = Dwarf(self._with_lines)
            if self._dwarf is not None:
                places = self._dwarf.places(new)
        except SymbolError as error:
            self.problem = str(error)
            self._with_lines = None
        finally:
            self.close()
        for offset in new:
            function = self._function_at(offset)
            file, line = places.get(offset, ("", 0))
            name = demangle(function.name) if function is not None else ""
            self.symbols[offset] = Symbol(name, file, line, self.module, offset)

    def _function_at(self, offset: int) -> Function | None:
        for table in self._tables:
            found = table.at(offset)
            if found is not None:
                return found
        return None

    def named(self, wanted: Collection[str] | Callable[[str], bool]) -> list[Function]:
        return sorted(
            {found for table in self._tables for found in table.named(wanted)}, key=lambda f: (f.start, f.name)
        )


_objects: OrderedDict[tuple[object, ...], _Object] = OrderedDict()
_lock = Lock()


def _after_fork_in_child() -> None:
    """Another thread may have held the lock, in the middle of its work."""
    global _lock
    _lock = Lock()
    _objects.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _object(path: str, build_id: bytes | None) -> _Object:
    """*Context:* the lock is held."""
    try:
        status = os.stat(path)
        identity: tuple[object, ...] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError):
        identity = ()
    key = (path, build_id, os.environ.get(PATH_VARIABLE), *identity)
    found = _objects.get(key)
    if found is None:
        found = _objects[key] = _Object(path, build_id)
        while len(_objects) > _KEPT:
            _objects.popitem(last=False)
    else:
        _objects.move_to_end(key)
    return found


def symbolize(path: str, build_id: bytes | None, offsets: Iterable[int]) -> list[Symbol]:
    """What is at these addresses of an object, in their order; one look-up for each distinct address.

    path: as ``/proc/PID/maps`` has it, so perhaps ``[vdso]`` or with `` (deleted)`` at its end.
    build_id: of the object in memory; ``b""`` if it has none, None if nobody looked. A file with another one is not used.
    offsets: addresses as the file counts them (address in memory less the load bias), each 0 to 2**64-1. Of a return
        address, ask for the byte before it: the call, not what follows.

    Never fails because of what a file contains: what can't be read has no name (see `problem`). Give all addresses of
    an object at once: line programs are run again for each call that brings new ones.
    """
    offsets = list(offsets)
    for offset in offsets:
        if not 0 <= offset < 1 << 64:
            raise ValueError(f"an address is 0 to 2**64-1, not {offset}")
    with _lock:
        found = _object(path, build_id)
        found.look_up(offsets)
        return [found.symbols[offset] for offset in offsets]


def functions(path: str, build_id: bytes | None, wanted: Collection[str] | Callable[[str], bool]) -> list[Function]:
    """Where functions of an object are, in the order of addresses; empty if they aren't found.

    wanted: names, as the symbol table has them, or a function that says whether a name is wanted. Parts and copies
        that the compiler made of a function (``f.cold``, ``f.part.0``, ``f.isra.0``, ``f.constprop.0``) are found by
        its name.
    path, build_id: as for `symbolize`.
    """
    if isinstance(wanted, str):
        raise TypeError("wanted is a collection of names or a function, not one text")
    with _lock:
        return _object(path, build_id).named(wanted)


def load_bias(path: str, build_id: bytes | None, start: int, file_offset: int) -> int | None:
    """By how much addresses in memory exceed those in the file, of an object whose code is mapped at *start*.

    start, file_offset: of a mapping that can be executed, as in ``/proc/PID/maps``.
    path, build_id: as for `symbolize`. None if the file isn't there, or has no code at that offset.
    """
    with _lock:
        return _object(path, build_id).bias(start, file_offset)


def problem(path: str, build_id: bytes | None) -> str:
    """Why an object has no names or lines, in a sentence for people; empty if nothing is wrong."""
    with _lock:
        return _object(path, build_id).problem
