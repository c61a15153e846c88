"""Runs the program with and without each profiler, in pairs, and keeps what they took."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.children import command_line, environment
from bench.rivals.places import NotHereError, base_interpreter

if TYPE_CHECKING:
    from bench.records import Clock, Records
    from bench.rivals import Rival

HERE = Path(__file__).resolve().parent
WATCH, WORKLOAD = str(HERE / "watch.py"), str(HERE / "workload.py")


class Work(NamedTuple):
    """A program: its kind, how many of what it is about, and seconds of CPU time by itself."""

    kind: str
    size: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.kind} {self.size} {self.seconds:g} s"


class Taken(NamedTuple):
    """One run. `inside` is what the program measured around its work, the rest is the whole command with all its processes."""

    inside_wall: float
    inside_cpu: float
    wall: float
    cpu: float
    peak: int
    written: int


class Laboratory:
    """One interpreter on one machine."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self.records, self.clock = records, clock
        self.place = f"{sys.version_info[0]}.{sys.version_info[1]}"

    def amount(self) -> int:
        """Of work for a second of CPU time."""

        def find() -> int:
            done = subprocess.run(
                [base_interpreter(), WORKLOAD, "size"], env=environment(), capture_output=True, text=True, check=True
            )
            return int(done.stdout)

        return int(self.records.once(f"amount|{self.place}", find))

    def run(self, rival: Rival | None, hertz: int, work: Work, memory: bool = False) -> Taken:
        """Once, under *rival* or alone; `NotHereError` if it fails."""
        with tempfile.TemporaryDirectory() as folder:
            told, seen = Path(folder, "told"), Path(folder, "seen")
            output = Path(folder, f"result{rival.ending if rival is not None else ''}")
            script = [WORKLOAD, work.kind, str(work.size), str(self.amount()), str(work.seconds), str(told)]
            command = [base_interpreter(), *script] if rival is None else rival.command(script, output, hertz)
            watch = [sys.executable, WATCH, *(["--memory"] if memory else []), str(seen)]
            command_line([*watch, *command], environment(), rival.tries if rival is not None else 1)
            outside = json.loads(seen.read_text())
            inside = json.loads(told.read_text())
            written = rival.written(output) if rival is not None else 0
        return Taken(inside["wall_s"], inside["cpu_s"], outside["wall_s"], outside["cpu_s"], outside["peak"], written)

    def pair(self, rival: Rival, hertz: int, work: Work, repeat: int) -> Any:
        """``{"alone": ..., "under": ...}``, each first in every other pair; or ``{"error": why}``."""

        def find() -> Any:
            self.clock.check()
            found: dict[str, Any] = {}
            try:
                for who in ("alone", "under") if repeat % 2 else ("under", "alone"):
                    found[who] = self.run(rival if who == "under" else None, hertz, work)._asdict()
            except NotHereError as error:
                return {"error": str(error)}
            return found

        return self.records.once(f"{self.place}|{hertz}|{work}|{rival.name}|{repeat}", find)

    def memory(self, rival: Rival, hertz: int, work: Work) -> Any:
        """Peak resident memory of all processes, with and without, in runs of their own."""

        def find() -> Any:
            self.clock.check()
            try:
                return {
                    "alone": self.run(None, hertz, work, memory=True).peak,
                    "under": self.run(rival, hertz, work, memory=True).peak,
                }
            except NotHereError as error:
                return {"error": str(error)}

        return self.records.once(f"memory|{self.place}|{hertz}|{work}|{rival.name}", find)
