"""Loading what a session needs, in one go, when it starts.

Late imports keep `import spprof` cheap; this is where they come to an end. At stop() it may be too late: the program may
have changed its folder, its root or sys.path. And a fork must not fall into an import: the child of another thread would
find a half-made module under a lock that nobody is there to release. So a fork waits for the few milliseconds.
"""

from __future__ import annotations

import _thread
import os
import sys

from ._backend import has_native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._base import PathLike

_lock = _thread.RLock()


def load(output_path: PathLike | None, *, native: bool = False) -> None:
    """Imports all that start() and stop() need, for saving to *output_path* as well if there is one, and *native* frames.

    Raises ValueError if no format is known for that path.
    """
    with _lock:
        import contextlib  # noqa: F401
        import functools  # noqa: F401
        import threading  # noqa: F401
        import warnings  # noqa: F401

        from . import _build  # noqa: F401

        if sys.version_info < (3, 11):
            from . import _qualnames  # noqa: F401
        if has_native:
            from . import _tasks  # noqa: F401
        if native:
            from . import (
                _native_frames,  # noqa: F401
                _symbols,  # noqa: F401
            )
        if output_path is not None:
            from .export import format_of, renderer

            name, compressed = format_of(output_path)
            renderer(name)
            if compressed:
                import gzip  # noqa: F401


def _before_fork() -> None:
    _lock.acquire()


def _after_fork() -> None:
    # In the child as well: its only thread is the one that has taken the lock.
    try:
        _lock.release()
    except RuntimeError:  # a signal handler's exception ended _before_fork()
        return


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
