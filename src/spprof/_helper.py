"""A thread of spprof's own in somebody's process: it takes no signal of the program's, and its time is not the program's."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal without its enumerations
import os
import threading
import time
from _thread import start_new_thread  # taken here, before a session wraps it

from ._backend import backend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

_FAULTS = {_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGABRT}  # of the thread itself


class _Begin:
    """Sets its event when it is freed: also by a thread that could not run anything (cpython issue 140746)."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def __del__(self) -> None:
        self.event.set()


class HelperThread:
    """Runs *work* once, with an event after which it must come to its end soon. Raises MemoryError or RuntimeError if there
    can be no such thread.
    """

    def __init__(self, work: Callable[[threading.Event], None]) -> None:
        self._ended = threading.Event()
        self._gone = threading.Event()
        self._tid = 0
        begun = threading.Event()
        start_new_thread(self._run, (work, _Begin(begun)))
        try:
            # Now and then on: where there is no GIL, what another thread has freed is freed here, between two calls.
            while not begun.wait(0.5):
                pass
        except BaseException:  # a signal handler's exception: nobody will know of this thread
            self._ended.set()
            raise
        if self._tid == 0:
            raise MemoryError("no memory is left to run a thread of spprof's in")

    def stop(self) -> None:
        """Ends it, and waits until it is gone, some seconds at most. Idempotent."""
        self._ended.set()
        if self._gone.wait(5):
            _wait_until_gone(self._tid)

    def _run(self, work: Callable[[threading.Event], None], begin: _Begin) -> None:
        # A signal for the process goes to any thread that does not block it. If the program's threads do, it has to wait.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, set(_signal.valid_signals()) - _FAULTS)
        self._tid = threading.get_native_id()
        begin.event.set()
        try:
            backend.hide_thread()
            work(self._ended)
        finally:
            backend.hide_thread()  # once more: books what this thread has used
            self._gone.set()


def _wait_until_gone(tid: int) -> None:
    """Waits, a second at most, until the system has no such thread of spprof's any more, which is about to end: a fork right
    after would be one of a program with threads.
    """
    give_up = time.monotonic() + 1
    while os.path.exists(f"/proc/self/task/{tid}") and time.monotonic() < give_up:
        time.sleep(0.0002)
