"""Runs a command and tells what it and all processes below it have used.

watch.py [--memory] FILE COMMAND...

It is the reaper of its descendants: what they used is counted when they end, whoever started them and whether or not he waits.
With --memory it looks at their resident memory all the time, which costs time: not in a run that is timed.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def peaks(into: dict[int, int], own: int) -> None:
    """Highest resident size of each descendant so far, in bytes."""
    parents: dict[int, int] = {}
    high: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = dict(
                line.split(":", 1) for line in Path("/proc", name, "status").read_text().splitlines() if ":" in line
            )
        except OSError:  # it has ended
            continue
        if "VmHWM" in fields:
            high[int(name)] = int(fields["VmHWM"].split()[0]) * 1024
        parents[int(name)] = int(fields["PPid"])
    for pid, size in high.items():
        ancestor = pid
        while ancestor not in (0, 1, own):
            ancestor = parents.get(ancestor, 0)
        if ancestor == own and pid != own:
            into[pid] = max(into.get(pid, 0), size)


def main() -> None:
    arguments = sys.argv[1:]
    memory = arguments[0] == "--memory"
    target, *command = arguments[memory:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sizes: dict[int, int] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            peaks(sizes, os.getpid())

    looker = threading.Thread(target=look)
    if memory:
        looker.start()
    begin = time.perf_counter()
    # Not `subprocess.run`, which would wait for this one alone and take its status away from the loop below.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    code = 1
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            break
        if pid == process.pid:
            code = process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    wall = time.perf_counter() - begin
    over.set()
    if memory:
        looker.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "wall_s": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak": max(sum(sizes.values()), used.ru_maxrss * 1024),
    }
    Path(target).write_text(json.dumps(told))
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
