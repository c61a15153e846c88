"""The pure-Python sampler: for interpreters and systems for which there is no C extension.

A daemon thread looks at every other thread once an interval (`sys._current_frames`) and gives it the time that passed
since its last look: elapsed time, not CPU time, which Python code can't learn of another thread. It has the functions
of `spprof._native` and hands over the same dictionary, so that everything above it is one code path.

It needs the GIL to look, so it sees threads where they hand it over; and it costs more. It says so: `stats()` names the
tick source "wall (pure Python)".
"""

from __future__ import annotations

import os
import sys
import threading
import time
from _thread import start_new_thread  # taken here, before a session wraps it

from ._backend import reason
from ._fallback_store import MAX_DEPTH, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

free_threaded_build = "t" in getattr(sys, "abiflags", "")
free_threading_safe = True
max_depth = MAX_DEPTH
signal = 0  # samples are taken without one

_session: _Session | None = None  # the running, halted or last session
_lock = threading.Lock()


class _Session:
    """A session: the sampling thread, and the store it fills."""

    def __init__(self, interval_ns: int, memory_limit: int, mode: str) -> None:
        self.interval_ns = interval_ns
        self.mode = mode
        self.state = "active"  # then "pending", then "done"
        self.registered: set[int] = set()
        self.start_time = time.time()
        self.start = time.monotonic_ns()
        self.cpu_start = time.process_time_ns()
        self.cpu_ns = 0
        self.sampler_cpu_ns = 0
        self.duration_ns = 0
        self.ticks = 0
        self.overruns = 0
        self.store = Store(memory_limit)
        self.meet(())
        self.lock = threading.Lock()  # one look at a time
        self.ended = threading.Event()
        self.thread_runs = False
        self.thread_is_gone = threading.Event()

    def run(self) -> None:
        """The sampling thread. Unknown to `threading`: the program's threads are the program's."""
        try:
            self.look_at_intervals()
        finally:
            self.thread_is_gone.set()

    def look_at_intervals(self) -> None:
        due = time.monotonic_ns() + int.from_bytes(os.urandom(4), "little") * self.interval_ns // 2**32
        while not self.ended.wait(max(0, due - time.monotonic_ns()) / 1e9):
            with self.lock:
                if self.state != "active":
                    return
                self.look(threading.get_ident())
                self.ticks += 1
                self.sampler_cpu_ns = time.thread_time_ns()
            # Late looks are not made up for: the next one weighs what has passed.
            now = time.monotonic_ns()
            missed = max(0, now - due) // self.interval_ns
            self.overruns += missed
            due += (missed + 1) * self.interval_ns

    def look(self, own: int) -> None:
        """One sample of every thread but *own*. *Context:* with `lock`."""
        now = time.monotonic_ns() - self.start
        frames = self.meet((own,))  # none may outlive this call: its locals would
        for ident, frame in frames.items():
            self.store.add(ident, frame, now)
        self.store.last_look = now

    def meet(self, but: tuple[int, ...]) -> dict[int, FrameType]:
        """Brings the store's threads up to date. The running frames by ident, except those of *but*."""
        threads = _python_threads()
        frames = sys._current_frames()
        for ident in but:
            frames.pop(ident, None)
        for ident in frames:  # alive as long as this thread keeps the GIL
            thread = threads.get(ident)
            self.store.meet(ident, getattr(thread, "native_id", None), None if thread is None else thread.name)
        self.store.keep_only(frames)
        return frames

    def halt(self) -> None:
        with self.lock:
            if self.state != "active":
                return
            self.state = "pending"
            self.store.keep_only(sys._current_frames())
            self.duration_ns = time.monotonic_ns() - self.start
            self.cpu_ns = time.process_time_ns() - self.cpu_start
        self.ended.set()

    def stats(self) -> dict[str, Any]:
        active = self.state == "active"
        store = self.store
        duration = time.monotonic_ns() - self.start if active else self.duration_ns
        return {
            "active": active,
            "mode": self.mode,
            "collected": store.collected,
            "dropped": store.dropped,
            "interval_ns": self.interval_ns,
            "duration_ns": duration,
            "tick_source": "wall (pure Python)",
            "tick_reason": f"the C extension is not in use: {reason}",
            "threads_seen": len(store.threads),
            "threads_live": len(store.live),
            "threads_by_source": {"wall (pure Python)": len(store.live)},
            "cpu_ns": time.process_time_ns() - self.cpu_start if active else self.cpu_ns,
            "unsampled_ns": store.unsampled_ns(None if active else duration),
            "dropped_ns": store.dropped_ns,
            "memory_bytes": store.memory_bytes,
            "memory_limit": store.memory_limit,
            "sampler_cpu_ns": self.sampler_cpu_ns,
            "ticks": self.ticks,
            "overruns": self.overruns,
        }


def start(
    *,
    interval_ns: int,
    memory_limit: int,
    tick: str = "auto",  # noqa: ARG001
    mode: str = "wall",
    thread_names: dict[int, str] | None = None,  # noqa: ARG001
    native: str = "off",
    evaluation_loops: list[tuple[int, int]] | None = None,  # noqa: ARG001
) -> None:
    """Starts sampling. A halted session is discarded.

    *tick* and *thread_names* are of no use here: there is one source, and `threading` is asked at each look.

    Raises RuntimeError if a session is active or frames of C code are asked for, OSError if no thread can be started.
    """
    if native != "off":
        own_stack()
    global _session
    with _lock:
        if _session is not None and _session.state == "active":
            raise RuntimeError("Profiler already running")
        session = _Session(interval_ns, memory_limit, mode)
        previous, _session = _session, session
        try:
            start_new_thread(session.run, ())
            session.thread_runs = True
        except RuntimeError as error:
            _session = previous
            raise OSError(None, f"the sampling thread can't be started: {error}") from error
        except BaseException:  # interrupted: as if it had never been
            session.halt()
            session.state, _session = "done", previous
            raise


