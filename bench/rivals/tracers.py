"""Rivals that note every call: yappi, viztracer and the standard library's tracing profiler."""

from __future__ import annotations

import json
import marshal
import re
import sys
from typing import TYPE_CHECKING, Any

from bench.rivals import places
from bench.rivals.report import Frame, Report, Total
from bench.rivals.rival import Rival

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _file(name: str) -> str:
    return "" if name == "~" else name


class Tracer(Rival):
    """Notes calls: no rate, no lines."""

    samples = False
    lines = False


class StatsTracer(Tracer):
    """Writes Python's own format: a dictionary by (file, first line, function)."""

    ending = ".pstats"

    def read(self, output: Path, hertz: int) -> Report:
        with open(output, "rb") as file:
            table = marshal.load(file)
        return Report(
            totals={Frame(key[2], _file(key[0]), 0): Total(entry[2], entry[3]) for key, entry in table.items()}
        )


class CProfile(StatsTracer):
    """cProfile, called profiling.tracing from 3.15 on."""

    name = "profiling.tracing" if sys.version_info >= (3, 15) else "cProfile"
    number = "elapsed time between call and return"
    settings = "-o"

    def ready(self) -> str:
        return sys.version.split()[0]

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        return [places.base_interpreter(), "-m", self.name, "-o", str(output), *script]


class Yappi(StatsTracer):
    """All threads, by their CPU clocks; saved as pstats."""

    name = "yappi"
    home = "yappi"
    requirements = ("yappi",)
    check = ("python", "-c", "import yappi")
    number = "CPU time between call and return"
    settings = "-c cpu -f pstat"

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        return [self.program("python"), "-m", "yappi", "-c", "cpu", "-f", "pstat", "-o", str(output), *script]


class Viztracer(Tracer):
    """A Chrome trace with an event for each call, as many as its buffer holds."""

    name = "viztracer"
    home = "viztracer"
    requirements = ("viztracer",)
    check = ("viztracer", "--version")
    number = "elapsed time between call and return, of the calls kept"
    settings = "--ignore_c_function, --tracer_entries 1000000 (default): the last million calls"
    ending = ".json"

    def command(self, script: list[str], output: Path, hertz: int) -> list[str]:
        own = ["--quiet", "--ignore_c_function", "-o", str(output)]
        return [self.program("viztracer"), *own, "--", *script]

    def read(self, output: Path, hertz: int) -> Report:
        return Report(_trace_stacks(json.loads(output.read_text())["traceEvents"]))


_TRACED = re.compile(r"(.*) \((.*):(\d+)\)")


def _trace_stacks(events: Any) -> Iterator[tuple[tuple[Frame, ...], float]]:
    """Calls put into each other by their times; each stack gets what its last function used itself."""
    threads: dict[Any, list[tuple[float, float, str]]] = {}
    for event in events:
        if event["ph"] == "X":
            threads.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"], event["name"]))
    frames: dict[str, Frame] = {}
    for calls in threads.values():
        calls.sort(key=lambda call: (call[0], -call[1]))
        stack: list[tuple[float, tuple[Frame, ...]]] = []
        for begin, end, name in calls:
            while stack and stack[-1][0] <= begin:
                stack.pop()
            if name not in frames:
                match = _TRACED.fullmatch(name)
                frames[name] = Frame(match[1], match[2], 0) if match is not None else Frame(name, "", 0)
            path = (*stack[-1][1], frames[name]) if stack else (frames[name],)
            seconds = (end - begin) / 1e6
            yield path, seconds
            if stack:
                yield stack[-1][1], -seconds
            stack.append((end, path))
