"""Where distributions put the symbols that they strip: files of their own, found by build id or by debug link.

A file that is not known to belong to the object is never used: the build ids must be the same, and for a debug link its
checksum must be right as well.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .binary import File, SymbolError
from .elf import Elf

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Folders, separated by colons, to look in instead of /usr/lib/debug.
PATH_VARIABLE = "SPPROF_DEBUG_PATH"
_DEFAULT = "/usr/lib/debug"


def _roots() -> list[str]:
    return [root for root in os.environ.get(PATH_VARIABLE, _DEFAULT).split(":") if os.path.isabs(root)]


def _opened(path: str, build_id: bytes, crc: int | None) -> Elf | None:
    """The file, if it exists and is the right one."""
    try:
        file = File(path)
    except SymbolError:
        return None
    try:
        if crc is None or file.crc32() == crc:
            elf = Elf(file, path)
            if elf.build_id == build_id:
                return elf
    except (SymbolError, OSError):
        pass
    file.close()
    return None


def _linked(path: str, elf: Elf) -> Iterator[tuple[str, int]]:
    """Where the file that a debug link names may be, and its checksum; as gdb looks for it."""
    link = elf.debug_link()
    if link is not None:
        name, crc = link
        folder = os.path.dirname(os.path.realpath(path))
        yield os.path.join(folder, name), crc
        yield os.path.join(folder, ".debug", name), crc
        for root in _roots():
            yield os.path.join(root, folder.lstrip("/"), name), crc


def find_debug_file(path: str, elf: Elf | None, build_id: bytes) -> Elf | None:
    """The file with the symbols of an object; *elf* is the object itself, if it can be had."""
    if len(build_id) > 1:
        text = build_id.hex()
        for root in _roots():
            found = _opened(os.path.join(root, ".build-id", text[:2], f"{text[2:]}.debug"), build_id, None)
            if found is not None:
                return found
    if elf is None:
        return None
    try:
        for candidate, crc in _linked(path, elf):
            # An object may name itself.
            if not (os.path.exists(candidate) and os.path.samefile(candidate, path)):
                found = _opened(candidate, build_id, crc)
                if found is not None:
                    return found
    except (SymbolError, OSError, ValueError):
        return None
    return None
