"""What looks at tasks are booked in: its memory is bounded, and what finds no room is counted."""

from __future__ import annotations

from array import array
from typing import Any

from spprof._task_rows import NO_NAME, TaskRows


def raw() -> dict[str, Any]:
    """A recording of one thread with one row."""
    return {
        "times": array("q", [5]), "walls": array("q", [10]), "weights": array("q", [10]), "nodes": array("I", [1]),
        "thread_index": array("I", [0]), "states": array("B", [0]), "node_parent": array("I", [0, 0]),
        "node_frame": array("I", [0xFFFFFFFF, 0]), "frames": [("f", "f.py", 1, None, None, None, False, 1)],
        "threads": [{}], "losses": [], "stats": {"dropped": 2}, "duration_ns": 100,
    }  # fmt: skip


class Loop:
    _thread_id = None


CODE = raw.__code__
CHAIN = [(CODE, 0, CODE.co_firstlineno), (CODE, 2, CODE.co_firstlineno)]


def test_names_end_at_the_limit() -> None:
    rows = TaskRows(10_000)
    names = [rows.name(f"Task-{n}") for n in range(1000)]
    known = [name for name in names if name != NO_NAME]
    assert 10 < len(known) < 100 and names[: len(known)] == known  # none after the first that found no room
    assert rows.name("Task-3") == names[3]
    assert len(rows.names) == len(known) + 1


def test_rows_and_stacks_end_at_the_limit_and_are_counted() -> None:
    rows = TaskRows(2_000)
    loop = Loop()
    kept = [rows.add(n, 7, rows.node(CHAIN), loop, 4, 0) for n in range(50)]
    there = [row for row in kept if row is not None]
    assert 5 < len(there) < 50 and there == list(range(len(there)))
    other = rows.node([(CODE, 4, 1), (CODE, 6, 1), (CODE, 8, 1)])
    assert other is None and rows.add(99, 7, other, loop, 4, 0) is None
    recording = raw()
    rows.merge(recording, [0])
    _, tasks = recording["threads"]
    lost = 51 - len(there)
    assert tasks["name"] == "event loop (tasks)"
    assert (tasks["samples"], tasks["dropped"], tasks["dropped_ns"]) == (len(there), lost, 7 * lost)
    assert tasks["wall_ns"] == 7 * 51
    assert recording["losses"] == [("dropped", 1, 0, 100, lost, 7 * lost)]
    assert recording["stats"]["dropped"] == 2 + lost


def test_rows_are_merged_in_the_order_of_time_with_their_stacks() -> None:
    rows = TaskRows(100_000)
    name = rows.name("mine")
    assert rows.node(CHAIN) == rows.node(CHAIN) == 2
    loop = Loop()
    rows.add(3, 4, rows.node(CHAIN), loop, 4, name)
    rows.add(8, 2, rows.node(CHAIN[:1]), loop, 3, name)
    recording = raw()
    rows.merge(recording, [0])
    assert list(recording["times"]) == [3, 5, 8] and list(recording["walls"]) == [4, 10, 2]
    assert list(recording["weights"]) == [0, 10, 0] and list(recording["states"]) == [4, 0, 3]
    assert [recording["task_names"][i] for i in recording["tasks"]] == ["mine", "", "mine"]
    parents, frames = list(recording["node_parent"]), list(recording["node_frame"])
    assert parents == [0, 0, 0, 2] and frames[1:] == [0, 1, 2]
    assert list(recording["nodes"]) == [3, 1, 2]
    assert [frame[-1] is True for frame in recording["frames"]] == [False, True, True]  # suspended
    assert list(recording["thread_index"]) == [1, 0, 1] and len(recording["threads"]) == 2


def test_nothing_seen_changes_nothing() -> None:
    recording = raw()
    TaskRows(1000).merge(recording, [0])
    assert "tasks" not in recording and recording["threads"] == [{}]
