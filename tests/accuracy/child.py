"""Runs one case under spprof and prints what it knew and what spprof found, as JSON.

child.py '{"case": ..., "interval_ms": ..., "cpu_ms": ..., "user": ..., "cpus": ..., "helper": ...}'
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import sys
import warnings
from time import process_time_ns, thread_time_ns
from typing import Any

from bounds import effective_number
from cases import CASES, Case, c_threads
from ledger import Ledger

import spprof

PR_SET_DUMPABLE = 4


def become(user: int) -> None:
    """Gives up root for good, once everything is imported: the user may not be able to read the interpreter's files."""
    for module in pkgutil.iter_modules(spprof.__path__, "spprof."):
        if module.name != "spprof.__main__":
            importlib.import_module(module.name)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    # What an exec by that user would have set again: without it the process could not look into its own /proc.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def label_of(sample: Any, by: str, labels: set[str]) -> str | None:
    if by == "thread":
        return sample.thread_name if sample.thread_name in labels else None
    if by == "line":
        leaf = sample.frames[-1]
        name = f"{leaf.function_name}:{leaf.lineno}"
        return name if name in labels else None
    for frame in reversed(sample.frames):
        if frame.function_name in labels:
            return str(frame.function_name)
    return None


def machine_ns() -> tuple[int, int]:
    """CPU time of all processes on the processors that this one may use, and idle time, since boot.

    (0, 0) if the system does not tell.
    """
    own = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    try:
        with open("/proc/stat") as file:
            lines = [line.split() for line in file]
    except OSError:
        return 0, 0
    busy = idle = 0
    for name, *words in lines:
        if name in own:
            ticks = [int(word) for word in words[:8]]
            idle += ticks[3] + ticks[4]
            busy += sum(ticks) - ticks[3] - ticks[4]
    unit = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return busy * unit, idle * unit


def crowded(before: tuple[int, int], own_ns: int) -> bool:
    """Whether other processes took what was left of those processors."""
    busy, idle = (after - earlier for after, earlier in zip(machine_ns(), before))
    everything = busy + idle
    return everything > 0 and idle < everything / 10 and busy - own_ns > everything / 10


def report(case: Case, ledger: Ledger, profile: Any, main_ns: int, process_ns: int) -> dict[str, Any]:
    labels = ledger.total_labels()
    found = dict.fromkeys(labels, 0)
    weights: list[int] = []
    sums: dict[int, int] = {}
    names = set(labels)
    for sample in profile.samples:
        sums[sample.thread_id] = sums.get(sample.thread_id, 0) + sample.weight_ns
        label = label_of(sample, case.by, names)
        if label is not None:
            found[label] = found.get(label, 0) + sample.weight_ns
            weights.append(sample.weight_ns)
    threads = ledger.total_threads()
    threads["MainThread"] = main_ns
    by_id: dict[int, int] = {}
    for thread in profile.threads:
        by_id[thread.thread_id] = by_id.get(thread.thread_id, 0) + thread.sampled_ns
    return {
        "truth": labels,
        "found": found,
        "effective": effective_number(weights),
        "threads": threads,
        "seen": [thread._asdict() for thread in profile.threads],
        "native": sum(sample.weight_ns for sample in profile.samples if sample.frames[-1].function_name == "[native]"),
        "weights_match": all(sums.get(id, 0) == sampled for id, sampled in by_id.items()),
        "process_ns": process_ns,
        "cpu_ns": profile.cpu_time_ns,
        "losses_ns": sum(loss.weight_ns for loss in profile.losses),
        "stats": profile.stats.to_dict(),
    }


def main() -> None:
    request = json.loads(sys.argv[1])
    if request.get("helper"):
        c_threads(request["helper"])
    case = CASES[request["case"]]
    plan = case.prepare()
    if request.get("user") is not None:
        become(request["user"])
    if request.get("cpus"):
        os.sched_setaffinity(0, request["cpus"])
    ledger = Ledger()
    warnings.simplefilter("ignore")  # that samples were dropped is what one of the cases wants
    outside = thread_time_ns()
    spprof.start(interval_ms=request["interval_ms"], memory_limit_mb=case.memory_limit_mb)
    machine = machine_ns()
    main_start, process_start = thread_time_ns(), process_time_ns()
    case.run(ledger, int(request["cpu_ms"] * 1e6), plan)
    was_crowded = crowded(machine, process_time_ns() - process_start)
    main_ns, process_ns = thread_time_ns() - main_start, process_time_ns() - process_start
    profile = spprof.stop()
    around_ns = thread_time_ns() - outside - main_ns
    json.dump(
        {**report(case, ledger, profile, main_ns, process_ns), "around_ns": around_ns, "crowded": was_crowded},
        sys.stdout,
    )


if __name__ == "__main__":
    main()
