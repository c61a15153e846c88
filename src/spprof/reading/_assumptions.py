"""What is taken for granted where a file does not say it."""

from __future__ import annotations

import math

from .._base import MEASURES

#: Nanoseconds, by the names that files and people have for units.
NANOSECONDS = {
    "ns": 1, "nanoseconds": 1, "nanosecond": 1,
    "us": 1000, "microseconds": 1000, "microsecond": 1000,
    "ms": 1_000_000, "milliseconds": 1_000_000, "millisecond": 1_000_000,
    "s": 1_000_000_000, "seconds": 1_000_000_000, "second": 1_000_000_000,
}  # fmt: skip
UNITS = ("ns", "us", "ms", "s", "samples")
_DEFAULT_INTERVAL_MS = 10.0


class Assumptions:
    """unit: of numbers without one, None: as the format's reader thinks best. mode: what weights measure.

    interval_ns: what a sample stands for where only their number is known.
    """

    __slots__ = ("interval_ns", "mode", "unit")

    def __init__(self, unit: str | None = None, mode: str | None = None, interval_ms: float | None = None) -> None:
        """Raises ValueError for what makes no sense."""
        if unit is not None and unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, not {unit!r}")
        if mode is not None and mode not in MEASURES:
            raise ValueError(f"mode must be one of {', '.join(MEASURES)}, not {mode!r}")
        interval = _DEFAULT_INTERVAL_MS if interval_ms is None else float(interval_ms)
        if not (math.isfinite(interval) and 0 < interval <= 1e9):
            raise ValueError(f"interval_ms must be more than 0 and at most 1e9, not {interval_ms!r}")
        self.unit = unit
        self.mode = mode or "cpu"
        self.interval_ns = max(1, round(interval * 1e6))

    def factor(self, unit: str | None = None) -> int:
        """Nanoseconds of 1 in numbers without a unit; *unit*: what they are if nobody has said."""
        chosen = self.unit or unit or "samples"
        return self.interval_ns if chosen == "samples" else NANOSECONDS[chosen]
