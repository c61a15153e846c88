"""Child: a million samples, taken for real, one after the other: what they weigh, and what becomes of them.

million.py COUNT
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from time import perf_counter_ns

import spprof


def resident(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def place(kind: int, depth: int, sample_now: object) -> None:
    """One of 25 stacks, up to 27 deep."""
    if depth:
        place(kind, depth - 1, sample_now)
    elif kind & 1:
        sample_now()  # type: ignore[operator]
    else:
        other_place(sample_now)


def other_place(sample_now: object) -> None:
    sample_now()  # type: ignore[operator]


def main() -> None:
    count = int(sys.argv[1])
    take = spprof._native.sample_now
    spprof.start(interval_ms=10_000, memory_limit_mb=200)
    for kind in range(100):
        place(kind % 25, kind % 25, take)
    base = resident("VmRSS:")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is counted from here
    first = spprof.stats()
    assert first is not None
    begin = perf_counter_ns()
    for number in range(count):
        place(number % 25, number % 25, take)
    took = perf_counter_ns() - begin
    last = spprof.stats()
    assert last is not None
    peak_running = resident("VmHWM:") - base
    begin = perf_counter_ns()
    profile = spprof.stop()
    stop_ns = perf_counter_ns() - begin
    peak_stop = resident("VmHWM:") - base
    folder = tempfile.mkdtemp(prefix="spprof-bench-")
    path = os.path.join(folder, "million.speedscope.json")
    begin = perf_counter_ns()
    profile.save(path)
    save_ns = perf_counter_ns() - begin
    size = os.path.getsize(path)
    peak_save = resident("VmHWM:") - base
    begin = perf_counter_ns()
    profile.aggregate()
    aggregate_ns = perf_counter_ns() - begin
    os.unlink(path)
    os.rmdir(folder)
    json.dump(
        {
            "samples": profile.sample_count,
            "dropped": profile.dropped_count,
            "take_ns": took / count,
            "memory_first": first.memory_bytes,
            "memory_last": last.memory_bytes,
            "memory_stats": profile.stats.memory_bytes,
            "bytes_a_sample": (last.memory_bytes - first.memory_bytes) / (last.collected - first.collected),
            "stop_ms": stop_ns / 1e6,
            "save_ms": save_ns / 1e6,
            "file_bytes": size,
            "aggregate_ms": aggregate_ns / 1e6,
            "peak_running": peak_running,
            "peak_stop": peak_stop,
            "peak_save": peak_save,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
