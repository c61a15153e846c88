"""What the laboratories know of a profiler: how it is had, started on a script and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.rivals import places

if TYPE_CHECKING:
    from bench.rivals.report import Report


class Rival:
    """One profiler in one way of using it."""

    #: In tables; unique.
    name = ""
    #: Its environment, shared by those with the same; "" for what comes with the interpreter.
    home = ""
    #: What pip is asked for, until one works.
    requirements: tuple[str, ...] = ()
    #: A command that must work: a program of its environment and arguments.
    check: tuple[str, ...] = ()
    #: What its number is.
    number = ""
    #: How it is used, for the reader.
    settings = ""
    #: Whether it takes samples, so that a rate means something to it.
    samples = True
    #: Whether its result tells lines.
    lines = True
    #: How often it may be started anew when it fails.
    tries = 1
    #: The end of the name of what it writes.
    ending = ".out"

    def ready(self) -> str:
        """Its version, once it is installed; `places.NotHereError` if it can't be had."""
        folder = places.environment(self.home, self.requirements, self.check)
        return places.version(folder, self.home)

    def program(self, name: str) -> str:
        """A program of its environment."""
        return str(places.environment(self.home, self.requirements, self.check) / "bin" / name)

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        """What starts *script* (its path and arguments) under it, with the result in *output*."""
        raise NotImplementedError

    def read(self, output: Path, hertz: int) -> Report:
        """The result."""
        raise NotImplementedError

    def written(self, output: Path) -> int:
        """Bytes of the result."""
        return output.stat().st_size if output.exists() else 0
