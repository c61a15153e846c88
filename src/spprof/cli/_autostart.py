"""Processes that start profiling by themselves, because their environment says so (`SPPROF_AUTOSTART=1`).

`begin` is called before the program's first line, by `spprof-autostart.pth` of an installation or by `_follow/`. The profile
is saved when the process ends: by `atexit`, as the last of its callbacks, or by `os._exit()`, which is how forked children
end, those of multiprocessing among them; a `.spprof` file grows meanwhile, for those that are killed. A forked child starts a
session of its own.

Whatever goes wrong is one line on stderr, and the program runs: it may be any process below the one that somebody wanted to
look at.
Imports are late: what is imported here is imported into somebody else's program.
"""

from __future__ import annotations

import _thread
import os

from . import _program, _request, _settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import NoReturn

    from spprof._session import Session
    from spprof.cli._settings import Settings

_begun = False
_settings_here: Settings | None = None  # once started: what this process and its forked children are profiled with
_names: dict[str, str] = {}  # what `_settings.file_name` wants beside the process id
_main_ident = 0  # of the thread whose end is the end of the interpreter
_forks_off_main = False  # whether the fork that happens now happens on another one
_of_thread = _thread._local()
_ending: Callable[[], None] | None = None  # saves this process' profile; None: nothing (more) to save


def begin() -> None:
    """Starts profiling if the environment asks for it. Never raises."""
    global _begun
    if _begun:
        return  # two hooks found the way here; and `site` runs the .pth files of a virtual environment twice
    _begun = True
    if _program.is_run or _request.VARIABLE in os.environ:
        return  # `spprof run` profiles this process
    if (os.geteuid(), os.getegid()) != (os.getuid(), os.getgid()):
        return  # files written with another user's rights are not for whoever sets variables to name
    try:
        settings = _settings.from_environment(os.environ)
    except (ValueError, OSError) as error:  # a folder that was removed has no name
        _complain(error)
        return
    if settings is None or _is_subinterpreter():
        return
    if settings.output != os.environ.get(_settings.OUTPUT):
        os.environ[_settings.OUTPUT] = settings.output  # absolute: processes below may have other working directories
    try:
        _load(settings)
        _check(settings)
    except (ValueError, OSError, RuntimeError) as error:
        _complain(error)
        return
    if _start(settings):
        watch(settings)


def watch(settings: Settings) -> None:
    """From now on forked children are profiled with *settings*, and what `at_end` was given is done at the end."""
    global _settings_here, _main_ident
    import atexit

    _settings_here = settings
    _main_ident = _thread.get_ident()
    _know_names()
    # Later than what spprof has registered for programs that leave a session open, so that this comes first.
    atexit.register(finish)
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
    os._exit = _saving(os._exit)  # type: ignore[assignment]


def at_end(ending: Callable[[], None]) -> None:
    """Has *ending* called when this process ends, by `atexit` or `os._exit()`; forked children don't."""
    global _ending
    _ending = ending


def cancel() -> None:
    """Gives the session up: the process is one of spprof's own commands, which nobody wants to see."""
    global _ending
    if _ending is None:
        return
    _ending = None
    from spprof import _session
    from spprof._backend import backend

    session = _session._current
    if session is not None and backend.is_active():
        _session.close_session(stacklevel=2, speak=False)
        if session.stream is not None:
            session.stream.discard()


def finish() -> None:
    """Saves the profile of this process, once. Never raises."""
    global _ending
    ending, _ending = _ending, None
    if ending is not None:
        ending()


def _start(settings: Settings) -> bool:
    """Opens a session in this process that is saved at its end. False if that can't be done."""
    try:
        growing, names = _growing(settings)
        session = _program.opened(settings, growing, names)
    except _program.OPENING_ERRORS as error:
        _complain(error)
        return False
    pid = os.getpid()
    at_end(lambda: _save(settings, session, pid))
    return True


def _growing(settings: Settings) -> tuple[str | None, Iterator[str] | None]:
    """The file that grows while this process runs, and under which names it may; None: it is none that can."""
    from spprof.export import format_of

    path = _path(settings, os.getpid())
    if not _program.can_grow(path, format_of(path, settings.format)[0]):
        return None, None
    from ._unused import names

    return path, names(path)


