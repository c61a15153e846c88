"""The Firefox Profiler's "processed profile" (https://profiler.firefox.com; format: docs-developer/processed-profile-format.md
of github.com/firefox-devtools/profiler). Usually compressed: ``.firefox.json.gz``.

A thread of the file is a thread of the program, with its samples in the order of time, each with its weight in milliseconds and
its CPU time. Categories are Python, native code, waiting and what was lost; losses are samples as well, so that a thread's sum is
its time, and markers, where they have a place in time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

from .._model import STATES
from .._version import __version__
from .._walk import function_key
from ._json import dumps
from ._samples import with_samples

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .._base import BaseProfile
    from .._profile import Profile
    from .._tree import StackTree

#: The version of the format that this is; the page upgrades it to its own.
VERSION = 48
_ROWS_A_PIECE = 8192
_PYTHON, _NATIVE, _WAITING, _LOST, _OTHER = range(5)
_CATEGORIES = [
    {"name": "Python", "color": "blue", "subcategories": ["Other"]},
    {"name": "Native", "color": "orange", "subcategories": ["Other"]},
    {"name": "Waiting", "color": "transparent", "subcategories": ["Other"]},
    {"name": "Lost", "color": "red", "subcategories": ["Other"]},
    {"name": "Other", "color": "grey", "subcategories": ["Other"]},
]
_MARKERS = [
    {
        "name": "Loss", "tooltipLabel": "{marker.data.kind}: {marker.data.weight}", "tableLabel": "{marker.data.kind}",
        "display": ["marker-chart", "marker-table", "timeline-overview"],
        "data": [
            {"key": "kind", "label": "Kind", "format": "string"},
            {"key": "weight", "label": "Time without samples", "format": "milliseconds"},
            {"key": "count", "label": "Samples", "format": "integer"},
        ],
    }
]  # fmt: skip
_RUNNING = STATES.index(("running", ""))


def render(profile: BaseProfile) -> Iterator[str]:
    """The file, in pieces."""
    profile = with_samples(profile, "firefox")
    yield (
        '{"meta":' + dumps(_meta(profile)) + ',"libs":[],"pages":[],"counters":[],"profilerOverhead":[],"threads":[\n'
    )
    for index, (rows, label) in enumerate(zip(_rows_by_thread(profile), profile._thread_labels())):
        yield ",\n" if index else ""
        yield from _thread(profile, index, label, rows)
    yield "\n]}\n"


def _meta(profile: Profile) -> dict[str, Any]:
    return {
        "interval": profile.interval_ms,
        "startTime": profile._facts.start_time * 1000,
        "endTime": (profile._facts.start_time + profile._facts.duration_ns / 1e9) * 1000,
        "profilingStartTime": 0,
        "profilingEndTime": profile._facts.duration_ns / 1e6,
        "processType": 0,
        "product": profile.program or "python",
        "importedFrom": "spprof",
        "appBuildID": __version__,
        "platform": profile.platform,
        "oscpu": profile.platform,
        "misc": f"Python {profile.python_version}",
        "stackwalk": 0,
        "debug": False,
        "version": 29,
        "preprocessedProfileVersion": VERSION,
        "symbolicated": True,
        "symbolicationNotSupported": True,
        "usesOnlyOneStackType": True,
        "doesNotUseFrameImplementation": True,
        "sourceCodeIsNotOnSearchfox": True,
        "categories": _CATEGORIES,
        "markerSchema": _MARKERS,
        "sampleUnits": {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "µs"},
        "extensions": {"id": [], "name": [], "baseURL": [], "length": 0},
    }


def _rows_by_thread(profile: Profile) -> list[array[int]]:
    rows: list[array[int]] = [array("I") for _ in profile.threads]
    for row, thread in enumerate(profile._rows.thread_index):
        rows[thread].append(row)
    return rows


class _Strings(dict[str, int]):
    def __missing__(self, key: str) -> int:
        self[key] = len(self)
        return self[key]


def _thread(profile: Profile, index: int, label: str, numbers: array[int]) -> Iterator[str]:
    """One thread's object. Its columns are as long as it has samples: they become text piece by piece."""
    rows, tree, info = profile._rows, profile._tree, profile.threads[index]
    strings = _Strings()
    tables = _Tables(tree, strings)
    stacks, times, weights, cpu = array("i"), array("q"), array("q"), array("q")  # nanoseconds
    for row in numbers:
        state = rows.states[row] if rows.states is not None else _RUNNING
        stacks.append(tables.stack(rows.nodes[row], state != _RUNNING))
        times.append(rows.times[row])
        weights.append(rows.weights[row])
        cpu.append(rows.cpu[row] if rows.cpu is not None else rows.weights[row])
    for time, weight, node in profile._thread_losses(index):
        at = bisect_left(times, time)
        stacks.insert(at, tables.stack(node, False))
        times.insert(at, min(time, profile._facts.duration_ns))
        weights.insert(at, weight)
        cpu.insert(at, 0)
    end = None if info.end_ns is None else info.end_ns / 1e6
    head = {
        "name": label,
        "isMainThread": index == 0,
        "processType": "default",
        "processName": profile.program or "python",
        "processStartupTime": 0,
        "processShutdownTime": None,
        "registerTime": info.start_ns / 1e6,
        "unregisterTime": end,
        "pausedRanges": [],
        "pid": "1",
        "tid": label,  # the system's number would be another one in each run
    }
    yield dumps(head)[:-1] + f',"samples":{{"length":{len(stacks)},"weightType":"tracing-ms"'
    yield from _column("stack", stacks, lambda number: str(number) if number >= 0 else "null")
    yield from _column("time", times, _milliseconds)
    yield from _column("weight", weights, _milliseconds)
    yield from _column("threadCPUDelta", cpu, lambda nanoseconds: str(nanoseconds // 1000))
    rest = {
        "markers": _markers(profile, index, strings),
        **tables.documents(),
        "resourceTable": {"length": 0, "lib": [], "name": [], "host": [], "type": []},
        "nativeSymbols": {"length": 0, "address": [], "functionSize": [], "libIndex": [], "name": []},
    }
    yield "}," + dumps({**rest, "stringArray": list(strings)})[1:]


def _column(name: str, values: array[int], to_text: Callable[[int], str]) -> Iterator[str]:
    yield f',"{name}":['
    for start in range(0, len(values), _ROWS_A_PIECE):
        yield ("," if start else "") + ",".join(map(to_text, values[start : start + _ROWS_A_PIECE]))
    yield "]"


def _milliseconds(nanoseconds: int) -> str:
    return repr(nanoseconds / 1e6)


def _markers(profile: Profile, index: int, strings: _Strings) -> dict[str, Any]:
    losses = [loss for loss in profile._losses_of(index) if loss.weight_ns > 0 and loss.end_ns > loss.start_ns]
    return {
        "length": len(losses),
        "name": [strings["Loss"] for _ in losses],
        "category": [_LOST for _ in losses],
        "phase": [1 for _ in losses],
        "startTime": [loss.start_ns / 1e6 for loss in losses],
        "endTime": [loss.end_ns / 1e6 for loss in losses],
        "data": [
            {"type": "Loss", "kind": loss.kind, "weight": loss.weight_ns / 1e6, "count": loss.count} for loss in losses
        ],
    }


class _Tables:
    """Functions, frames and stacks of one thread, numbered as they are met."""

    def __init__(self, tree: StackTree, strings: _Strings) -> None:
        self._tree = tree
        self._strings = strings
        self._stacks: dict[tuple[int, bool], int] = {}
        self._frames: dict[int, int] = {}
        self._functions: dict[tuple[str, str, int], int] = {}
        self._stack_rows: list[tuple[int | None, int, int]] = []  # prefix, frame, category

    def stack(self, node: int, waits: bool) -> int:
        """The number of a node's stack; where a thread waits its leaf is of that category. -1 for no frames."""
        if not node:
            return -1
        missing: list[int] = []
        at, leaf_waits = node, waits
        while at and (at, leaf_waits) not in self._stacks:
            missing.append(at)
            at, leaf_waits = self._tree.parent_of[at], False
        number = self._stacks[at, leaf_waits] if at else None
        for each in reversed(missing):
            frame_index = self._tree.frame_of[each]
            frame = self._frames.setdefault(frame_index, len(self._frames))
            marked = waits and each == node
            category = _WAITING if marked else _category(self._tree, frame_index)
            self._stack_rows.append((number, frame, category))
            number = self._stacks[each, marked] = len(self._stack_rows) - 1
        return -1 if number is None else number

    def documents(self) -> dict[str, Any]:
        """The tables of the file."""
        strings, functions = self._strings, self._functions
        frames = [self._tree.frames[index] for index in self._frames]
        funcs = [functions.setdefault(function_key(frame), len(functions)) for frame in frames]
        n, m, k = len(frames), len(functions), len(self._stack_rows)
        return {
            "frameTable": {
                "length": n, "address": [-1] * n, "inlineDepth": [0] * n,
                "category": [_category(self._tree, index) for index in self._frames], "subcategory": [0] * n,
                "func": funcs, "nativeSymbol": [None] * n, "innerWindowID": [0] * n, "implementation": [None] * n,
                "line": [frame.lineno or None for frame in frames],
                "column": [None if frame.column is None else frame.column + 1 for frame in frames],
            },
            "funcTable": {
                "length": m, "name": [strings[name] for name, _, _ in functions],
                "isJS": [False] * m, "relevantForJS": [False] * m, "resource": [-1] * m,
                "fileName": [strings[file] if file else None for _, file, _ in functions],
                "lineNumber": [line or None for _, _, line in functions], "columnNumber": [None] * m,
            },
            "stackTable": {
                "length": k, "prefix": [row[0] for row in self._stack_rows], "frame": [row[1] for row in self._stack_rows],
                "category": [row[2] for row in self._stack_rows], "subcategory": [0] * k,
            },
        }  # fmt: skip


def _category(tree: StackTree, frame_index: int) -> int:
    frame = tree.frames[frame_index]
    if frame_index >= len(tree.frames) - 2:
        return _LOST
    return _NATIVE if frame.is_native else _PYTHON
