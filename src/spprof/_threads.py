"""Threads, as Python sees them: caught at birth, named, and registered by hand if someone likes to.

While a session runs, the functions that start Python threads are wrapped, so that a new thread is sampled from its
first instruction on and not only when the sampler finds it. Threads started in C are found by the sampler itself.
"""

from __future__ import annotations

import _thread

from ._backend import backend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

# Every name under which CPython keeps them, 3.9 to 3.15; `threading` has its own copies.
_IN_THREAD = ("start_new_thread", "start_new", "start_joinable_thread")
_IN_THREADING = ("_start_new_thread", "_start_joinable_thread")
# Where these have put theirs, a "thread" is a greenlet of the calling thread: nothing to arm, and not its name.
_GREEN = ("gevent.", "eventlet.")

_armed = False
_installed: list[tuple[Any, str, Any, Any]] = []  # module, name, original, ours


def install() -> None:
    """Wraps the thread-start functions, until `uninstall`."""
    global _armed
    import threading

    for module, names in ((_thread, _IN_THREAD), (threading, _IN_THREADING)):
        for name in names:
            original = getattr(module, name, None)
            if original is None or str(getattr(original, "__module__", "")).startswith(_GREEN):
                continue
            ours = backend.arming(original, _armed_target)
            _installed.append((module, name, original, ours))
            setattr(module, name, ours)
    _armed = True


def uninstall() -> None:
    """Puts the original functions back.

    Where someone has put another function over ours since, it stays: it may well call ours, which from now on only
    passes calls through.
    """
    global _armed
    _armed = False
    while _installed:
        module, name, original, ours = _installed[-1]
        if getattr(module, name, None) is ours:
            setattr(module, name, original)
        _installed.pop()


def thread_names() -> dict[int, str]:
    """Names by native id of the threads that `threading` knows and that are running."""
    import threading

    names = {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id is not None}
    # In a forked child the thread that forked still has its parent's id there (before 3.13).
    own = next((thread for thread in threading.enumerate() if thread.ident == _thread.get_ident()), None)
    if own is not None:
        names[_thread.get_native_id()] = own.name
    return names


def register_thread() -> bool:
    """Makes sure that the calling thread is sampled.

    Never needed: every thread is sampled anyway, from its start. Kept for programs that call it, and to ask.
    Returns whether the thread is being sampled now, that is False if no session is active.
    """
    return bool(backend.register_thread())


def unregister_thread() -> bool:
    """Takes back `register_thread` of the calling thread, which goes on being sampled.

    Returns whether it had been registered.
    """
    return bool(backend.unregister_thread())


class ThreadProfiler:
    """``with ThreadProfiler():`` registers the calling thread for the time of the block.

    Does nothing, and is no error, while no session is active.
    """

    def __init__(self) -> None:
        self._registered = False

    def __enter__(self) -> ThreadProfiler:  # typing.Self is 3.11's
        self._registered = register_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._registered:
            self._registered = False
            unregister_thread()


def _armed_target(target: Any) -> Any:
    """*target*, wrapped so that the new thread is sampled at once, while a session is active.

    What can't be called is left as it is, for the original to complain about; so is what is wrapped already (which
    happens when our wrapper of an earlier session lies under someone else's).
    """
    if not _armed or not callable(target) or type(target) is backend.ThreadStart:
        return target
    return backend.ThreadStart(target)
