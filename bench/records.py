"""What a laboratory has found so far, in a file: a run can be stopped, continued and shown again."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any, Callable

from bench.tools import machine


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


def opened(options: argparse.Namespace, laboratory: str) -> Records:
    """Those that a laboratory's options ask for: with --quick new ones, unless a file is named or only shown."""
    path = options.results or Path(f"{laboratory}-{'quick' if options.quick else 'results'}.json")
    if options.quick and options.results is None and not options.tables:
        path.unlink(missing_ok=True)
    return Records(path)


def facts(records: Records, place: str) -> dict[str, str]:
    """What figures depend on, as it was at the first of them."""
    found: dict[str, str] = records.once(f"machine|{place}", lambda: {**machine(), "date": time.strftime("%Y-%m-%d")})
    return found


def chosen(names: str | None, known: list[str], separator: str) -> list[str]:
    """Of *known* those that an option names, all if it is not given; SystemExit for others."""
    if names is None:
        return known
    picked = [name.strip() for name in names.split(separator)]
    unknown = [name for name in picked if name not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    return picked
