"""The part of `spprof run` that lives in the program's process: start, and save at the end.

`begin` is called by the start-up hook, before the program; `finish` by `atexit`, as the last of the callbacks: the
program's non-daemon threads have ended by then, and its own callbacks have run.
Imports are late: what is imported here is imported into somebody else's program.
"""

from __future__ import annotations

import os
import sys

from . import _request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from spprof._profile import Profile
    from spprof._session import Session
    from spprof.cli._request import Request
    from spprof.cli._settings import Settings
    from spprof.cli._summary import Costs

#: What `opened` raises where nothing can be profiled.
OPENING_ERRORS = (RuntimeError, OSError, ValueError, TypeError, MemoryError)

is_run = False  # whether `spprof run` profiles this process


def take_request() -> Request | None:
    """What `spprof run` asks this process for, taken out of the environment; None if that is meant for another one."""
    global is_run
    text = os.environ.pop(_request.VARIABLE, None)
    if text is None:
        return None  # somebody put the hook's folder on the path
    request = _request.decode(text)
    if request.pythonpath is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = request.pythonpath
    # A process that another start-up file started, before this one had cleaned up, has another id.
    is_run = request.pid == os.getpid()
    return request if is_run else None


def opened(
    wanted: Request | Settings, growing_path: str | None = None, growing_names: Iterable[str] | None = None
) -> Session:
    """A session as *wanted*, without a warning: what there is to say is in summaries and statistics. Raises OPENING_ERRORS.

    growing_path: where a .spprof file is to be while the program runs; None: nowhere. growing_names: under which of these
        names it may be, the first that is free.
    """
    import warnings

    from spprof._session import open_session

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # under -W error it would be an error
        session = open_session(
            wanted.interval_ms,
            wanted.memory_limit_mb,
            None,
            wanted.mode,
            wanted.asyncio,
            wanted.native,
            stacklevel=2,
            growing_path=growing_path,
            growing_names=growing_names,
        )
    assert session is not None
    return session


def begin(request: Request) -> None:
    """Starts profiling. If that fails the process ends here, with 1 and the reason: the program has not begun."""
    import atexit
    import time

    before_start = time.process_time()
    try:
        session = opened(request, next((path for path, format in request.outputs if can_grow(path, format)), None))
    except OPENING_ERRORS as error:
        say(f"can't profile here: {error} (spprof doctor tells more)")
        os._exit(1)  # a SystemExit inside `site` would come out as a fatal error of the interpreter
    if request.follow:
        from . import _autostart, _children

        there = _children.files(request)
        _children.follow(request)
        _autostart.at_end(lambda: finish(request, session, before_start, there))
        return
    # Later than what spprof has registered for the end of programs that leave a session open, so that this comes first.
    atexit.register(finish, request, session, before_start)


def finish(request: Request, session: Session, before_start: float, there: set[str] | None = None) -> None:
    """Stops, saves and sums up. Never raises: how the program ends is not ours to change.

    there: with --follow-children, the files that had names of children's profiles before the program began.
    """
    if os.getpid() != request.pid:
        return  # a forked child that shuts down in its own right
    import time

    from spprof import _session
    from spprof._backend import backend

    # First of all, so that what follows is not in the profile. Unless the program has stopped this session.
    if _session._current is session and backend.is_active():
        backend.halt()
    at_stop = time.process_time()

    from ._interrupts import Deferred

    with Deferred() as interrupts:
        try:
            _finish(request, session, before_start, at_stop, there)
        except Exception as error:  # noqa: BLE001
            say(f"could not save the profile: {type(error).__name__}: {error}")
        except KeyboardInterrupt:
            say("interrupted a second time: the profile is not saved")
    if interrupts.count == 1:
        say("(Ctrl-C came while the profile was being saved; it is complete)")


def _finish(request: Request, session: Session, before_start: float, at_stop: float, there: set[str] | None) -> None:
    from spprof._session import close_session

    from ._summary import Costs

    with _MainHasItsFile(request):
        try:
            profile = close_session(session, stacklevel=2, speak=False)
        except RuntimeError:
            if session.profile is None:
                raise
            profile = session.profile  # the program has called spprof.stop()
    if _was_loaded(request):
        _report(request, session, profile, Costs(before_start, at_stop), there)


class _MainHasItsFile:
    """`__main__.__file__`, by which the script's functions are known as the main module's, is gone when `python` has
    run a script; it is back for the time of this block.
    """

    def __init__(self, request: Request) -> None:
        self._names = getattr(sys.modules.get("__main__"), "__dict__", {})
        self._path = request.script or None

    def __enter__(self) -> None:
        if "__file__" in self._names:
            self._path = None
        elif self._path is not None:
            self._names["__file__"] = self._path

    def __exit__(self, *error: object) -> None:
        if self._path is not None:
            self._names.pop("__file__", None)


def _was_loaded(request: Request) -> bool:
    """Whether there was a program: `python -m` with a wrong name ends before it has one."""
    main = sys.modules.get("__main__")
    return request.kind != "module" or getattr(main, "__spec__", None) is not None


def can_grow(path: str, format: str) -> bool:
    """Whether the file of that format can be written while the program runs."""
    if format != "spprof":
        return False
    from spprof._stream import is_streamable

    return is_streamable(path, format)


def _report(request: Request, session: Session, profile: Profile, costs: Costs, there: set[str] | None) -> None:
    from contextlib import suppress

    from . import _summary, _terminal
    from ._prefix import without_start_up

    profile = without_start_up(profile)
    lines = list(request.notes)
    failed = False
    for path, format in request.outputs:
        try:
            profile.save(path, format)
            lines.append(f"profile  {_terminal.short_path(path)}")
            if session.stream is not None and session.stream.target == path:
                session.stream.saved()
        except OSError as error:
            failed = True
            lines.append(f"spprof: could not write {path}: {error.strerror}")

    if there is not None:
        from . import _children

        lines += _children.lines(_children.files(request) - there)
    with suppress(Exception):  # closed, or a broken pipe: the interpreter's own last flush meets it, as without spprof
        sys.stdout.flush()  # what the program said comes first
    stream = sys.__stderr__
    if stream is None or (request.quiet and not failed and not request.notes):
        return
    if not request.quiet:
        style, width = _terminal.manner_of(stream)
        name = os.path.basename(request.script) or request.name
        lines[:0] = ["", *_summary.render(profile, name, costs, width, style)]
    write("\n".join(lines) + "\n")


def say(message: str) -> None:
    """One line from spprof on the process' standard error."""
    write(f"spprof: {message}\n")


def write(text: str) -> None:
    """To the process' standard error, whatever the program has made of `sys.stderr`."""
    stream = sys.__stderr__
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except (OSError, ValueError):
        pass  # closed
