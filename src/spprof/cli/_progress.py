"""A bar on stderr for what takes more than a second; on terminals only, and gone when it is done."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

_PATIENCE = 1.0  # seconds before anything is shown
_EVERY = 0.2
_CELLS = 20


class Progress:
    """Steps of work whose sizes are known; a block in which `step` says what is being done.

    What happens within a step is not known, so that the bar moves at the end of each; the time that has passed shows
    that it is not forgotten.
    """

    def __init__(self, total: float, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._total = max(total, 1)
        self._done = self._size = 0.0
        self._text = ""
        self._begin = time.monotonic()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._drawn = False

    def step(self, text: str, size: float = 1) -> None:
        """The step before is done, and the next one begins."""
        self._done += self._size
        self._text, self._size = text, size

    def __enter__(self) -> Progress:
        if self._is_wanted():
            self._thread = threading.Thread(target=self._draw, name="spprof progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._drawn:
            self._write("\r\033[K")

    def _is_wanted(self) -> bool:
        try:
            return self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        except ValueError:  # closed
            return False

    def _draw(self) -> None:
        if self._ended.wait(_PATIENCE):
            return
        while True:
            self._drawn = True
            self._write(f"\r\033[K{self.line(time.monotonic() - self._begin)}")
            if self._ended.wait(_EVERY):
                return

    def line(self, seconds: float) -> str:
        """What is shown after *seconds*, in less than a line."""
        share = min(self._done / self._total, 1.0)
        full = round(share * _CELLS)
        return f"[{'#' * full}{'.' * (_CELLS - full)}] {share:4.0%} {seconds:3.0f} s  {self._text[:44]}"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone
            self._ended.set()
