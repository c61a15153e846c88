"""The one session: `start`, `stop`, and what happens to it at exit and in a forked child.

States. Idle: no `_current`. Active: `_current`, and the sampler is on. Stopping: `_current`, and the sampler is off;
only seen if `stop` was interrupted (KeyboardInterrupt), and left by `stop` again, which then returns the profile, or
by `start`.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys

from . import _threads
from ._backend import backend, has_native, reason
from ._loading import load
from ._unwinding import check_native, evaluation_loops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ._base import PathLike
    from ._profile import Profile
    from ._stats import Stats
    from ._stream import ProfileStream
    from ._tasks import TaskSampler

MIN_INTERVAL_MS, MAX_INTERVAL_MS = 0.1, 10_000
MIN_MEMORY_MB, MAX_MEMORY_MB = 1, 2**20
TICK_SOURCES = ("perf", "timer", "thread")
LOSS_WORTH_A_WARNING = 0.05
MODES = ("cpu", "wall", "gil")

# Reentrant: a signal handler of the program may call stop() while its main thread is in start().
_lock = _thread.RLock()
_current: Session | None = None
_fallback_announced = False


class Session:
    """One run, from start to its profile. Kept by whoever started it, to find the profile whoever stops it."""

    __slots__ = ("give_way", "memory_limit_mb", "native", "output_path", "profile", "raw", "stream", "tasks")

    def __init__(self, memory_limit_mb: float, output_path: str | None) -> None:
        self.memory_limit_mb = memory_limit_mb
        self.output_path = output_path
        self.raw: list[dict[str, Any]] = []  # what the sampler handed over; a list, see _finish
        self.profile: Profile | None = None
        self.tasks: TaskSampler | None = None
        self.stream: ProfileStream | None = None
        self.native = "off"
        self.give_way: Callable[[], None] | None = None


def start(
    interval_ms: float = 10,
    memory_limit_mb: float = 100,
    *,
    output_path: PathLike | None = None,
    mode: str | None = None,
    asyncio: bool = True,
    native: bool | str | None = None,
) -> None:
    """Starts sampling all threads of the process.

    interval_ms: CPU time of a thread between two of its samples, in milliseconds, 0.1 to 10000; in the other modes
        elapsed time.
    memory_limit_mb: memory that the profile may take, in MiB, at least 1. What does not fit is dropped, and counted.
    output_path: a file to which `stop` (or the end of the program) saves the profile; its ending says the format. One that
        ends in ".spprof" grows meanwhile, once a second: a process that is killed leaves it (`Profile.is_unfinished`).
    mode: what is measured. "cpu": the CPU time of each thread. "wall": the elapsed time of each thread, running or not,
        with what it waits for. "gil": the elapsed time for which a thread holds the GIL and others can't. None: "cpu",
        or "wall" where the system grants no source of CPU ticks (`stats()` says so).
    asyncio: whether tasks that wait are looked at too, in mode "wall", if the program runs an event loop.
    native: whether frames of C code (C, C++, Rust) are shown between the Python frames, of threads that run. What the
        interpreter does to get from one to the other is left out, unless it is "all". None: as `set_native_unwinding` has
        it, which is not, at first.

    Raises RuntimeError if the profiler is running already, or refuses to sample on this interpreter; TypeError or
    ValueError for a wrong argument; OSError if *output_path* can't be written or the system grants no tick source.
    """
    open_session(interval_ms, memory_limit_mb, output_path, mode, asyncio, native, stacklevel=3)


def stop() -> Profile:
    """Ends sampling and returns the profile, after saving it if `start` was given an *output_path*.

    Warns (RuntimeWarning) if more than 5 % of the samples were dropped, or the program took the sampler's signal.

    Raises RuntimeError if the profiler is not running. If saving fails the error is raised when everything is over, and
    has the profile as its attribute ``profile``. After a KeyboardInterrupt in the middle of it sampling has ended, and
    calling it again gives the profile; when that came too late, it is the interrupt's attribute ``profile``.
    """
    session = _current
    try:
        return close_session(stacklevel=3)
    except BaseException as error:
        if session is not None and session.profile is not None:
            from contextlib import suppress

            with suppress(AttributeError):  # an exception with __slots__
                error.profile = session.profile  # type: ignore[attr-defined]
        raise


def is_active() -> bool:
    """Whether the profiler is running."""
    return bool(backend.is_active()) and not (_current is not None and _current.give_way)


def stats() -> Stats | None:
    """State of the running session, else of the last one; None before the first."""
    values = backend.stats()
    if values is None:
        return None
    from ._stats import Stats

    return Stats(values)


def open_session(
    interval_ms: float,
    memory_limit_mb: float,
    output_path: PathLike | None,
    mode: str | None = None,
    asyncio: bool = True,
    native: bool | str | None = None,
    *,
    stacklevel: int,
    if_idle: bool = False,
    give_way: Callable[[], None] | None = None,
    growing_path: str | None = None,
    growing_names: Iterable[str] | None = None,
) -> Session | None:
    """`start`, giving the session. *if_idle*: if another one is active, None instead of an error.

    give_way: makes the session one that start(), stop() and is_active() do not see (that of a test run, around tests that use
        spprof themselves); called where another session is to start: it has to close this one.
    growing_path: the `.spprof` file that grows meanwhile; None: *output_path*, if it is one. growing_names: see `ProfileStream`.
    """
    global _current
    interval_ns = check_interval(interval_ms)
    memory_limit = check_memory_limit(memory_limit_mb)
    check_mode(mode)
    check_asyncio(asyncio)
    tick = _asked_tick_source()
    native_frames = check_native(native)
    with _lock:
        if backend.is_active() and _current is not None and _current.give_way is not None:
            _current.give_way()
        if backend.is_active():
            if if_idle:
                return None
            raise RuntimeError("Profiler already running")
        session = Session(memory_limit_mb, _prepared(output_path, native_frames != "off"))
        session.native = native_frames
        session.give_way = give_way
        unwinding: dict[str, Any] = {}
        if native_frames != "off":
            unwinding = {"native": native_frames, "evaluation_loops": evaluation_loops()}
        _announce_fallback(stacklevel + 1)
        interrupted = _current
        if interrupted is not None and interrupted.stream is not None:
            interrupted.stream.stop()
        stream: type[ProfileStream] | None = None
        growing_path = growing_path or _growing_path(session.output_path)
        if growing_path is not None:
            from ._stream import ProfileStream as stream  # noqa: N813
        task_sampler: type[TaskSampler] | None = None
        if asyncio and has_native and mode in (None, "wall"):
            # Loaded before thread starts were wrapped: its thread is none of the program's.
            from ._tasks import TaskSampler as task_sampler  # noqa: N813
        try:
            _current = session
            _threads.install()
            backend.start(
                interval_ns=interval_ns,
                memory_limit=memory_limit,
                tick=tick,
                mode=mode or ("auto" if has_native else "wall"),
                thread_names=_threads.thread_names(),
                **unwinding,
            )
            if task_sampler is not None and backend.stats()["mode"] == "wall":
                session.tasks = task_sampler(interval_ns, memory_limit // 4)
            if stream is not None and growing_path is not None:
                session.stream = stream(growing_path, native_frames, growing_names)
        except BaseException:
            _threads.uninstall()
            if session.tasks is not None:
                session.tasks.stop()
            if session.stream is not None:
                session.stream.stop()
                session.stream.discard()
            if backend.is_active():  # interrupted between the sampler's start and here
                backend.halt()
                backend.collect({}, None)
            _current = interrupted
            raise
        return session


def close_session(session: Session | None = None, *, stacklevel: int, speak: bool = True) -> Profile:
    """`stop`. *session*: the one that is meant, if not just any. *speak*: with warnings.

    Raises RuntimeError if there is nothing to stop, that is also if *session* was stopped, discarded or left behind in
    the parent of a fork; its ``profile`` is there if it has been stopped.
    """
    global _current
    with _lock:
        current = _current
        if current is None and (backend.is_active() or backend.is_pending()):
            current = _current = Session(0, None)  # someone started the sampler itself
        if current is None or (current.give_way if session is None else session is not current):
            raise RuntimeError("Profiler not running")
        try:
            profile = _finish(current)
        except BaseException:
            # Whatever it was, nobody is sampled any more; the rest waits for the next stop() or start().
            if backend.is_active():
                backend.halt()
            _threads.uninstall()
            raise
        try:
            if current.output_path is not None:
                profile.save(current.output_path)
                if current.stream is not None:
                    current.stream.saved()
            if speak:
                _warn_of_loss(profile, current.memory_limit_mb, stacklevel + 1)
        except Exception:  # a file that can't be written, a warning that is to be an error: it is over all the same
            _current = None
            raise
        try:
            return profile
        finally:
            _current = None


def is_open(session: Session) -> bool:
    """Whether *session* is still there to be closed."""
    return session is _current


def check_interval(interval_ms: float) -> int:
    """The interval in nanoseconds. TypeError, ValueError."""
    value = _number("interval_ms", interval_ms, "milliseconds", MIN_INTERVAL_MS, MAX_INTERVAL_MS)
    return round(value * 1_000_000)


def check_memory_limit(memory_limit_mb: float) -> int:
    """The limit in bytes. TypeError, ValueError."""
    return int(_number("memory_limit_mb", memory_limit_mb, "MiB", MIN_MEMORY_MB, MAX_MEMORY_MB) * 2**20)


def check_mode(mode: str | None) -> None:
    """TypeError, ValueError; RuntimeError for one that can't be had on this interpreter."""
    if mode is None:
        return
    known = f"mode must be one of {', '.join(map(repr, MODES))} or None"
    if not isinstance(mode, str):
        raise TypeError(f"{known}, not {type(mode).__name__}")
    if mode not in MODES:
        raise ValueError(f"{known}, not {mode!r}")
    if mode != "wall" and not has_native:
        raise RuntimeError(f"mode {mode!r} needs spprof's C extension, which is not in use: {reason}")
    if mode == "gil" and backend.free_threaded_build:
        raise ValueError("mode 'gil' is for interpreters that have a GIL; this one is free-threaded")


