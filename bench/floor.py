"""Child: CPU time of one program alone, under an empty handler on the same tick, and under spprof, in turns.

floor.py INTERVAL_MS DEPTH ROUNDS
"""

from __future__ import annotations

import json
import sys
from time import process_time_ns, thread_time_ns
from typing import Any, Callable

import spprof
from tools import empty_tick


def work(count: int) -> int:
    """Calls, arithmetic, a list now and then: an ordinary program."""
    total = 0
    for i in range(count):
        total += step(i)
        if not i & 15:
            total += len([i] * 8)
    return total


def step(i: int) -> int:
    return i * 3 & 255


def at_depth(depth: int, count: int) -> int:
    return at_depth(depth - 1, count) if depth > 1 else work(count)


def main() -> None:
    interval_ms, depth, rounds = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.setrecursionlimit(depth + 500)
    library = empty_tick()
    source = 1 if spprof._native.tick_sources()["perf"][0] else 0
    count = 100_000
    start = thread_time_ns()
    at_depth(depth, count)
    count = int(count * 100_000_000 / (thread_time_ns() - start))  # short turns: what disturbs one disturbs its pair
    stats: list[dict[str, Any]] = []

    def run() -> float:
        start = process_time_ns()
        at_depth(depth, count)
        return float(process_time_ns() - start)

    def alone() -> float:
        return run()

    def empty() -> float:
        assert library is not None
        if library.empty_start(source, int(interval_ms * 1e6)) != 0:
            raise OSError("the tick of the empty handler was refused")
        used = run()
        library.empty_stop()
        return used

    def sampled() -> float:
        spprof.start(interval_ms=interval_ms)
        used = run()
        spprof.stop()
        return used

    ways: list[Callable[[], float]] = [alone, sampled] if library is None else [alone, empty, sampled]
    for way in ways:
        way()
    results: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for number in range(rounds):
        for way in ways if number & 1 else ways[::-1]:  # what drifts meets each of them first as often as last
            results[way.__name__].append(way())
    for _ in range(5):  # what spprof says of itself, in sessions long enough to have it measured
        spprof.start(interval_ms=interval_ms)
        at_depth(depth, count * 10)
        stats.append(spprof.stop().stats.to_dict())
    json.dump({"ns": results, "stats": stats, "source": stats[-1]["tick_source"]}, sys.stdout)


if __name__ == "__main__":
    main()
