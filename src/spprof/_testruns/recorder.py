"""The profiler's session around tests: it gives way to tests that use the profiler themselves, and goes on after them."""

from __future__ import annotations

import os
import time
import warnings

from .._analysis.merging import merge_profiles
from .._session import close_session, is_open, open_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._profile import Profile
    from .._session import Session


class Part:
    """A stretch of the run with its profile. began, ended: by `time.monotonic_ns`."""

    def __init__(self, profile: Profile, began: int, ended: int) -> None:
        self.profile = profile
        self.began = began
        self.ended = ended

    def between(self, begin: int, end: int) -> Profile:
        """The profile of the time from *begin* to *end*."""
        if begin <= self.began and self.ended <= end:
            return self.profile
        return self.profile.filter(time=((begin - self.began) / 1e9, (end - self.began) / 1e9))


class Recorder:
    """A session that can be interrupted, and what was recorded so far."""

    def __init__(self, interval_ms: float, mode: str | None, prefix: str = "") -> None:
        self.parts: list[Part] = []
        self.interrupted = False  # a test used the profiler itself
        self._arguments = (interval_ms, 100, None, mode)
        self._prefix = prefix
        self._session: Session | None = None
        self._began = 0
        self._pid = os.getpid()

    def start(self) -> None:
        """Starts, or goes on; nothing if somebody else's session is running. RuntimeError, OSError: see `spprof.start`."""
        if self._session is not None and is_open(self._session):
            return
        with warnings.catch_warnings():
            # That the fallback samples is said in the run's heading: as a warning it could fail a test.
            warnings.simplefilter("ignore")
            self._session = open_session(*self._arguments, stacklevel=2, if_idle=True, give_way=self._give_way)
        self._began = time.monotonic_ns()

    def stop(self) -> None:
        """Ends the session, if it is there; its profile is the last of the parts."""
        session = self._session
        # In a forked child there is nothing to stop: the session is the parent's.
        if session is None or not is_open(session) or os.getpid() != self._pid:
            return
        ended = time.monotonic_ns()
        self.add(close_session(session, stacklevel=2, speak=False), self._began, ended)
        self._session = None

    def add(self, profile: Profile, began: int, ended: int) -> None:
        """Takes in what another session has recorded."""
        if self._prefix:  # threads of workers are told apart by it
            facts = profile._facts
            facts.threads = tuple([thread._replace(name=f"{self._prefix} {thread.name}") for thread in facts.threads])
        if all(part.profile.mode == profile.mode for part in self.parts):
            self.parts.append(Part(profile, began, ended))

    def _give_way(self) -> None:
        self.interrupted = True
        self.stop()

    def profile(self, begin: int | None = None, end: int | None = None) -> Profile | None:
        """Everything, or what was recorded between two times; None for nothing. The session must have ended."""
        if begin is None or end is None:
            profiles = [part.profile for part in self.parts]
        else:
            profiles = [part.between(begin, end) for part in self.parts if part.began < end and begin < part.ended]
        return merge_profiles(profiles) if profiles else None
