"""Signals that end the program while a profile is being saved."""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType


class Deferred:
    """A block in which the first SIGINT is only counted, the second raises KeyboardInterrupt.

    People press Ctrl-C twice when a program does not end at once; a profile of an hour should outlive that.
    SIGINT stays as it is where the program ignores it, and where this is not the main thread.

    A SIGTERM waits until the end of the block, as far as this thread can make it: `multiprocessing.Pool.terminate()` asks its
    workers to end and sends it right after, when they have just begun to save.
    """

    def __init__(self) -> None:
        self.count = 0
        self._installed = False
        self._blocked = False

    def __enter__(self) -> Deferred:
        self._previous = signal.getsignal(signal.SIGINT)
        if self._previous not in (signal.SIG_IGN, None):
            try:
                signal.signal(signal.SIGINT, self._on_signal)
                self._installed = True
            except ValueError:
                pass  # not the main thread
        self._blocked = signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)
        if self._blocked:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