def check_asyncio(asyncio: bool) -> None:
    """TypeError."""
    if not isinstance(asyncio, bool):
        raise TypeError(f"asyncio must be True or False, not {type(asyncio).__name__}")


def _finish(session: Session) -> Profile:
    """Halt, collect, build: each step is taken once, and an interrupted one again by the next call."""
    if not session.raw:
        names = _threads.thread_names()
        if session.stream is not None:
            session.stream.stop()
        if session.tasks is not None:
            session.tasks.stop()
        backend.halt()
        _threads.uninstall()
        qualnames = None
        if sys.version_info < (3, 11):
            from contextlib import suppress

            from ._qualnames import qualified_names

            with suppress(MemoryError):  # plain names are better than no profile
                qualnames = qualified_names()
        # Collecting frees what the sampler holds. A KeyboardInterrupt that comes while it works is raised right after
        # the call, before an assignment would have kept the result: so the result goes into the list within the call.
        session.raw.extend(map(backend.collect, (names,), (qualnames,)))
    if session.profile is None:
        from ._build import profile_from

        if session.tasks is not None:
            tasks, session.tasks = session.tasks, None
            tasks.merge(session.raw[0])
        session.raw[0]["native"] = session.native
        session.profile = profile_from(session.raw[0])
    return session.profile


