"""Profiles with known content, made from what a sampler would hand over."""

from __future__ import annotations

import os
import time
from array import array
from typing import TYPE_CHECKING, Any

import spprof
from spprof._build import profile_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spprof import Profile

# (thread index, names of the functions from root to leaf, weight in ns)
Row = Any  # a tuple; its type can be written down from 3.10 on only

NO_FRAME = 0xFFFFFFFF
# Environment for children in other folders: this module and the spprof that is tested, absolute.
CHILD_PATH = {
    "PYTHONPATH": os.pathsep.join([
        os.path.dirname(os.path.abspath(__file__)),
        os.path.dirname(os.path.dirname(os.path.abspath(spprof.__file__))),
        os.environ.get("PYTHONPATH", ""),
    ])
}  # fmt: skip
MS = 1_000_000


def frame(name: str) -> tuple[Any, ...]:
    """A frame as the sampler has it: "f" or "f:12" (line) or "f:12:4" (column too); "[mark]" is a pseudo frame."""
    if name.startswith("["):
        return name, "", 0, None, None, None, True, 0
    function, _, place = name.partition(":")
    line, _, column = place.partition(":")
    first = 1 + sum(map(ord, function)) % 50
    start = int(column) if column else None
    return (
        function,
        f"/src/{function[0]}.py",
        int(line or 1),
        start,
        None if start is None else int(line or 1),
        None if start is None else start + 5,
        False,
        first,
    )


def raw_profile(
    rows: Iterable[Row],
    *,
    threads: Sequence[str] = ("MainThread",),
    losses: Sequence[tuple[str, int, int, int, int, int]] = (),
    dropped_ns: dict[int, int] | None = None,
    unsampled_ns: dict[int, int] | None = None,
    merge_nodes: bool = True,
    interval_ns: int = 10 * MS,
    first_id: int = 1000,
    **stats: Any,
) -> dict[str, Any]:
    """Rows one interval apart. merge_nodes False: a new branch of the tree for each row, equal or not."""
    raw: dict[str, Any] = {name: array("q") for name in ("times", "weights")}
    raw.update({name: array("I") for name in ("nodes", "thread_index", "node_parent", "node_frame")})
    raw["node_parent"].append(0)
    raw["node_frame"].append(NO_FRAME)
    frames: list[tuple[Any, ...]] = []
    known: dict[Any, int] = {}
    sampled, samples = [0] * len(threads), [0] * len(threads)
    for number, (thread, stack, weight) in enumerate(rows):
        node = 0
        for name in stack:
            key = (node, name)
            if key not in known or not merge_nodes:
                if ("frame", name) not in known:
                    known["frame", name] = len(frames)
                    frames.append(frame(name))
                known[key] = len(raw["node_parent"])
                raw["node_parent"].append(node)
                raw["node_frame"].append(known["frame", name])
            node = known[key]
        raw["times"].append((number + 1) * interval_ns)
        raw["weights"].append(weight)
        raw["nodes"].append(node)
        raw["thread_index"].append(thread)
        sampled[thread] += weight
        samples[thread] += 1
    lost, unsampled = dropped_ns or {}, unsampled_ns or {}
    raw["frames"] = frames
    raw["threads"] = [
        {
            "thread_id": first_id + index,
            "name": name,
            "cpu_ns": sampled[index] + lost.get(index, 0) + unsampled.get(index, 0),
            "sampled_ns": sampled[index],
            "unsampled_ns": unsampled.get(index, 0),
            "dropped_ns": lost.get(index, 0),
            "samples": samples[index],
            "dropped": 0,
            "start_ns": 0,
            "end_ns": None,
        }
        for index, name in enumerate(threads)
    ]
    raw["losses"] = list(losses)
    raw["start_time"] = 1_700_000_000.5
    raw["duration_ns"] = (len(raw["times"]) + 1) * interval_ns
    raw["interval_ns"] = interval_ns
    raw["stats"] = {"mode": "cpu", "collected": len(raw["times"]), **stats}
    return raw


def make_profile(rows: Iterable[Row], **options: Any) -> Profile:
    """A profile of these rows; see `raw_profile`."""
    return profile_from(raw_profile(rows, **options))


def names(stack: Iterable[Any]) -> list[str]:
    """Function names of a stack."""
    return [each.function_name for each in stack]


def burn(seconds: float) -> int:
    """Uses CPU for about this long, in Python code, in this very function."""
    total = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for number in range(2000):
            total += number * number
    return total


# Two threads, recursion, a leaf that is a caller elsewhere, losses of both kinds.
EXAMPLE: list[Row] = [
    (0, ("main:10", "load:3", "parse:7"), 10 * MS),
    (0, ("main:10", "load:3", "parse:7"), 11 * MS),
    (1, ("run:2", "fib:5", "fib:5", "fib:4"), 9 * MS),
    (0, ("main:11", "load:3"), 4 * MS),
    (1, ("run:2", "fib:5", "fib:4"), 6 * MS),
    (0, ("main:12",), 1 * MS),
    (0, ("main:10", "load:3", "parse:8"), 5 * MS),
]


def example(**options: Any) -> Profile:
    """`EXAMPLE` as a profile: 40 ms in MainThread with 3 ms dropped and 2 ms unsampled, 15 ms in worker."""
    settings: dict[str, Any] = {
        "threads": ("MainThread", "worker"),
        "losses": [("dropped", 0, 25 * MS, 29 * MS, 2, 3 * MS)],
        "dropped_ns": {0: 3 * MS},
        "unsampled_ns": {0: 2 * MS},
        "dropped": 2,
    }
    settings.update(options)
    return make_profile(EXAMPLE, **settings)
