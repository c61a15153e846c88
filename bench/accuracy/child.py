"""Runs one program and writes what it knows; this is the script that every profiler is started on.

child.py size PROGRAM                       prints the amounts of work, as JSON
child.py census PROGRAM SIZES CPU_MS FILE   runs it, noting each function that runs, and who called it
child.py run PROGRAM SIZES CPU_MS FILE      runs it

SIZES are those of `size`, found once for all runs: what is tried out to find them would be in the profile.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from pathlib import Path
from time import process_time_ns, thread_time_ns
from typing import Any

# What the census wants to know about.
OWN_FILES = ("work.py", "programs.py", "cases.py", "ledger.py", "<made>")


def modules() -> tuple[Any, Any]:
    """`programs`, which knows where the others are, and `cases`; imported late, for the census."""
    return importlib.import_module("programs"), importlib.import_module("cases")


def sizes_of(name: str) -> list[int]:
    """The amounts that `sized` finds, in the order in which the program asks for them."""
    programs, cases = modules()
    ledger = importlib.import_module("ledger")

    found: list[int] = []

    def noting(function: Any, ns: int) -> int:
        found.append(ledger.sized(function, ns))
        return found[-1]

    cases.sized = programs.sized = noting
    programs.PROGRAMS[name].prepare()
    return found


def prepared(name: str, sizes: list[int]) -> Any:
    """The program's plan, with amounts that are known."""
    programs, cases = modules()
    known = iter(sizes)
    cases.sized = programs.sized = lambda *_: next(known)
    return programs.PROGRAMS[name].prepare()


class Census:
    """The functions of the program's own files that ran, and which of them called which."""

    def __init__(self) -> None:
        self.ran: set[tuple[str, str]] = set()
        self.calls: set[tuple[str, str, str, str]] = set()

    def note(self, frame: Any, event: str, _: Any) -> None:
        """The profile function."""
        if event != "call":
            return
        own = self._known(frame)
        if own is not None:
            self.ran.add(own)
            caller = self._known(frame.f_back) if frame.f_back is not None else None
            if caller is not None:
                self.calls.add((*caller, *own))

    @staticmethod
    def _known(frame: Any) -> tuple[str, str] | None:
        file = os.path.basename(frame.f_code.co_filename)
        return (file, frame.f_code.co_name) if file in OWN_FILES else None


def main() -> None:
    """What the arguments say."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    what, name = sys.argv[1:3]
    if what == "size":
        json.dump(sizes_of(name), sys.stdout)
        return
    sizes, cpu_ms, target = json.loads(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    census = Census()
    if what == "census":  # from before the imports on: what they run is in profiles, too
        threading.setprofile(census.note)
        sys.setprofile(census.note)
    programs, _ = modules()
    plan, ledger = prepared(name, sizes), importlib.import_module("ledger").Ledger()
    process, thread = process_time_ns(), thread_time_ns()
    programs.PROGRAMS[name].run(ledger, cpu_ms * 1_000_000, plan)
    used = {"process_ns": process_time_ns() - process, "main_ns": thread_time_ns() - thread}
    labels = ledger.total_labels()
    sys.setprofile(None)
    told = {**used, "labels": labels, "ran": sorted(census.ran), "calls": sorted(census.calls)}
    Path(target).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