def _number(name: str, value: Any, unit: str, low: float, high: float) -> float:
    allowed = f"{name} must be a number of {unit} from {low:g} to {high:.0f}"
    if isinstance(value, bool) or not (isinstance(value, (int, float)) or hasattr(type(value), "__index__")):
        raise TypeError(f"{allowed}, not {type(value).__name__}")
    number: float = value if isinstance(value, (int, float)) else value.__index__()
    if not low <= number <= high:  # NaN neither
        raise ValueError(f"{allowed}, not {value!r}")
    return number


def _asked_tick_source() -> str:
    asked = os.environ.get("SPPROF_TICK", "") or "auto"
    if asked != "auto" and asked not in TICK_SOURCES:
        raise ValueError(f"SPPROF_TICK must be one of {', '.join(TICK_SOURCES)}, not {asked!r}")
    return asked


def _prepared(output_path: PathLike | None, native_frames: bool) -> str | None:
    """Loads what the session needs, and finds out whether *output_path* will do; it is made absolute."""
    load(output_path, native=native_frames)
    if output_path is None:
        return None
    from .export import check_writable

    return check_writable(output_path)


def _growing_path(output_path: str | None) -> str | None:
    if output_path is None or not has_native:
        return None
    name = output_path.lower()
    if not name.endswith((".spprof", ".spprof.gz")):
        return None  # without loading anything
    from ._stream import is_streamable

    return output_path if is_streamable(output_path) else None


def _announce_fallback(stacklevel: int) -> None:
    global _fallback_announced
    if has_native or _fallback_announced:
        return
    _fallback_announced = True
    import warnings

    warnings.warn(
        f"spprof's C extension is not in use ({reason}): sampling the wall clock in pure Python instead, "
        "less exactly and at a higher cost; 'spprof doctor' says more",
        RuntimeWarning,
        stacklevel=stacklevel,
    )


def _warn_of_loss(profile: Profile, memory_limit_mb: float, stacklevel: int) -> None:
    import warnings

    stats = profile.stats
    if stats.drop_rate > LOSS_WORTH_A_WARNING:
        total = stats.dropped + stats.collected
        warnings.warn(
            f"spprof dropped {stats.dropped:,} of {total:,} samples ({stats.drop_rate:.1%}): they are in the profile "
            f"as [dropped] only; raise interval_ms (now {profile.interval_ms:g}) or memory_limit_mb "
            f"(now {memory_limit_mb:g})",
            RuntimeWarning,
            stacklevel=stacklevel,
        )
    if stats.handler_replaced:
        warnings.warn(
            "the program installed its own handler for the signal that spprof samples with; from then on samples are "
            "missing (their time is in the profile as [unsampled])",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


def _at_exit() -> None:
    """The program ends while it is being profiled: ends sampling, saves if asked to. Quiet but for a failure."""
    if _current is None:
        return
    try:
        close_session(stacklevel=2, speak=False)
    except Exception as error:  # noqa: BLE001  # nobody is there to catch it any more
        if sys.stderr is not None:
            print(f"spprof: the profile could not be saved at exit: {error}", file=sys.stderr)


def _after_fork_in_child() -> None:
    """The child is not profiled, and can start a session of its own. The sampler's own state is its own business."""
    global _current, _lock
    _lock = _thread.RLock()  # a thread that is not there may have held it
    if _current is not None and _current.stream is not None:
        _current.stream.forget_in_child()
    _current = None
    _threads.uninstall()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
