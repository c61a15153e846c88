"""What the benchmarks share: figures with their spread, tables, children."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class Row:
    """One figure: its median, the quartiles around it, and what was aimed at."""

    def __init__(self, name: str, values: list[float], unit: str, target: float | None = None, note: str = "") -> None:
        self.name = name
        self.unit = unit
        self.target = target
        self.note = note
        self.count = len(values)
        self.median = statistics.median(values)
        quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [self.median] * 3
        self.low, self.high = quartiles[0], quartiles[2]

    def cells(self) -> list[str]:
        """For a table."""
        met = "" if self.target is None else f"{self.target:g}" + ("" if self.median <= self.target else " (missed)")
        spread = f"{self.low:.4g} to {self.high:.4g}" if self.count > 1 else ""
        return [self.name, f"{self.median:.4g} {self.unit}".rstrip(), spread, str(self.count), met, self.note]


HEAD = ["", "median", "quartiles", "runs", "target", ""]


def table(rows: list[list[str]], head: list[str]) -> str:
    """A Markdown table."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in [head, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """Interpreter, system and processors, on which every figure depends."""
    model = "unknown processor"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = " ".join(line.split(":")[1].split())
                break
    except OSError:
        pass
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "processor": f"{len(os.sched_getaffinity(0))} x {model}",
    }


def child(script: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
    """Runs a script of this folder in an interpreter of its own; what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def empty_tick() -> ctypes.CDLL | None:
    """The empty handler, built now; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="spprof-bench-") as folder:
        library = os.path.join(folder, "empty_tick.so")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-pthread", "-o", library, str(HERE / "empty_tick.c")], check=True
        )
        loaded = ctypes.CDLL(library)
    loaded.empty_start.argtypes = [ctypes.c_int, ctypes.c_longlong]
    loaded.empty_stop.restype = ctypes.c_longlong
    return loaded
