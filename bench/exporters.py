"""Child: what it takes to write a profile in each format, and to read it, by its number of samples.

exporters.py COUNT
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from array import array
from pathlib import Path
from time import process_time_ns
from typing import Any

from spprof._build import profile_from
from spprof._profile import Profile
from spprof.export import FORMATS, check_ready

STACKS, THREADS, FUNCTIONS, DEPTH = 2000, 8, 300, 25
MS = 1_000_000


def made(count: int, stacks: int = STACKS) -> Profile:
    """A profile as a server has it: stacks that repeat, jittered times, weights that are nearly equal."""
    pick = random.Random(1)
    frames = [
        (
            f"Class{i % 20}.function_{i}",
            f"/srv/package_{i % 9}/module_{i % 40}.py",
            10 + i % 90,
            4,
            None,
            None,
            False,
            10,
        )
        for i in range(FUNCTIONS)
    ]
    parents, of, depths, leaves = array("I", [0]), array("I", [0xFFFFFFFF]), [0], []
    for _ in range(stacks):
        node = pick.randrange(len(parents))
        while depths[node] < DEPTH:
            parents.append(node)
            of.append(pick.randrange(FUNCTIONS))
            depths.append(depths[node] + 1)
            node = len(parents) - 1
        leaves.append(node)
    nodes = array("I", pick.choices(leaves, [1 / (i + 1) for i in range(stacks)], k=count))
    threads = array("I", pick.choices(range(THREADS), k=count))
    weights = array("q", [10 * MS + pick.randrange(2) for _ in range(count)])
    sums = [0] * THREADS
    for thread, weight in zip(threads, weights):
        sums[thread] += weight
    raw: dict[str, Any] = {
        "times": array("q", [10 * MS * i // THREADS + pick.randrange(MS) for i in range(count)]),
        "weights": weights, "nodes": nodes, "thread_index": threads, "node_parent": parents, "node_frame": of, "frames": frames,
        "threads": [
            {"thread_id": 100 + i, "name": f"worker-{i}", "cpu_ns": sums[i], "sampled_ns": sums[i], "unsampled_ns": 0,
             "dropped_ns": 0, "samples": threads.count(i), "dropped": 0, "start_ns": 0, "end_ns": None}
            for i in range(THREADS)
        ],
        "losses": [], "start_time": 1.7e9, "duration_ns": 10 * MS * count // THREADS + MS, "interval_ns": 10 * MS,
        "stats": {"mode": "cpu", "collected": count},
    }  # fmt: skip
    return profile_from(raw)


def main() -> None:
    profile = made(int(sys.argv[1]))
    profile._tree.canonical()
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, endings in FORMATS.items():
            try:
                check_ready(name)
            except RuntimeError:  # the HTML report's page is not built
                continue
            path = Path(folder, f"profile{endings[0]}")
            begin = process_time_ns()
            profile.save(path)
            report[name] = {"ms": (process_time_ns() - begin) / 1e6, "bytes": os.path.getsize(path)}
            if name == "chrome":
                path.unlink()  # the largest by far
        for name in ("spprof", "pprof", "speedscope", "collapsed"):
            begin = process_time_ns()
            Profile.load(Path(folder, f"profile{FORMATS[name][0]}"))
            report[f"read {name}"] = {"ms": (process_time_ns() - begin) / 1e6, "bytes": report[name]["bytes"]}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
