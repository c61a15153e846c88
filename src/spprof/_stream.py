"""The `.spprof` file that grows beside the program, so that a process that is killed leaves its profile (docs/adr/0028).

A thread of spprof's own adds to it once a second. It has the name that was asked for; if something is there already, another one
beside it, so that an earlier profile is never replaced by part of one. `stop()` puts the complete file in its place.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

from . import _threads
from ._backend import backend, has_native
from ._growing import GrowingProfile
from ._helper import HelperThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

PERIOD_S = 1.0


class ProfileStream:
    """The growing file of one session. `stop` ends the growing; `saved` takes the file away, when there is a better one."""

    def __init__(self, target: str, native: str, names: Iterable[str] | None = None) -> None:
        """target: absolute path of the file that the session is to leave. names: those that the growing file may have, the first
        that is not taken is its; None: that of *target*, else one beside it.
        """
        self.target = target
        self._target = os.path.realpath(target)
        self._names = (self._target, *_beside(self._target)) if names is None else names
        self._profile = GrowingProfile(native)
        self.path: str | None = None
        """The file, once there is one."""
        self._descriptor = -1
        self._identity = (0, 0)
        self._size = 0
        self._failed = False
        self._thread = HelperThread(self._grow_at_intervals)

    def stop(self) -> None:
        """Ends the growing; the file stays as it is. Idempotent."""
        self._thread.stop()

    @property
    def is_there(self) -> bool:
        """Whether there is a growing file, and nobody has put another one in its place."""
        try:
            found = os.stat(self.path) if self.path is not None else None
        except OSError:
            return False
        return found is not None and (found.st_dev, found.st_ino) == self._identity

    def saved(self) -> None:
        """The complete profile is under the name that was asked for: the growing file is not needed any more."""
        path, self.path = self.path, None
        if path is not None and path != self._target:
            with suppress(OSError):
                os.unlink(path)

    def discard(self) -> None:
        """The session did not come to be: neither is its file."""
        path, self.path = self.path, None
        if path is not None:
            with suppress(OSError):
                os.unlink(path)

    def forget_in_child(self) -> None:
        """In a forked child: the file is the parent's. There is no thread here."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def _grow_at_intervals(self, ended: threading.Event) -> None:
        try:
            # A process lives as long as its last thread, which must not be this one (a child that was forked by a thread).
            while not ended.wait(PERIOD_S) and not self._profile.is_alone:
                if not self._failed:
                    self._grow(ended)
                    backend.hide_thread()  # books what this thread has used
        finally:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def _grow(self, ended: threading.Event) -> None:
        """One part more. Whatever goes wrong, the program goes on, and what is in the file stays good."""
        try:
            part = self._profile.part(backend.peek, backend.stats, _threads.thread_names())
            if part is not None and not ended.is_set():
                self._write(part)
        except Exception as error:  # noqa: BLE001
            # The thread stays: another one of the program's must not get its id while this one is known as spprof's.
            self._failed = True
            if self._descriptor >= 0:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
            self._warn(error)

    def _write(self, part: bytes) -> None:
        if self._descriptor < 0:
            self._descriptor = self._create()
        view = memoryview(part)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._size += len(part)

    def _create(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        for path in self._names:
            try:
                descriptor = os.open(path, flags, 0o666)
            except FileExistsError:
                continue
            made = os.fstat(descriptor)
            self._identity = made.st_dev, made.st_ino
            self.path = path
            return descriptor
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._target)

    def _warn(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        message = (
            f"spprof can't go on writing the profile to {self.path or self._target} while the program runs ({reason}): "
            "should it be killed, later samples are lost; stop() tries to save all of it"
        )
        try:
            import warnings

            warnings.warn(message, RuntimeWarning, stacklevel=2)
        except Exception:  # noqa: BLE001  # warnings are errors, for whoever can catch them: nobody here
            with suppress(Exception):
                print(message, file=sys.__stderr__)


def _beside(target: str) -> list[str]:
    """Names for the growing file where there is a file already: visible ones, of the same ending."""
    folder, name = os.path.split(target)
    at = name.lower().find(".spprof")
    stem, ending = (name[:at], name[at:]) if at > 0 else (name, ".spprof")
    mark = f".unfinished-{os.getpid()}"
    stem = os.fsdecode(os.fsencode(stem)[: 240 - len(mark) - len(os.fsencode(ending))])
    return [os.path.join(folder, f"{stem}{mark}{number}{ending}") for number in ("", *[f"-{n}" for n in range(2, 100)])]


def is_streamable(path: str | None, format: str | None = None) -> bool:
    """Whether a session that is to leave this file can write it while it runs."""
    if path is None or not has_native:
        return False
    from .export import format_of, is_special

    return format_of(path, format)[0] == "spprof" and not is_special(path)
