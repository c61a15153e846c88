"""Rivals that sample from within the program: pyinstrument, scalene; and spprof itself."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from bench.rivals.report import Frame, Report
from bench.rivals.rival import Rival

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Pyinstrument(Rival):
    """A session: stacks of ``function NUL file NUL first line SOH l<line>``, each with its seconds."""

    name = "pyinstrument"
    home = "pyinstrument"
    requirements = ("pyinstrument",)
    check = ("pyinstrument", "--version")
    number = "elapsed time between samples, of the thread that started it"
    settings = "--interval, --renderer pyisession (nothing left out)"
    ending = ".pyisession"

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        own = ["--interval", str(1 / hertz), "--renderer", "pyisession", "--outfile", str(output)]
        return [self.program("python"), "-m", "pyinstrument", *own, *script]

    def read(self, output: Path, hertz: int) -> Report:
        return Report(_session_stacks(json.loads(output.read_text())))


def _session_stacks(session: Any) -> Iterator[tuple[tuple[Frame, ...], float]]:
    for stack, seconds in session["frame_records"]:
        frames = []
        for entry in stack:
            identity, *attributes = entry.split("\x01")
            function, file, _ = [*identity.split("\x00"), "", ""][:3]
            lines = [attribute[1:] for attribute in attributes if attribute[:1] == "l"]
            if file not in ("<built-in>", "<thread>"):
                frames.append(Frame(function, file, int(lines[0]) if lines else 0))
        yield tuple(frames), seconds


class Scalene(Rival):
    """Its JSON: stacks of ``file function:line;`` with their part of the run."""

    name = "scalene"
    home = "scalene"
    requirements = ("scalene",)
    check = ("scalene", "--help")
    number = "part of all samples' time (Python, C and system) x elapsed time"
    settings = "run --cpu-only --profile-all --cpu-sampling-rate; stacks"
    ending = ".json"

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        own = ["run", "--cpu-only", "--profile-all", "--cpu-sampling-rate", str(1 / hertz), "-o", str(output)]
        return [self.program("python"), "-m", "scalene", *own, script[0], "---", *script[1:]]

    def read(self, output: Path, hertz: int) -> Report:
        return Report(_scalene_stacks(json.loads(output.read_text())))


_SCALENE = re.compile(r"(.*) (\S+):(\d+);?")


def _scalene_stacks(result: Any) -> Iterator[tuple[tuple[Frame, ...], float]]:
    elapsed = result.get("elapsed_time_sec", 0.0)
    for stack, figures in result.get("stacks", []):
        frames = [_SCALENE.fullmatch(entry) for entry in stack]
        yield (
            tuple(Frame(m[2], m[1], int(m[3])) for m in frames if m is not None),
            (figures["python_time"] + figures["c_time"]) * elapsed,
        )


class Spprof(Rival):
    """The profiler of this repository, as the interpreter that runs the laboratory has it."""

    name = "spprof"
    number = "CPU time by the kernel's clock of the thread, divided by ticks"
    settings = "run --interval-ms (mode cpu)"
    ending = ".spprof"
    mode = "cpu"

    def ready(self) -> str:
        import spprof

        return str(spprof.__version__)

    def program(self, name: str) -> str:
        return sys.executable if name == "python" else name

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        own = ["run", "-q", "--mode", self.mode, "--interval-ms", f"{1000 / hertz:g}", "-o", str(output)]
        return [sys.executable, "-m", "spprof", *own, *script]

    def read(self, output: Path, hertz: int) -> Report:
        from spprof import Profile

        profile = Profile.load(output)
        return Report(
            (
                tuple(Frame(f.function_name, f.filename, f.lineno or 0) for f in sample.frames),
                sample.weight_ns / 1e9,
            )
            for sample in profile.samples
        )
