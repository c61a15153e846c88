"""The worst error of a share, per program and tick source, of the programs of tests/accuracy: they know their truth."""

from __future__ import annotations

import sys
from typing import Any

from tools import HERE

sys.path.insert(0, str(HERE.parent / "tests" / "accuracy"))

from bounds import share_bound, shares
from observe import NOBODY, is_root, observe, usable

CASES = [
    "calls and loop",
    "five functions",
    "C code",
    "system calls",
    "deep and shallow",
    "generators",
    "GIL handed over",
    "lines of calls",
    "lines with loops",
    "straight lines",
    "clock-locked 10 ms",
    "clock-locked 4 ms",
]
HEAD = ["program", "tick", "source", "samples", "worst error of a share, points", "bound", "total"]


def measure(quick: bool) -> Any:
    """Rows for a table, and everything behind them."""
    rows, raw = [], []
    intervals = (1,) if quick else (1, 10)
    for case in CASES:
        for interval in intervals:
            for source in ("perf", "thread", "timer"):
                if not usable(source):
                    continue
                user = NOBODY if source == "thread" and is_root() else None
                o = observe(
                    case, interval_ms=interval, cpu_ms=2000 if interval == 1 else 4000, source=source, user=user
                )
                true, found = shares(o.truth), shares(o.found)
                worst = max(true, key=lambda label: abs(found[label] - true[label]))
                error, bound = abs(found[worst] - true[worst]), share_bound(true[worst], o.effective)
                own = o.stats["drain_cpu_ns"] + o.stats["sampler_cpu_ns"]
                total = abs(o.cpu_ns / (o.process_ns - own) - 1)
                rows.append(
                    [
                        case, f"{interval} ms", source, str(o.stats["collected"]),
                        f"{100 * error:.1f}", f"{100 * bound:.1f}" + ("" if error <= bound else " (outside)"),
                        f"{100 * total:.2f} %",
                    ]
                )  # fmt: skip
                raw.append({"case": case, "interval": interval, "source": source, "truth": o.truth, "found": o.found})
    for interval in intervals:
        for source in ("perf", "thread", "timer"):
            if usable(source):
                o = observe("300 threads", interval_ms=interval, cpu_ms=3600, source=source)
                part = o.found["brief"] / o.truth["brief"]
                rows.append(
                    [
                        "300 threads of 12 ms",
                        f"{interval} ms",
                        source,
                        str(o.stats["collected"]),
                        f"{100 * part:.1f} % found",
                        "",
                        "",
                    ]
                )
    return rows, raw
