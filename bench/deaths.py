"""Child: a program that makes and drops code objects all the time, with and without spprof, in turns.

deaths.py INTERVAL_MS ROUNDS
"""

from __future__ import annotations

import json
import sys
from time import process_time_ns

import spprof

SOURCE = "def made(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total\nmade(60)\n"


def churn(count: int) -> None:
    for _ in range(count):
        exec(compile(SOURCE, "made", "exec"), {})


def main() -> None:
    interval_ms, rounds = float(sys.argv[1]), int(sys.argv[2])
    churn(200)
    start = process_time_ns()
    churn(1000)
    count = int(1000 * 300_000_000 / (process_time_ns() - start))
    alone, sampled = [], []

    def run() -> float:
        start = process_time_ns()
        churn(count)
        return (process_time_ns() - start) / count

    for number in range(rounds * 2):
        if number % 2 ^ (number // 2) % 2:
            spprof.start(interval_ms=interval_ms)
            sampled.append(run())
            spprof.stop()
        else:
            alone.append(run())
    json.dump({"alone_ns": alone, "sampled_ns": sampled}, sys.stdout)


if __name__ == "__main__":
    main()
