"""The program that every profiler is started on. It works a fixed amount and writes how long that took.

workload.py size                          prints the amount that takes about a second of CPU time
workload.py KIND SIZE AMOUNT SECONDS FILE

KIND and SIZE: `ordinary` 0; `threads` N, all but one of which sleep; `depth` N calls below it;
`stacks` N different ones. The work itself is calls, json, zlib and sorted with a key.
"""

from __future__ import annotations

import json
import sys
import threading
import zlib
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Callable

DATA = {f"key {i}": [i, i / 3, str(i)] for i in range(40)}


def turn(number: int) -> int:
    """About 0.2 ms, like parts of a real program."""
    total = 0
    for i in range(200):
        total += step(i, number)
    text = json.dumps(DATA)
    total += len(json.loads(text)) + zlib.crc32(text.encode())
    return total + len(sorted(DATA, key=weigh))


def step(i: int, number: int) -> int:
    return i * number & 255


def weigh(key: str) -> int:
    return len(key)


def turns(amount: int) -> int:
    total = 0
    for number in range(amount):
        total += turn(number)
    return total


def at_depth(depth: int, amount: int) -> int:
    return at_depth(depth - 1, amount) if depth > 1 else turns(amount)


def branch_left(depth: int, path: int) -> int:
    """Two functions that call each other: as many stacks as there are paths."""
    if not depth:
        return turn(path)
    return branch_right(depth - 1, path >> 1) if path & 1 else branch_left(depth - 1, path >> 1)


def branch_right(depth: int, path: int) -> int:
    if not depth:
        return turn(path)
    return branch_left(depth - 1, path >> 1) if path & 1 else branch_right(depth - 1, path >> 1)


def many_stacks(count: int, amount: int) -> int:
    depth, total = max(1, (count - 1).bit_length()), 0
    for number in range(amount):
        total += branch_left(depth, number * 0x9E3779B1 % count)  # in no order
    return total


def chosen(kind: str, size: int, amount: int) -> Callable[[], int]:
    """The work, with what it needs in place."""
    if kind == "threads":
        threading.stack_size(256 * 1024)
        for _ in range(size - 1):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
    if kind == "depth":
        sys.setrecursionlimit(size + 500)
        return lambda: at_depth(size, amount)
    if kind == "stacks":
        return lambda: many_stacks(size, amount)
    return lambda: turns(amount)


def main() -> None:
    if sys.argv[1] == "size":
        amount = best = 0
        for _ in range(5):
            begin = process_time_ns()
            turns(500)
            used = process_time_ns() - begin
            best = used if not best else min(best, used)
        amount = 500 * 1_000_000_000 // best
        print(amount)
        return
    kind, size, amount, seconds, target = (
        sys.argv[1],
        int(sys.argv[2]),
        int(sys.argv[3]),
        float(sys.argv[4]),
        sys.argv[5],
    )
    work = chosen(kind, size, int(amount * seconds))
    begin, used = perf_counter_ns(), process_time_ns()
    work()
    told = {"cpu_s": (process_time_ns() - used) / 1e9, "wall_s": (perf_counter_ns() - begin) / 1e9}
    Path(target).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
