"""Runs each program under each profiler, in turns, and keeps what comes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.accuracy.judge import Census, verdict
from bench.accuracy.programs import PROGRAMS
from bench.children import command_line, environment
from bench.rivals.places import NotHereError, base_interpreter

if TYPE_CHECKING:
    from bench.records import Clock, Records
    from bench.rivals import Rival

CHILD = str(Path(__file__).with_name("child.py"))


class Laboratory:
    """One interpreter, one rate, one amount of work."""

    def __init__(self, records: Records, clock: Clock, hertz: int, cpu_ms: int) -> None:
        self.records, self.clock = records, clock
        self.hertz, self.cpu_ms = hertz, cpu_ms
        self.place = f"{sys.version_info[0]}.{sys.version_info[1]}"

    def sizes(self, program: str) -> str:
        """The amounts of work, as `child.py` takes them."""

        def find() -> Any:
            done = subprocess.run(
                [base_interpreter(), CHILD, "size", program],
                env=environment(),
                capture_output=True,
                text=True,
                check=True,
            )
            return json.loads(done.stdout)

        return json.dumps(self.records.once(f"sizes|{self.place}|{program}", find))

    def alone(self, what: str, program: str, cpu_ms: int, repeat: int) -> Any:
        """What the program knows without a profiler; of the census all but what it took."""

        def find() -> Any:
            with tempfile.TemporaryDirectory() as folder:
                target = os.path.join(folder, "told")
                script = [CHILD, what, program, self.sizes(program), str(cpu_ms), target]
                command_line([base_interpreter(), *script], environment())
                return json.loads(Path(target).read_text())

        return self.records.once(f"{what}|{self.place}|{program}|{repeat}", find)

    def under(self, rival: Rival, program: str, repeat: int) -> Any:
        """The verdict on one run, or ``{"error": why}``."""

        def find() -> Any:
            self.clock.check()
            case = PROGRAMS[program]
            census = Census(self.alone("census", program, 200, 0))
            bare = self.alone("run", program, self.cpu_ms, repeat)
            with tempfile.TemporaryDirectory() as folder:
                target, output = Path(folder, "told"), Path(folder, f"result{rival.ending}")
                script = [CHILD, "run", program, self.sizes(program), str(self.cpu_ms), str(target)]
                try:
                    begin = time.monotonic()
                    tries = command_line(rival.command(script, output, self.hertz), environment(), rival.tries)
                    if not output.exists():
                        raise NotHereError("no result was written")
                    took = time.monotonic() - begin
                    told = json.loads(target.read_text())
                    report = rival.read(output, self.hertz)
                except NotHereError as error:
                    return {"error": str(error)}
                labels = {label: ns / 1e9 for label, ns in bare["labels"].items()}
                return {**verdict(told, labels, census, report, case.by), "took_s": took, "tries": tries}

        return self.records.once(f"{self.place}|{self.hertz}|{program}|{rival.name}|{repeat}", find)
