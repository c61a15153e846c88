"""System calls that sleep and are ended early by a signal: under spprof in wall mode, and under a plain wall-clock sampler.

python bench/interrupted.py [--seconds S] [--threads N] [--interval-ms N]

N threads in C work for 0.3 ms and sleep for 3 ms, by turns in nanosleep, poll, pselect, epoll_wait, futex and read on a pipe.
SA_RESTART is taken off the handlers, so that no call is started over unseen. The plain sampler (interrupted.c) signals every
thread on every tick, as profilers do that have no better way.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import spprof

SOURCE = Path(__file__).with_name("interrupted.c")
#: As in the source.
KINDS = ("nanosleep", "poll", "pselect", "epoll_wait", "futex", "read")


def build(folder: str) -> ctypes.CDLL:
    """The library, compiled."""
    target = os.path.join(folder, "interrupted.so")
    subprocess.run(
        [os.environ.get("CC", "cc"), "-O2", "-fPIC", "-shared", str(SOURCE), "-o", target, "-lpthread"], check=True
    )
    return ctypes.CDLL(target)


def run(library: ctypes.CDLL, threads: int, seconds: float) -> list[tuple[int, int]]:
    """Of each kind: calls that slept, and how many of them ended early."""
    out = (ctypes.c_long * (2 * len(KINDS)))()
    if library.run(ctypes.c_int(threads), ctypes.c_double(seconds), out) != 0:
        raise OSError("not enough descriptors: ulimit -n raises their number")
    return list(zip(out[: len(KINDS)], out[len(KINDS) :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--threads", type=int, default=10, choices=range(1, 65), metavar="1..64")
    parser.add_argument("--interval-ms", type=float, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = build(folder)
    found = {"none": run(library, options.threads, options.seconds / 6)}
    for mode in ("wall", "cpu"):
        spprof.start(options.interval_ms, mode=mode)
        library.without_restart(ctypes.c_int(signal.SIGURG))
        found[f"spprof, {mode}"] = run(library, options.threads, options.seconds)
        stats = spprof.stop().stats
        print(f"spprof, {mode}: {stats.handler_calls} signals, {stats.looks} looks", file=sys.stderr)
    library.plain_start(ctypes.c_long(int(options.interval_ms * 1e6)))
    found["plain"] = run(library, options.threads, options.seconds)
    library.plain_stop()
    sums = {name: [sum(column) for column in zip(*kinds)] for name, kinds in found.items()}
    plain = sums["plain"][1] / sums["plain"][0]
    for name, kinds in found.items():
        calls, early = sums[name]
        rarer = f"{plain * calls / early:.0f} times rarer than plain" if early else "never"
        parts = ", ".join(f"{kind} {ended}" for kind, (_, ended) in zip(KINDS, kinds))
        print(f"{name:13} {calls:7} sleeps, {early:7} ended early ({early / calls:.4%}; {rarer}): {parts}")


if __name__ == "__main__":
    main()
