"""What the HTML report knows of a profile: a JSON object, and columns of integers packed as in the ``.spprof`` file.

    head       facts, threads, texts, functions, states
    columns    frames (function, line); tree (parent, frame); samples (time_us, weight, node, thread, state, cpu, count)

Frames are functions at a line: columns within a line are of no use in a browser, and nodes that look the same without them are
one.
Losses are samples with a count of 0, after the others, so that the weights of a thread add up to its time. The time of a loss
that has no place in time, and of all samples of an aggregated profile, is later than the profile's end.
"""

from __future__ import annotations

from array import array
from base64 import b64encode

from .._base import MEASURES
from .._model import STATES
from .._version import __version__
from .._walk import function_keys
from ._columns import packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .._base import BaseProfile
    from .._tree import StackTree

#: The layout of the data. The page's script is in the same file, so this only helps those who look inside.
VERSION = 1
_MARK, _PYTHON, _NATIVE, _SUSPENDED = range(4)  # kinds of functions, as in web/src/model.ts


class Texts:
    """Texts, numbered as they are met."""

    def __init__(self) -> None:
        self.all: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.all.setdefault(text, len(self.all))


def head(profile: BaseProfile) -> dict[str, Any]:
    """Everything but the columns."""
    stats = profile.stats
    texts = Texts()
    functions: dict[str, list[int]] = {"name": [], "file": [], "module": [], "line": [], "kind": []}
    for frame in [profile._tree.frames[index] for index in function_keys(profile._tree)[1]]:
        functions["name"].append(texts(frame.function_name))
        functions["file"].append(texts(frame.filename))
        functions["module"].append(texts(frame.module))
        functions["line"].append(frame.firstlineno)
        functions["kind"].append(_kind(frame))
    return {
        "version": VERSION,
        "facts": {
            "program": profile.program,
            "mode": profile.mode,
            "measure": MEASURES[profile.mode],
            "spprof": __version__,
            "python": profile.python_version,
            "platform": profile.platform,
            "start": profile._facts.start_time,
            "duration_ns": profile._facts.duration_ns,
            "interval_ns": profile._facts.interval_ns,
            "cpu_ns": profile.cpu_time_ns,
            "samples": _sample_count(profile),
            "dropped": stats.dropped,
            "invalid": stats.validation_drops,
            "timed": _is_timed(profile),
        },
        "threads": [
            {
                "name": label,
                "samples": thread.samples,
                "cpu_ns": thread.cpu_ns,
                "time_ns": thread.time_ns,
                "dropped_ns": thread.dropped_ns,
                "unsampled_ns": thread.unsampled_ns,
                "start_ns": thread.start_ns,
                "end_ns": thread.end_ns,
            }
            for label, thread in zip(profile._thread_labels(), profile.threads)
        ],
        "texts": list(texts.all),
        "functions": functions,
        "states": [list(state) for state in STATES],
    }


