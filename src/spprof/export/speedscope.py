"""The speedscope file format (https://www.speedscope.app/file-format-schema.json).

One "sampled" profile per thread, in nanoseconds; of elapsed time two, the second of the CPU time in it.
Element 0 of a stack is the root, the last one the leaf. Every sample is in it, in the order of time, with its weight;
losses stand where they happened, as ``[dropped]`` and ``[unsampled]``.
A speedscope frame is a function at a line; it has a column where that line was met at one column only.
"""

from __future__ import annotations

import json

from .._base import MEASURES
from .._version import __version__
from ._json import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator
    from typing import Any

    from .._base import BaseProfile, ThreadRows
    from .._tree import StackTree

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_ROWS_A_PIECE = 8192


def document(profile: BaseProfile) -> dict[str, Any]:
    """The whole file as a dictionary."""
    rows = _shown_rows(profile)
    frames, frame_ids = _frames(profile._tree, rows)
    stacks: dict[int, list[int]] = {}
    profiles = []
    for row in rows:
        samples = []
        for node in row.nodes:
            stack = stacks.get(node)
            if stack is None:
                stack = stacks[node] = [frame_ids[index] for index in profile._tree.path(node)]
            samples.append(stack)
        profiles.append({**_profile_head(row), "samples": samples, "weights": list(row.weights)})
    return {
        "$schema": SCHEMA,
        "shared": {"frames": frames},
        "profiles": profiles,
        **_file_tail(profile, rows),
    }


def render(profile: BaseProfile) -> Iterator[str]:
    """The same as JSON text, in pieces: each distinct stack is turned into text once, and nothing big is built."""
    tree = profile._tree
    rows = _shown_rows(profile)
    frames, frame_ids = _frames(tree, rows)
    yield f'{{"$schema":{json.dumps(SCHEMA)},"shared":{{"frames":[\n'
    for start in range(0, len(frames), 1024):
        yield ("" if start == 0 else ",\n") + ",\n".join([dumps(frame) for frame in frames[start : start + 1024]])
    yield '\n]},"profiles":['
    texts = _StackTexts(tree, [str(number) for number in frame_ids])
    for number, row in enumerate(rows):
        yield ("," if number else "") + "\n" + dumps(_profile_head(row))[:-1] + ',"samples":[\n'
        yield from _joined(row.nodes, texts)
        yield '\n],"weights":[\n'
        yield from _joined(row.weights, None)
        yield "\n]}"
    yield "\n]," + dumps(_file_tail(profile, rows))[1:] + "\n"


class _StackTexts(dict[int, str]):
    """A stack's JSON by node, made when first asked for."""

    def __init__(self, tree: StackTree, numbers: list[str]) -> None:
        super().__init__()
        self._tree = tree
        self._numbers = numbers

    def __missing__(self, node: int) -> str:
        text = f"[{','.join([self._numbers[index] for index in self._tree.path(node)])}]"
        self[node] = text
        return text


def _joined(column: array[int], texts: _StackTexts | None) -> Iterator[str]:
    to_text = str if texts is None else texts.__getitem__
    for start in range(0, len(column), _ROWS_A_PIECE):
        yield (",\n" if start else "") + ",".join(map(to_text, column[start : start + _ROWS_A_PIECE]))


def _frames(tree: StackTree, rows: list[ThreadRows]) -> tuple[list[dict[str, Any]], list[int]]:
    """Frames of the file, sorted, and the number of each of the tree's frames among them (-1: not in these rows)."""
    columns: dict[tuple[str, str, int], set[int | None]] = {}
    used = tree.frames_in(node for row in rows for node in set(row.nodes))
    for index in used:
        frame = tree.frames[index]
        columns.setdefault((frame.function_name, frame.filename, frame.lineno), set()).add(frame.column)
    frames: list[dict[str, Any]] = []
    numbers: dict[tuple[str, str, int], int] = {}
    for key in sorted(columns):
        name, file, line = key
        entry: dict[str, Any] = {"name": name}
        if file:
            entry["file"] = file
        if line > 0:
            entry["line"] = line
            (column, *others) = columns[key]
            if column is not None and not others:
                entry["col"] = column + 1  # speedscope counts columns from 1, as editors do
        numbers[key] = len(frames)
        frames.append(entry)
    return frames, [numbers.get((frame.function_name, frame.filename, frame.lineno), -1) for frame in tree.frames]


def _shown_rows(profile: BaseProfile) -> list[ThreadRows]:
    """Threads that have anything to show; one without rows if none has, since speedscope refuses a file without any."""
    rows = profile._thread_rows()
    shown = [row for row in rows if row.nodes]
    if not shown:
        from .._base import ThreadRows

        shown = rows[:1] or [ThreadRows(0, "MainThread")]
    for row in profile._thread_cpu_rows():
        if row.nodes:
            row.label += " (CPU time)"
            shown.append(row)
    return shown


def _profile_head(row: ThreadRows) -> dict[str, Any]:
    return {"type": "sampled", "name": row.label, "unit": "nanoseconds", "startValue": 0, "endValue": sum(row.weights)}


def _file_tail(profile: BaseProfile, rows: list[ThreadRows]) -> dict[str, Any]:
    """What follows the profiles: the busiest thread is shown first."""
    measure = MEASURES[profile.mode]
    sums = [sum(row.weights) for row in rows if not row.label.endswith(" (CPU time)")]
    return {
        "activeProfileIndex": sums.index(max(sums)),
        "exporter": f"spprof@{__version__}",
        "name": f"{profile.program or 'python'} ({measure}, every {profile.interval_ms:g} ms)",
    }
