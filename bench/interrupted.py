"""System calls that sleep and are ended early by a signal: under spprof in wall mode, and under a plain wall-clock sampler.

python bench/interrupted.py [--seconds S] [--threads N] [--interval-ms N]

N threads in C work for 0.3 ms and sleep for 3 ms, by turns in nanosleep, poll, pselect and epoll_wait, which SA_RESTART
does not restart. The plain sampler (interrupted.c) signals every thread on every tick, as profilers do that have no better way.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import spprof

SOURCE = Path(__file__).with_name("interrupted.c")


def build(folder: str) -> ctypes.CDLL:
    """The library, compiled."""
    target = os.path.join(folder, "interrupted.so")
    subprocess.run(
        [os.environ.get("CC", "cc"), "-O2", "-fPIC", "-shared", str(SOURCE), "-o", target, "-lpthread"], check=True
    )
    return ctypes.CDLL(target)


def run(library: ctypes.CDLL, threads: int, seconds: float) -> tuple[int, int]:
    """Calls that slept, and how many of them ended early."""
    out = (ctypes.c_long * 2)()
    library.run(ctypes.c_int(threads), ctypes.c_double(seconds), out)
    return out[0], out[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--threads", type=int, default=10)
    parser.add_argument("--interval-ms", type=float, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = build(folder)
    rows = {"nothing": run(library, options.threads, options.seconds / 6)}
    for mode in ("wall", "cpu"):
        spprof.start(options.interval_ms, mode=mode)
        rows[f"spprof, {mode}"] = run(library, options.threads, options.seconds)
        signals = spprof.stop().stats.handler_calls
        print(f"spprof, {mode}: {signals} signals", file=sys.stderr)
    library.plain_start(ctypes.c_long(int(options.interval_ms * 1e6)))
    rows["plain"] = run(library, options.threads, options.seconds)
    library.plain_stop()
    rates = {name: early / calls for name, (calls, early) in rows.items()}
    for name, (calls, early) in rows.items():
        factor = rates["plain"] / rates[name] if rates[name] else float("inf")
        print(
            f"{name:14} {calls:8} sleeps, {early:7} ended early ({rates[name]:.4%}), plain is {factor:.0f} times that"
        )


if __name__ == "__main__":
    main()
