"""Bytes of files that nobody vouches for: read by position, within limits, and with one exception for all that is wrong.

Files are read, not mapped: when a mapped file is cut short by someone else, touching it is SIGBUS, the end of the
program that is being looked at.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The most that is held of one section, also after decompression.
SECTION_LIMIT = 256 << 20
#: The longest name or path that is believed.
STRING_LIMIT = 64 << 10


class SymbolError(Exception):
    """A file can't be used for symbols; the text says which and why."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Everything that broken input can make the readers raise leaves this block as SymbolError."""
    try:
        yield
    except SymbolError:
        raise
    except (struct.error, IndexError, KeyError, ValueError, ArithmeticError, EOFError, zlib.error) as error:
        raise SymbolError(f"{what}: damaged ({error})") from error
    except OSError as error:
        raise SymbolError(f"{what}: can't be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise SymbolError(f"{what}: too large for the memory there is") from error


class Data:
    """Bytes that are read by position: *size* of them, all in memory. Fails: SymbolError outside of them."""

    def __init__(self, held: bytes) -> None:
        self._held = held
        self.size = len(held)

    def window(self, offset: int, length: int) -> bytes:
        """At most *length* bytes from *offset* on: what there is of them."""
        return self._held[offset : offset + length] if offset >= 0 else b""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        if not (0 <= offset <= self.size and 0 <= length <= self.size - offset):
            raise SymbolError(f"{length} bytes at {offset:#x} are asked for where there are {self.size}")
        if length > SECTION_LIMIT:
            raise SymbolError(f"{length} bytes at a time are more than the {SECTION_LIMIT} that are read")
        found = self.window(offset, length)
        if len(found) != length:
            raise SymbolError(f"ends early, at {offset + len(found):#x}")
        return found

    def whole(self) -> bytes:
        """All of it."""
        return self.read(0, self.size)

    def string(self, offset: int) -> str:
        """The text that starts at *offset* and ends with a zero byte."""
        length = 256
        while True:
            found = self.window(offset, length)
            end = found.find(b"\0")
            if end >= 0:
                return found[:end].decode("utf-8", "backslashreplace")
            if len(found) < length or length >= STRING_LIMIT:
                raise SymbolError(f"no end of the text at {offset:#x}")
            length *= 16

    def close(self) -> None:
        """Gives back what the system lent for reading; reading again takes it again."""


class File(Data):
    """A regular file.

    Opened when first read. `close()` gives the descriptor back; reading after that opens the file again, and fails
    if it is another one by now.
    """

    def __init__(self, path: str) -> None:
        super().__init__(b"")
        self.path = path
        self._fd = -1
        self._identity: tuple[int, ...] = ()
        with reading(path):
            self._open()

    def _open(self) -> None:
        # Never hangs (a FIFO), never lets a child have the descriptor.
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        status = os.fstat(self._fd)
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise SymbolError(f"{self.path}: not a regular file")
        if self._identity not in ((), identity):
            self.close()
            raise SymbolError(f"{self.path}: changed while it was in use")
        self._identity = identity
        self.size = status.st_size

    def window(self, offset: int, length: int) -> bytes:
        if self._fd < 0:
            self._open()
        if not 0 <= offset < self.size:
            return b""
        length = min(length, self.size - offset)
        found = os.pread(self._fd, length, offset)
        while 0 < len(found) < length:
            more = os.pread(self._fd, length - len(found), offset + len(found))
            if not more:
                break
            found += more
        return found

    def crc32(self) -> int:
        """The checksum that ``.gnu_debuglink`` has."""
        crc = 0
        for offset in range(0, self.size, 1 << 20):
            crc = zlib.crc32(self.window(offset, 1 << 20), crc)
        return crc

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class Part(Data):
    """A part of other data."""

    def __init__(self, data: Data, offset: int, size: int) -> None:
        super().__init__(b"")
        if not (0 <= offset <= data.size and 0 <= size <= data.size - offset):
            raise SymbolError(f"{size} bytes at {offset:#x} lie outside of the file's {data.size}")
        self._data = data
        self._offset = offset
        self.size = size

    def window(self, offset: int, length: int) -> bytes:
        if not 0 <= offset < self.size:
            return b""
        return self._data.window(self._offset + offset, min(length, self.size - offset))


def uleb(data: bytes, pos: int) -> tuple[int, int]:
    """An unsigned LEB128 number at *pos*, and the position after it. Fails: IndexError, SymbolError."""
    byte = data[pos]
    if byte < 0x80:
        return byte, pos + 1
    value = byte & 0x7F
    for shift in range(7, 70, 7):
        pos += 1
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos + 1
    raise SymbolError("a number of more than ten bytes")


def sleb(data: bytes, pos: int) -> tuple[int, int]:
    """A signed LEB128 number at *pos*, and the position after it. Fails: IndexError, SymbolError."""
    value, after = uleb(data, pos)
    if data[after - 1] & 0x40:
        value -= 1 << 7 * (after - pos)
    return value, after


def cstring(data: bytes, pos: int) -> tuple[bytes, int]:
    """The bytes up to the next zero byte, and the position after that one. Fails: ValueError."""
    end = data.index(b"\0", pos)
    return data[pos:end], end + 1
