"""Rivals that look at the program from a process of their own: py-spy, austin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.rivals.report import Frame, Report
from bench.rivals.rival import Rival

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class PySpy(Rival):
    """Raw output: ``thread (tid): name;function (file:line);... count``."""

    name = "py-spy"
    home = "py-spy"
    requirements = ("py-spy",)
    check = ("py-spy", "--version")
    number = "samples that found the thread on a processor x interval"
    settings = "record --threads --full-filenames --format raw, the program paused for each sample (default)"
    ending = ".raw"
    extra: tuple[str, ...] = ()

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        own = [
            "record",
            "--rate",
            str(hertz),
            "--threads",
            "--full-filenames",
            "--format",
            "raw",
            *self.extra,
            "--output",
            str(output),
        ]
        return [self.program("py-spy"), *own, "--", self.program("python"), *script]

    def read(self, output: Path, hertz: int) -> Report:
        return Report(_raw_stacks(output.read_text(errors="replace"), 1 / hertz))


_RAW = re.compile(r"(.*) \((.*?)(?::(\d+))?\)")


def _raw_stacks(text: str, interval: float) -> Iterator[tuple[tuple[Frame, ...], float]]:
    for row in text.splitlines():
        stack, _, count = row.rpartition(" ")
        frames = []
        for part in stack.split(";"):
            match = _RAW.fullmatch(part)
            if match is not None and not part.startswith(("thread (", "process ")):
                frames.append(Frame(match[1], match[2], int(match[3] or 0)))
        yield tuple(frames), int(count) * interval


class PySpyGil(PySpy):
    """The same, of the threads that hold the GIL only."""

    name = "py-spy --gil"
    number = "samples that found the thread with the GIL x interval"
    settings = PySpy.settings + ", --gil"
    extra = ("--gil",)


class Austin(Rival):
    """Text output of austin 3: ``P1;T0:1;file:function:line;... microseconds``."""

    name = "austin"
    home = "austin-dist"
    requirements = ("austin-dist", "austin-dist<4")  # version 4 is built for a newer C library than some systems have
    check = ("austin", "--version")
    number = "time between samples that found the thread on a processor"
    settings = "--sleepless (its CPU mode), -t 2000; started up to three times, as it does not find every program's interpreter"
    tries = 3
    ending = ".austin"

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        own = ["-t", "2000", "-i", str(1_000_000 // hertz), "-o", str(output)]
        own = [*own, "-c", "-F", "collapsed"] if self.ready().split(".")[0] != "3" else [*own, "-s"]
        return [self.program("austin"), *own, self.program("python"), *script]

    def read(self, output: Path, hertz: int) -> Report:
        return Report(_austin_stacks(output.read_text(errors="replace")))


_PLACE = re.compile(r"(.*):([^:]*):(\d+)")


def _austin_stacks(text: str) -> Iterator[tuple[tuple[Frame, ...], float]]:
    for row in text.splitlines():
        if not row.startswith("P"):
            continue
        stack, _, microseconds = row.rpartition(" ")
        frames = [_PLACE.fullmatch(part) for part in stack.split(";")[2:]]
        yield tuple(Frame(m[2], m[1], int(m[3])) for m in frames if m is not None), int(microseconds) / 1e6