def packed_columns(profile: BaseProfile) -> Iterator[tuple[str, str]]:
    """Name, and number of values, a colon and the packed values in Base64."""
    tree = profile._tree
    function_of, _ = function_keys(tree)
    frames: dict[tuple[int, int], int] = {}
    frame_of = [
        frames.setdefault((function, frame.lineno), len(frames)) for function, frame in zip(function_of, tree.frames)
    ]
    yield "frame_function", _text([function for function, _ in frames])
    yield "frame_line", _text([max(line, 0) for _, line in frames])
    columns = _columns(profile)
    node_of, parents, node_frames = _merged_nodes(tree, frame_of, columns["node"])
    yield "node_parent", _text(parents)
    yield "node_frame", _text(node_frames)
    columns["node"] = [node_of[node] for node in columns["node"]]
    # Nobody sees less than a microsecond of a time axis, and the digits below are half of the file.
    columns["time_us"] = [time // 1000 for time in columns.pop("time")]
    for name, column in columns.items():
        yield f"sample_{name}", _text(column)


def _kind(frame: Any) -> int:
    if frame.is_native:
        return _MARK if frame.function_name.startswith("[") and not frame.filename else _NATIVE
    return _SUSPENDED if frame.is_suspended else _PYTHON


def _merged_nodes(tree: StackTree, frame_of: list[int], used: Sequence[int]) -> tuple[array[int], list[int], list[int]]:
    """The tree of the stacks in use, nodes that look the same merged: by old node the new one, parents, frames.

    Parents have smaller numbers than their children. Nodes that no sample needs are left out.
    """
    parent_of = tree.parent_of
    needed = bytearray(len(parent_of))
    needed[0] = 1
    for leaf in set(used):
        node = leaf
        while not needed[node]:
            needed[node] = 1
            node = parent_of[node]
    count = len(tree.frames)
    known: dict[int, int] = {}
    node_of = array("I", bytes(4 * len(parent_of)))
    parents, frames = [0], [0]
    for node in range(1, len(parent_of)):
        if needed[node]:
            parent, frame = node_of[parent_of[node]], frame_of[tree.frame_of[node]]
            new = known.setdefault(parent * count + frame, len(parents))
            node_of[node] = new
            if new == len(parents):
                parents.append(parent)
                frames.append(frame)
    return node_of, parents, frames


def _columns(profile: BaseProfile) -> dict[str, Sequence[int]]:
    """The samples and losses, column by column."""
    from .._aggregate import AggregatedProfile
    from .._profile import Profile

    late = profile._facts.duration_ns + 1
    columns: dict[str, Any] = {}
    if isinstance(profile, Profile):
        rows = profile._rows
        columns["time"] = [max(time, 0) for time in rows.times]
        columns["weight"], columns["node"] = list(rows.weights), list(rows.nodes)
        columns["thread"] = list(rows.thread_index)
        if rows.cpu is not None and rows.states is not None:
            columns["state"], columns["cpu"] = list(rows.states), list(rows.cpu)
    else:
        assert isinstance(profile, AggregatedProfile)
        totals = profile._totals()
        columns["time"] = [late] * len(totals)
        columns["weight"] = [weight for _, weight in totals.values()]
        columns["node"] = [node for _, node in totals]
        columns["thread"] = [thread for thread, _ in totals]
        cpu = profile._cpu_totals
        if cpu is not None:
            columns["cpu"] = [cpu.get(key, (0, 0))[1] for key in totals]
    counts = [1] * len(columns["time"]) if isinstance(profile, Profile) else [count for count, _ in totals.values()]
    columns["count"] = counts
    _add_losses(profile, columns, late)
    return columns


def _add_losses(profile: BaseProfile, columns: dict[str, Any], late: int) -> None:
    for index, thread in enumerate(profile.threads):
        losses = [(time, weight, node, 0) for time, weight, node in profile._thread_losses(index)]
        if "cpu" in columns and thread.cpu_unsampled_ns:
            losses.append((late, 0, profile._tree.unsampled_node, thread.cpu_unsampled_ns))
        for time, weight, node, cpu in losses:
            row = {"time": max(min(time, late), 0), "weight": weight, "node": node, "thread": index, "cpu": cpu}
            for name, column in columns.items():
                column.append(row.get(name, 0))


def _is_timed(profile: BaseProfile) -> bool:
    from .._profile import Profile

    return isinstance(profile, Profile)


def _sample_count(profile: BaseProfile) -> int:
    from .._profile import Profile

    if isinstance(profile, Profile):
        return profile.sample_count
    return sum(count for count, _ in profile._totals().values())


def weight_by_node(profile: BaseProfile) -> dict[int, int]:
    """Weight of the samples by the node of their stack."""
    from .._profile import Profile

    sums: dict[int, int] = {}
    if isinstance(profile, Profile):
        pairs: Any = zip(profile._rows.nodes, profile._rows.weights)
    else:
        pairs = ((node, weight) for (_, node), (_, weight) in profile._totals().items())
    for node, weight in pairs:
        sums[node] = sums.get(node, 0) + weight
    return sums


def _text(values: Sequence[int]) -> str:
    return f"{len(values)}:" + b64encode(packed(values)).decode("ascii")
