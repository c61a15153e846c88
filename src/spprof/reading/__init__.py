"""Reading profiles from files: which format a file is of, and whose reader that is.

    .spprof       all that spprof knows               spprof.py
    pprof         also other profilers'               pprof.py
    speedscope    also other profilers'               speedscope.py
    collapsed     also other profilers'               collapsed.py

The contents say which it is, so that a file may have any name. Files come from elsewhere: nothing in them is believed, each
damage is a `ProfileFileError`, and what is unpacked has a limit.
"""

from __future__ import annotations

import os

from .._errors import ProfileFileError
from ..export._container import SIGNATURE, opened
from ._assumptions import UNITS as UNITS
from ._assumptions import Assumptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._base import PathLike
    from .._profile import Profile

    Reader = Callable[[bytes, Assumptions], Profile]

#: What a text never has and a protocol buffer always.
_NOT_TEXT = frozenset(range(9))


def load(
    path: PathLike, *, unit: str | None = None, mode: str | None = None, interval_ms: float | None = None
) -> Profile:
    """The profile in a file; see `Profile.load`."""
    assumed = Assumptions(unit, mode, interval_ms)
    with open(path, "rb") as file:
        data = file.read()
    try:
        data = opened(data)
        return _reader(data, os.fsdecode(path).lower())(data, assumed)
    except ProfileFileError as error:
        told = ProfileFileError(f"{os.fsdecode(path)}: {error}")
        told.partial = error.partial
        raise told from None
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        # What a reader stumbles over is the file's fault.
        raise ProfileFileError(f"{os.fsdecode(path)}: it is damaged ({type(error).__name__}: {error!s:.200})") from None


def _reader(data: bytes, name: str) -> Reader:
    """The reader of the format that *data* has."""
    if data.startswith(SIGNATURE) or name.endswith((".spprof", ".spprof.gz")):
        from .spprof import read as spprof

        return lambda data, _: spprof(data)
    if not data:
        raise ProfileFileError("it is empty")
    if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):  # a stack may begin with a mark: "["
        from .speedscope import read as speedscope

        return speedscope
    if not _NOT_TEXT.isdisjoint(data[:4096]):
        from .pprof import read as pprof

        return pprof
    from .collapsed import read as collapsed

    return collapsed
