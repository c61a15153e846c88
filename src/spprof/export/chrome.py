"""Chrome's trace event format, as a flame chart over time: Perfetto (https://ui.perfetto.dev), chrome://tracing.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. One track for each thread (and each asyncio
task), one slice for each function on neighbouring samples. A sample stands for the time before it, a sleep for the time from its
beginning; in mode "cpu" the gaps are time in which the thread did not run. Times are microseconds from the start of the profile.
"""

from __future__ import annotations

from .._base import MEASURES
from .._model import STATES
from .._version import __version__
from .._walk import function_keys
from ._json import dumps
from ._samples import with_samples

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._base import BaseProfile
    from .._profile import Profile
    from .._tree import StackTree

_PID = 1
_SLEEPS = frozenset([index for index, (state, _) in enumerate(STATES) if state != "running"])


def render(profile: BaseProfile) -> Iterator[str]:
    """The file, in pieces."""
    profile = with_samples(profile, "chrome")
    yield '{"displayTimeUnit":"ms","traceEvents":[\n'
    yield dumps(_name("process_name", 0, profile.program or "python"))
    texts = _Texts(profile._tree)
    for number, (label, rows) in enumerate(_tracks(profile), 1):
        yield ",\n" + dumps(_name("thread_name", number, label))
        yield ",\n" + dumps(
            {"ph": "M", "pid": _PID, "tid": number, "name": "thread_sort_index", "args": {"sort_index": number}}
        )
        pieces = []
        for event in _slices(profile, texts, number, rows):
            pieces.append(event)
            if len(pieces) == 1024:
                yield ",\n" + ",\n".join(pieces)
                pieces.clear()
        if pieces:
            yield ",\n" + ",\n".join(pieces)
    other = {
        "exporter": f"spprof {__version__}", "measures": MEASURES[profile.mode], "interval_ms": profile.interval_ms,
        "python": profile.python_version, "platform": profile.platform, "losses": _losses(profile),
    }  # fmt: skip
    yield '\n],"otherData":' + dumps(other) + "}\n"


def _tracks(profile: Profile) -> Iterator[tuple[str, list[int]]]:
    """Name and row numbers of each track."""
    rows = profile._rows
    labels = profile._thread_labels()
    tracks: dict[tuple[int, int], list[int]] = {}
    waiting = {index for index, thread in enumerate(profile.threads) if thread.thread_id == 0}
    for row, thread in enumerate(rows.thread_index):
        # Tasks of a loop wait at the same time: a track for each.
        task = rows.tasks[row] if rows.tasks is not None and thread in waiting else 0
        tracks.setdefault((thread, task), []).append(row)
    for thread, task in sorted(tracks):
        yield labels[thread] + (f": {rows.task_names[task]}" if task else ""), tracks[thread, task]


class _Texts:
    """The JSON of what is the same in all slices of a function, made once."""

    def __init__(self, tree: StackTree) -> None:
        self._tree = tree
        number_of, first = function_keys(tree)
        self._functions = [first[number] for number in number_of]
        self._paths: dict[int, list[int]] = {}
        self._heads: dict[int, str] = {}
        self._tails: dict[int, str] = {}

    def path(self, node: int) -> list[int]:
        """Functions from the root to *node*, each as the index of a frame of it."""
        path = self._paths.get(node)
        if path is None:
            path = self._paths[node] = [self._functions[index] for index in self._tree.path(node)]
        return path

    def slice(self, tid: int, function: int, start: int, end: int) -> str:
        """A complete event."""
        head = self._heads.get(function)
        if head is None:
            frame = self._tree.frames[function]
            named = dumps({"name": frame.function_name, "cat": frame.module or "native"})
            head = self._heads[function] = f'{{"ph":"X","pid":{_PID},{named[1:-1]}'
            where = dumps({"file": frame.filename, "line": frame.firstlineno})
            self._tails[function] = f',"args":{where}}}' if frame.filename else "}"
        return f'{head},"tid":{tid},"ts":{start / 1000},"dur":{(end - start) / 1000}{self._tails[function]}'


def _slices(profile: Profile, texts: _Texts, tid: int, numbers: list[int]) -> Iterator[str]:
    """Complete events: a function that is at the same depth on neighbouring samples is one."""
    rows = profile._rows
    open_: list[tuple[int, int]] = []  # function and start of each that is open
    last_end = 0
    slack = profile._facts.interval_ns
    for row in numbers:
        weight, time = rows.weights[row], rows.times[row]
        sleeps = rows.states is not None and rows.states[row] in _SLEEPS
        start = max(last_end, time if sleeps else time - weight)
        if open_ and start - last_end <= slack:
            start = last_end
        end = max(start, time + weight if sleeps else time)
        path = texts.path(rows.nodes[row])
        same = 0
        if start == last_end:
            while same < len(path) and same < len(open_) and open_[same][0] == path[same]:
                same += 1
        while len(open_) > same:
            yield texts.slice(tid, *open_.pop(), last_end)
        open_.extend([(function, start) for function in path[same:]])
        last_end = end
    while open_:
        yield texts.slice(tid, *open_.pop(), last_end)


def _losses(profile: Profile) -> list[dict[str, Any]]:
    labels = profile._thread_labels()
    return [
        {"kind": kind, "thread": label, "ms": amount / 1e6}
        for label, thread in zip(labels, profile.threads)
        for kind, amount in (("dropped", thread.dropped_ns), ("unsampled", thread.unsampled_ns))
        if amount
    ]


def _name(kind: str, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": _PID, "tid": tid, "name": kind, "args": {"name": name}}