def _path(settings: Settings, pid: int) -> str:
    _know_names()
    return _settings.file_name(settings.output, pid, **_names)


def _know_names() -> None:
    if _names:
        return
    import time

    _names.update(
        name=_settings.program_name(), time=time.strftime("%Y%m%d-%H%M%S"), host=os.uname().nodename.replace("/", "_")
    )


class _EndOfThread:
    """Lies in a thread's own storage, and is freed when that thread ends."""

    def __del__(self) -> None:
        finish()


def _before_fork() -> None:
    global _forks_off_main
    _forks_off_main = _thread.get_ident() != _main_ident


def _after_fork_in_child() -> None:
    global _ending
    _ending = None  # the parent's
    if _settings_here is not None and _start(_settings_here) and _forks_off_main:
        # A child that a thread has forked ends with that thread, without Python's shutdown: the process is over when its
        # last thread is. That must not be one of spprof's.
        _of_thread.end = _EndOfThread()


def _saving(leave: Callable[[int], NoReturn]) -> Callable[[int], NoReturn]:
    def _exit(status: int) -> NoReturn:
        finish()
        leave(status)

    _exit.__doc__, _exit.__module__, _exit.__qualname__ = leave.__doc__, leave.__module__, leave.__name__
    return _exit


def _save(settings: Settings, session: Session, pid: int) -> None:
    from spprof import _session
    from spprof._backend import backend

    if pid != os.getpid():
        return  # a child that was forked past os.fork()
    # First of all, so that what follows is not in the profile. Unless the program has stopped this session.
    if _session._current is session and backend.is_active():
        backend.halt()

    from ._interrupts import Deferred
    from ._prefix import without_start_up

    with Deferred():
        try:
            try:
                profile = _session.close_session(session, stacklevel=2, speak=False)
            except RuntimeError:
                if session.profile is None:
                    raise
                profile = session.profile  # the program has called spprof.stop()
            with _place(settings, session, pid) as path:
                without_start_up(profile).save(path, settings.format)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
            reason = f"{error or type(error).__name__}"
            if session.stream is not None and session.stream.is_there:
                reason += f" (as far as it had grown it is in {session.stream.path})"
            _program.say(f"the profile of process {pid} is not saved: {reason}")


def _place(settings: Settings, session: Session, pid: int) -> AbstractContextManager[str]:
    """Where the profile is to be: the file of this process that has grown until now is replaced; else a new one."""
    stream = session.stream
    if stream is not None and stream.path is not None and stream.is_there:
        from contextlib import nullcontext

        return nullcontext(stream.path)
    from ._unused import reserved

    return reserved(_path(settings, pid))


def _load(settings: Settings) -> None:
    """All imports that saving needs: at the end the program may have changed its folder, its root or sys.path."""
    from spprof._loading import load
    from spprof.export import format_of, renderer

    from . import _interrupts, _prefix, _unused  # noqa: F401

    load(None)
    name, compressed = format_of(settings.output, settings.format)
    renderer(name)
    if compressed:
        import gzip  # noqa: F401


def _check(settings: Settings) -> None:
    """Whether the profile can be written, as far as that can be known now."""
    from spprof.export import check_ready, check_writable, format_of

    check_ready(format_of(settings.output, settings.format)[0])
    try:
        check_writable(_settings.file_name(settings.output, os.getpid(), "program", "time", "host"))
    except OSError as error:
        raise OSError(f"can't write {error.filename!r}: {error.strerror}") from None


def _is_subinterpreter() -> bool:
    """Whether this is an interpreter below the main one, which is where spprof samples. `site` runs in each of them."""
    from spprof._backend import has_native

    if has_native:  # refuses to be loaded there
        return False
    from importlib import import_module

    for name in ("_interpreters", "_xxsubinterpreters"):  # before 3.13
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() != interpreters.get_main())
    return False


def _complain(error: BaseException) -> None:
    _program.say(f"{error} (the program runs without the profiler)")
