"""What spprof costs a program that sleeps: CPU time of the whole process, as the kernel has it, seen from outside.

python bench/idle.py [--threads 0 500] [--intervals 10 1] [--modes none wall cpu] [--settle S] [--seconds S]

Each row is a process of its own: the main thread sleeps in one call, N further threads wait for an event. Given is the CPU
time per second in that time, in per cent of one core, after the process has settled.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

CHILD = """
import sys, threading, time
threads, mode, interval = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
never = threading.Event()
for _ in range(threads):
    threading.Thread(target=never.wait, daemon=True).start()
if mode != "none":
    import spprof
    spprof.start(interval, mode=mode)
print("ready", flush=True)
time.sleep(3600)
"""


def cpu_ns(pid: int) -> dict[str, int]:
    """CPU time by thread name, the program's own threads together."""
    found: dict[str, int] = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as file:
            used = int(file.read().split()[0])
        with open(f"/proc/{pid}/task/{tid}/comm") as file:
            name = file.read().strip()
        name = name if name.startswith("spprof") else "program"
        found[name] = found.get(name, 0) + used
    return found


def measure(threads: int, mode: str, interval: float, settle: float, seconds: float) -> str:
    """One row."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(threads), mode, str(interval)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        time.sleep(settle)
        before, begin = cpu_ns(child.pid), time.monotonic_ns()
        time.sleep(seconds)
        after, elapsed = cpu_ns(child.pid), time.monotonic_ns() - begin
    finally:
        child.kill()
        child.wait()
    parts = {name: (after[name] - before.get(name, 0)) / elapsed for name in after}
    detail = ", ".join(f"{name} {share:.3%}" for name, share in sorted(parts.items()))
    return f"{threads + 1:5} threads  {mode:5} {interval:4g} ms  {sum(parts.values()):8.3%} of a core  ({detail})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[0, 500])
    parser.add_argument("--intervals", type=float, nargs="+", default=[10.0])
    parser.add_argument("--modes", nargs="+", default=["none", "cpu", "wall"])
    parser.add_argument("--settle", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    for threads in options.threads:
        for interval in options.intervals:
            for mode in options.modes:
                print(measure(threads, mode, interval, options.settle, options.seconds), flush=True)


if __name__ == "__main__":
    main()
