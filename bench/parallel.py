"""Child: CPU and elapsed time of threads that all work, alone, each under an empty handler on the same tick, and under
spprof, in turns. Of interest without a GIL, where they work at the same time.

parallel.py INTERVAL_MS THREADS ROUNDS
"""

from __future__ import annotations

import json
import sys
import threading
from time import perf_counter_ns, process_time_ns, thread_time_ns
from typing import Any, Callable

import spprof
from tools import empty_tick

WORK_NS = 100_000_000  # of each thread in each turn


def work(count: int) -> int:
    """Calls, arithmetic, a list now and then. Nothing of it is shared with another thread."""

    def step(i: int) -> int:
        return i * 3 & 255

    total = 0
    for i in range(count):
        total += step(i)
        if not i & 15:
            total += len([i] * 8)
    return total


class Team:
    """Threads that do one turn of the same work whenever they are told to; `around`, in each of them."""

    def __init__(self, size: int, count: int) -> None:
        self.around: Callable[[Callable[[], None]], None] = lambda turn: turn()
        self.count = count
        self.go, self.done = threading.Barrier(size + 1), threading.Barrier(size + 1)
        self.over = False
        self.threads = [threading.Thread(target=self._member) for _ in range(size)]
        for thread in self.threads:
            thread.start()

    def _member(self) -> None:
        while True:
            self.go.wait()
            if self.over:
                return
            self.around(lambda: (work(self.count), None)[1])
            self.done.wait()

    def turn(self) -> tuple[int, int]:
        """CPU and elapsed time of one, in nanoseconds."""
        used, begin = process_time_ns(), perf_counter_ns()
        self.go.wait()
        self.done.wait()
        return process_time_ns() - used, perf_counter_ns() - begin

    def end(self) -> None:
        self.over = True
        self.go.wait()
        for thread in self.threads:
            thread.join()


def main() -> None:
    interval_ms, size, rounds = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    library = empty_tick()
    source = 1 if spprof._native.tick_sources()["perf"][0] else 0
    count = 100_000
    start = thread_time_ns()
    work(count)
    team = Team(size, int(count * WORK_NS / (thread_time_ns() - start)))

    def alone() -> tuple[int, int]:
        return team.turn()

    def under_empty_handler(turn: Callable[[], None]) -> None:
        assert library is not None
        if library.empty_start(source, int(interval_ms * 1e6)) != 0:
            raise OSError("the tick of the empty handler was refused")
        turn()
        library.empty_stop()

    def empty() -> tuple[int, int]:
        team.around = under_empty_handler
        used = team.turn()
        team.around = lambda turn: turn()
        return used

    drops = 0

    def sampled() -> tuple[int, int]:
        nonlocal drops
        spprof.start(interval_ms=interval_ms)
        used = team.turn()
        stats = spprof.stop().stats
        drops += stats.dropped + stats.validation_drops
        return used

    ways: list[Callable[[], tuple[int, int]]] = [alone, sampled] if library is None else [alone, empty, sampled]
    results: dict[str, Any] = {way.__name__: [] for way in ways}
    for way in ways:
        way()
    for number in range(rounds):
        for way in ways if number & 1 else ways[::-1]:  # what drifts meets each of them first as often as last
            results[way.__name__].append(way())
    team.end()
    json.dump({**results, "drops": drops}, sys.stdout)


if __name__ == "__main__":
    main()
