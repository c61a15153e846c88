"""The sampling profiler of the standard library from 3.15 on, in its modes."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import TYPE_CHECKING

from bench.rivals import places
from bench.rivals.report import Frame, Report
from bench.rivals.rival import Rival

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NUMBERS = {
    "cpu": "samples that found the thread on a processor x interval",
    "wall": "samples x interval",
    "gil": "samples that found the thread with the GIL x interval",
}


class Sampling(Rival):
    """Collapsed output: ``tid:1;file:function:line;... count``."""

    ending = ".collapsed"

    def __init__(self, mode: str, blocking: bool) -> None:
        self.mode, self.blocking = mode, blocking
        self.name = f"profiling.sampling {mode}" + (", blocking" if blocking else "")
        self.number = _NUMBERS[mode]
        self.settings = f"run --all-threads --mode {mode} --collapsed" + (" --blocking" if blocking else "")

    def ready(self) -> str:
        if importlib.util.find_spec("profiling") is None:
            raise places.NotHereError("comes with Python 3.15")
        return sys.version.split()[0]

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        own = [
            "run",
            "--sampling-rate",
            str(hertz),
            "--all-threads",
            "--mode",
            self.mode,
            "--collapsed",
            "-o",
            str(output),
        ]
        own += ["--blocking"] if self.blocking else []
        return [places.base_interpreter(), "-m", "profiling.sampling", *own, *script]

    def read(self, output: Path, hertz: int) -> Report:
        return Report(_collapsed_stacks(output.read_text(errors="replace"), 1 / hertz))


_PLACE = re.compile(r"(.*?):([^:]*):(-?\d+)")


def _collapsed_stacks(text: str, interval: float) -> Iterator[tuple[tuple[Frame, ...], float]]:
    for row in text.splitlines():
        stack, _, count = row.rpartition(" ")
        frames = [_PLACE.fullmatch(part) for part in stack.split(";") if not part.startswith("tid:")]
        yield tuple(Frame(m[2], m[1], int(m[3])) for m in frames if m is not None), int(count) * interval
