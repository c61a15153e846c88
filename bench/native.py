"""What native frames cost: CPU time of a program under spprof with them, by that without, in turns in one process.

native.py [INTERVAL_MS [ROUNDS]]     default 10 ms, 60 rounds of two turns of about 0.25 s

The program, twelve Python functions deep, calls C code that calls Python again (sorted), that runs for long (zlib), and
for short (json). spprof's own threads are in both; what start() does before the program goes on (unwind tables) is told apart.
"""

from __future__ import annotations

import json
import statistics
import sys
import zlib
from time import process_time_ns, thread_time_ns

import spprof

DATA = bytes(range(256)) * 64
DOCUMENT = [{"a": i, "b": [i] * 3} for i in range(40)]


def key(number: int) -> int:
    return -(number * 7 % 101)


def work(count: int) -> None:
    for _ in range(count):
        sorted(range(200), key=key)
        json.loads(json.dumps(DOCUMENT))
        zlib.compress(DATA, 1)


def at_depth(depth: int, count: int) -> None:
    if depth:
        at_depth(depth - 1, count)
    else:
        work(count)


def main() -> None:
    interval_ms = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    start = thread_time_ns()
    at_depth(12, 50)
    count = int(50 * 250_000_000 / (thread_time_ns() - start))
    starts: list[float] = []
    handlers: dict[bool, list[float]] = {True: [], False: []}

    def run(native: bool) -> float:
        begin = process_time_ns()
        spprof.start(interval_ms=interval_ms, native=native)
        if native:
            starts.append((process_time_ns() - begin) / 1e6)
        begin = process_time_ns()
        at_depth(12, count)
        used = float(process_time_ns() - begin)
        stats = spprof.stop().stats
        if stats.handler_calls:
            handlers[native].append(stats.handler_ns / stats.handler_calls / 1e3)
        return used

    for native in (True, False):
        run(native)
    quotients = []
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        order = (True, False) if number & 1 else (False, True)
        turn = {native: run(native) for native in order}
        quotients.append(turn[True] / turn[False])
        for native, used in turn.items():
            times[native].append(used)
    low, middle, high = statistics.quantiles(quotients, n=4)
    fastest = [statistics.fmean(sorted(times[native])[: max(1, rounds // 4)]) for native in (True, False)]
    print(f"Python {sys.version.split()[0]}, {interval_ms:g} ms, {rounds} pairs")
    print(f"on by off: {middle:.4f} ({low:.4f} to {high:.4f}), fastest quarters {fastest[0] / fastest[1]:.4f}")
    for native in (False, True):
        each = handlers[native]
        print(
            f"handler, native {'on ' if native else 'off'}: {statistics.median(each):.1f} us ({min(each):.1f} to {max(each):.1f})"
        )
    print(f"start() with native frames: {statistics.median(starts):.1f} ms of CPU")


if __name__ == "__main__":
    main()
