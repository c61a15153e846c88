"""File names that nobody has taken, for processes that write without being asked each time."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress

from spprof.export import COMPRESSED, FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def reserved(path: str) -> Iterator[str]:
    """A name for a new file: *path*, or with -1, -2 and so on before its ending if that is taken.

    It is taken at once, by an empty file, so that of two processes with the same wish each gets a name of its own; and given
    back if the block fails. Devices and pipes are nobody's, and given as they are.
    """
    if _is_special(path):
        yield path
        return
    for candidate in names(path):
        with suppress(FileExistsError):
            os.close(os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            break
    try:
        yield candidate
    except BaseException:
        with suppress(OSError):
            os.unlink(candidate)
        raise


def names(path: str) -> Iterator[str]:
    """*path*, and then, without end, that with -1, -2 and so on before its ending."""
    from itertools import count

    yield path
    stem, ending = divided(path)
    for number in count(1):
        yield f"{stem}-{number}{ending}"


def divided(path: str) -> tuple[str, str]:
    """*path* in two: the second part is the ending that tells the format, or what looks like one."""
    whole = path[: -len(COMPRESSED)] if path.lower().endswith(COMPRESSED) else path
    known = [ending for endings in FORMATS.values() for ending in endings if whole.lower().endswith(ending)]
    if known:
        length = len(whole) - max(map(len, known))
    else:
        length = len(os.path.splitext(whole)[0])
    return path[:length], path[length:]


def _is_special(path: str) -> bool:
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