def halt() -> None:
    """Ends sampling: no thread is looked at after this returns. No error if that was done already.

    Raises RuntimeError if there is no session, or only one that has been collected.
    """
    session = _session
    if session is None or session.state == "done":
        raise RuntimeError("Profiler not running")
    session.halt()
    if session.thread_runs:  # False: start() was interrupted
        session.thread_is_gone.wait()


def collect(thread_names: dict[int, str], qualnames: dict[int, str] | None) -> dict[str, Any]:
    """What the halted session has recorded, in the form that ``spprof._native.collect`` gives it.

    Raises RuntimeError if no session is halted.
    """
    session = _session
    if session is None or session.state != "pending":
        raise RuntimeError("Profiler not running")
    raw = session.store.result(session.duration_ns, thread_names, qualnames or {})
    raw["start_time"] = session.start_time
    raw["duration_ns"] = session.duration_ns
    raw["interval_ns"] = session.interval_ns
    raw["stats"] = session.stats()
    session.store.release()
    session.state = "done"
    return raw


def is_active() -> bool:
    """Whether a session is sampling."""
    return _session is not None and _session.state == "active"


def is_pending() -> bool:
    """Whether a session is halted and not collected yet."""
    return _session is not None and _session.state == "pending"


def stats() -> dict[str, Any] | None:
    """Figures of the running or the last session, None before the first."""
    return None if _session is None else _session.stats()


def register_thread() -> bool:
    """Whether the calling thread is being sampled: every thread is, while a session is active."""
    session = _session
    if session is None or session.state != "active":
        return False
    session.registered.add(threading.get_ident())
    return True


def peek(row: int, node: int, frame: int, object: int, thread: int, since_ns: int, /) -> None:
    """Nothing: what it has recorded is told at the end only."""


def hide_thread() -> None:
    """Of no use here: the looks at asyncio's tasks need the extension."""


def unregister_thread() -> bool:
    """Whether the calling thread was registered, in this session. It goes on being sampled."""
    session = _session
    ident = threading.get_ident()
    if session is None or ident not in session.registered:
        return False
    session.registered.discard(ident)
    return True


def ThreadStart(function: Callable[..., object]) -> Callable[..., object]:  # noqa: N802  # named as in the extension
    """*function* itself: new threads are found without help."""
    return function


def arming(original: Callable[..., object], wrap: Callable[[object], object]) -> Callable[..., object]:
    """Stands in for *original*, a function that starts a thread: calls it with ``wrap(target)`` for its target."""
    from functools import update_wrapper

    def start_thread(*args: object, **kwargs: object) -> object:
        if args:
            args = (wrap(args[0]), *args[1:])
        elif "function" in kwargs:
            kwargs["function"] = wrap(kwargs["function"])
        return original(*args, **kwargs)

    return update_wrapper(start_thread, original)


def sample_now() -> bool:
    """One sample of the calling thread, at the caller's line. False if no session is active."""
    session = _session
    if session is None:
        return False
    with session.lock:
        if session.state != "active":
            return False
        ident = threading.get_ident()
        thread = threading.current_thread()
        frame: FrameType = sys._getframe(1)
        session.store.meet(ident, threading.get_native_id(), thread.name)
        session.store.add(ident, frame, time.monotonic_ns() - session.start)
        return True


#: As the extension has them, where they tell how frames of C code are found.
evaluation_loop = 0
entries_are_seen = False


def awaited(coroutine: object, running: str, awaited: str, /) -> Any:
    """As the extension's, but for a coroutine that another thread sets going meanwhile."""
    return getattr(coroutine, awaited, None) if getattr(coroutine, running, True) is False else None


def moments(tasks: list[Any], first: int, /) -> list[Any]:
    """One moment for many tasks is for free-threaded builds, and needs the extension: NotImplementedError."""
    raise NotImplementedError("moments() needs the C extension")


def running_loops() -> list[Any]:
    """As `moments`: NotImplementedError."""
    raise NotImplementedError("running_loops() needs the C extension")


def own_stack() -> tuple[list[Any], list[Any], str]:
    """Frames of C code need the extension: RuntimeError."""
    raise RuntimeError(f"frames of C code need the C extension, which is not in use: {reason}")


def self_check() -> str | None:
    """None: nothing here depends on the interpreter's insides."""
    return None


def tick_sources() -> dict[str, tuple[bool, str]]:
    """The extension's tick sources: none can be had without it."""
    why = f"needs the C extension, which is not in use: {reason}"
    return dict.fromkeys(("perf", "timer", "thread"), (False, why))


def _python_threads() -> dict[int, threading.Thread]:
    """Threads that `threading` knows, by ident.

    Not ``threading.enumerate()``, which takes a lock that a thread may hold while it waits for this one.
    """
    return dict(getattr(threading, "_active", {}))


def _after_fork_in_child() -> None:
    """The sampling thread is not in the child, and what it recorded is the parent's."""
    global _session, _lock
    _session = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
