"""KeyboardInterrupt at a chosen place: as if Ctrl-C came just before the n-th line that spprof runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import spprof
from spprof import _session

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

PACKAGE = os.path.dirname(spprof.__file__) + os.sep


def interrupted_at(line: int, call: Callable[[], object], files: tuple[str, ...] = ()) -> KeyboardInterrupt | None:
    """Calls *call*, interrupted before its *line*-th line (from 1) in *files* of spprof (all if there are none).

    Returns the interrupt, caught; None if *call* ended before it came that far.
    """
    left = line
    allowed = tuple(PACKAGE + file for file in files) or (PACKAGE,)

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(allowed):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt as interrupt:
        return interrupt
    finally:
        sys.settrace(before)
        # A traced line lies between the end of a `with` block and its __exit__, where the interpreter itself interrupts
        # nobody (from 3.10 on): the lock is then kept by this thread, and the next test's threads would wait for it.
        while _session._lock._is_owned():  # type: ignore[attr-defined]
            _session._lock.release()
    return None
