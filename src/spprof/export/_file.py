"""A file that appears whole or not at all.

It is written under another name in the same folder, brought to the disk and renamed: whatever goes wrong, and whenever,
a reader finds the old file or the new one.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from .._base import PathLike


@contextmanager
def writing(path: PathLike, compressed: bool = False) -> Iterator[Callable[[bytes], object]]:
    """Gives a function that writes bytes, and puts them under *path* when the block ends without an error.

    Devices and pipes can't be replaced; they are written to directly. A link is followed, as ``open()`` does, and the
    permissions are those that ``open()`` would have left.

    Raises OSError, with *path* in it, if the file can't be written.
    """
    target = os.fsdecode(path)
    if is_special(target):
        with open(target, "wb") as file, _compressor(file, compressed) as write:
            yield write
        return
    target = os.path.realpath(target)
    descriptor, temporary = _create_beside(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with _compressor(file, compressed) as write:
                yield write
            file.flush()
            with suppress(OSError):  # keep the mode of a file that is there, as open() does
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(target).st_mode))
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, temporary):
            raise OSError(error.errno, os.strerror(error.errno), target) from error
        raise


def check_writable(path: PathLike) -> str:
    """Finds out now whether `writing` can work later, by making and removing its temporary file.

    Returns the absolute path, so that a later change of the current folder does not matter.
    Raises OSError with the path in it.
    """
    target = os.path.abspath(os.fsdecode(path))
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if is_special(target):
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
        return target
    descriptor, temporary = _create_beside(os.path.realpath(target), named=target)
    os.close(descriptor)
    os.unlink(temporary)
    return target


def is_special(path: str) -> bool:
    """Whether *path* is to be written to directly.

    That is so if it exists and is not a plain file, or leads to an open file of the process (``/dev/stdout``), which a
    rename would leave behind.
    """
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _create_beside(target: str, named: str | None = None) -> tuple[int, str]:
    """A new, empty file in the folder of *target*: descriptor and name. Errors name *named* (or *target*)."""
    folder, name = os.path.split(target)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), named or target)
    while True:
        # Not tempfile: it is slow to import, and makes files that only the owner may read. Cut so that the name stays
        # within the 255 bytes of a file name where the target's own name does.
        mark = f".{os.getpid()}-{os.urandom(4).hex()}.tmp"
        short = os.fsdecode(os.fsencode(name)[: 250 - len(mark)])
        temporary = os.path.join(folder, f".{short}{mark}")
        try:
            return os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666
            ), temporary
        except FileExistsError:
            continue
        except OSError as error:
            number = error.errno or errno.EIO
            raise OSError(number, os.strerror(number), named or target) from None


@contextmanager
def _compressor(file: BinaryIO, compressed: bool) -> Iterator[Callable[[bytes], object]]:
    if not compressed:
        yield file.write
        return
    import gzip

    # No name and no time inside: equal profiles give equal files.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=file, mtime=0) as packed:
        yield packed.write
