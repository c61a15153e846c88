"""What a laboratory has found so far, in a file: a run can be stopped, continued and shown again."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any, Callable


class Records:
    """Results by key, written after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def once(self, key: str, find: Callable[[], Any]) -> Any:
        """What was found under *key*, or else what *find* finds now."""
        if key not in self.found:
            self.found[key] = find()
            self._write()
        return self.found[key]

    def _write(self) -> None:
        beside = self.path.with_name(self.path.name + ".new")
        beside.write_text(json.dumps(self.found, indent=0))
        os.replace(beside, self.path)


class TimeIsUpError(Exception):
    """The time that a run was given is over; what it found is kept."""


class Clock:
    """Ends a run after so many seconds, between two measurements."""

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds

    def check(self) -> None:
        """Raises `TimeIsUpError`."""
        if self.end is not None and time.monotonic() > self.end:
            raise TimeIsUpError


def machine() -> dict[str, str]:
    """What figures depend on."""
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
        "date": time.strftime("%Y-%m-%d"),
    }
