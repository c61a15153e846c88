"""The fixture `spprof`: a session around one test."""

from __future__ import annotations

import time

from .._session import (
    check_asyncio,
    check_interval,
    check_memory_limit,
    check_mode,
    close_session,
    is_open,
    open_session,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import pytest

    from .._profile import Profile
    from .._session import Session
    from .plugin import ProfiledRun

_ARGUMENTS = {
    "interval_ms": 1.0,
    "memory_limit_mb": 100,
    "output_path": None,
    "mode": None,
    "asyncio": True,
    "native": None,
}


class TestProfile:
    """What the fixture ``spprof`` is: the profile of the test that uses it.

    profile: None while the test is being profiled, then its `Profile`.
    """

    __test__ = False  # pytest would take it for tests

    profile: Profile | None

    def __init__(self, session: Session) -> None:
        self.profile = None
        self._session = session

    def stop(self) -> Profile:
        """Ends profiling before the test ends, and returns the profile. A second call returns the same."""
        if self.profile is None:
            if is_open(self._session):
                self.profile = close_session(self._session, stacklevel=3)
            elif self._session.profile is not None:  # by spprof.stop()
                self.profile = self._session.profile
            else:
                raise RuntimeError("the session of the fixture 'spprof' is gone: something else has ended it")
        return self.profile


def profiled(request: pytest.FixtureRequest) -> Iterator[TestProfile]:
    """The fixture's life."""
    run: ProfiledRun | None = request.config.pluginmanager.get_plugin("spprof-run")
    began = time.monotonic_ns()
    session = open_session(*_arguments(request).values(), stacklevel=2)
    assert session is not None
    test = TestProfile(session)
    try:
        yield test
    finally:
        ended = time.monotonic_ns()
        if test.profile is None and (is_open(session) or session.profile is not None):
            test.stop()
        if run is not None:
            run.take_over(test.profile, began, ended)


def _arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments of `open_session`: as the test's mark has them, else as the command line has, else the usual ones."""
    option = request.config.option
    arguments = {**_ARGUMENTS, "interval_ms": option.spprof_interval, "mode": option.spprof_mode}
    mark = request.node.get_closest_marker("spprof")
    if mark is not None:
        unknown = [name for name in mark.kwargs if name not in arguments]
        if mark.args or unknown:
            raise TypeError(
                f"the mark 'spprof' takes {', '.join(arguments)} by name, not "
                + ", ".join([*map(repr, mark.args), *map(repr, unknown)])
            )
        arguments.update(mark.kwargs)
    check_interval(arguments["interval_ms"])
    check_memory_limit(arguments["memory_limit_mb"])
    check_mode(arguments["mode"])
    check_asyncio(arguments["asyncio"])
    return arguments
