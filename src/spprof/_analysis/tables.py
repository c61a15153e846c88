"""Tables of a profile: its hottest functions, the lines of a file, callers and callees of a function.

Each says what it leaves out, so that it adds up to the time of the profile.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence

from .._walk import function_key, function_keys, line_keys, sums_of, walk
from .choosing import matcher, one_file, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NamedTuple

    from .._base import BaseProfile
    from .._functions import FunctionSummary

    class _LineFields(NamedTuple):
        filename: str
        lineno: int
        function_name: str
        module: str
        self_ns: int
        total_ns: int
        self_samples: int
        total_samples: int

    class _CallFields(NamedTuple):
        function_name: str
        filename: str
        firstlineno: int
        module: str
        total_ns: int
        total_samples: int

    _Rows = Sequence[Any]
else:
    _LineFields = namedtuple(
        "_LineFields", "filename lineno function_name module self_ns total_ns self_samples total_samples"
    )
    _CallFields = namedtuple("_CallFields", "function_name filename firstlineno module total_ns total_samples")
    _Rows = Sequence


class LineSummary(_LineFields):
    """One line of source.

    filename, lineno, module: as in `Frame`. What has no source (native functions, marks) is one line 0 for each function.
    function_name: of the function on it; if there are several, of the first that was met.
    self_ns, self_samples: weight and number of the samples that were on this line at the leaf.
    total_ns, total_samples: of the samples with this line anywhere on the stack, each counted once.
    """

    __slots__ = ()


class CallSummary(_CallFields):
    """One caller or callee of a function.

    function_name, filename, firstlineno, module: as in `Frame`; function_name is "" (and all else empty) for the part
        without a caller (the function is the root of the stack), or without a callee (it ran itself).
    total_ns, total_samples: weight and number of the samples that went this way.
    """

    __slots__ = ()


class _Table(_Rows):
    """A sequence of records, with the time of the profile that none of them has."""

    def __init__(self, rows: Iterable[Any], profile: BaseProfile) -> None:
        self._items = tuple(rows)
        #: All time of the profile in nanoseconds, losses included.
        self.time_ns = sum([thread.time_ns for thread in profile.threads])
        #: Nanoseconds whose samples were lost.
        self.dropped_ns = sum([thread.dropped_ns for thread in profile.threads])
        #: Nanoseconds in which no sample was taken.
        self.unsampled_ns = sum([thread.unsampled_ns for thread in profile.threads])

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _percent(self, ns: int) -> str:
        return f"{100 * ns / self.time_ns:6.1f} %" if self.time_ns else "     - %"


class TopFunctions(_Table):
    """The hottest functions: a sequence of `FunctionSummary`. ``print()`` shows it as a table.

    by: what they are sorted by, "self" or "total".
    rest_ns, rest_count: own time of all functions that are not in it, and their number.
    time_ns: all time of the profile; dropped_ns, unsampled_ns: the part that no sample shows.

    The ``self_ns`` of its functions, ``rest_ns``, ``dropped_ns`` and ``unsampled_ns`` together are exactly ``time_ns``.
    """

    def __init__(
        self, rows: Sequence[FunctionSummary], rest: Sequence[FunctionSummary], by: str, profile: BaseProfile
    ) -> None:
        super().__init__(rows, profile)
        self.by = by
        self.rest_ns = sum([function.self_ns for function in rest])
        self.rest_count = len(rest)

    def __repr__(self) -> str:
        return f"<TopFunctions by {self.by}: {len(self)} of {len(self) + self.rest_count} functions>"

    def __str__(self) -> str:
        lines = ["  self s    self %  total s   total %  function"]
        for f in self._items:
            place = f" ({f.filename}:{f.firstlineno})" if f.filename else ""
            lines.append(
                f"{f.self_ns / 1e9:8.3f} {self._percent(f.self_ns)} {f.total_ns / 1e9:8.3f}  {self._percent(f.total_ns)}  "
                f"{printable(f.function_name + place)}"
            )
        others = (
            (self.rest_ns, f"({self.rest_count} more)"), (self.dropped_ns, "[dropped]"), (self.unsampled_ns, "[unsampled]"),
        )  # fmt: skip
        lines.extend([f"{ns / 1e9:8.3f} {self._percent(ns)}{' ' * 20} {name}" for ns, name in others if ns])
        return "\n".join(lines)


class FileLines(_Table):
    """The lines of a file, or of all files: a sequence of `LineSummary`. ``print()`` shows it as a table.

    filename: of the file, in full; None for all files.
    self_ns: own time of its lines together. total_ns: of the samples that have any of its lines on the stack.
    elsewhere_ns: own time of all other lines.
    time_ns: all time of the profile; dropped_ns, unsampled_ns: the part that no sample shows.

    Exactly, ``self_ns + elsewhere_ns + dropped_ns + unsampled_ns == time_ns``, and ``self_ns`` is the sum of its lines'.
    """

    def __init__(self, rows: Sequence[LineSummary], filename: str | None, total_ns: int, profile: BaseProfile) -> None:
        super().__init__(rows, profile)
        self.filename = filename
        self.self_ns = sum([line.self_ns for line in rows])
        self.total_ns = total_ns
        self.elsewhere_ns = self.time_ns - self.self_ns - self.dropped_ns - self.unsampled_ns

    def __repr__(self) -> str:
        return f"<FileLines of {self.filename or 'all files'}: {len(self)} lines, {self.self_ns / 1e9:.3f} s>"

    def __str__(self) -> str:
        lines = ["  self s    self %  total s   total %  line"]
        for each in self._items:
            place = f"{each.lineno} {each.function_name}"
            if self.filename is None:
                place = f"{each.filename}:{place}" if each.filename else each.function_name
            lines.append(
                f"{each.self_ns / 1e9:8.3f} {self._percent(each.self_ns)} {each.total_ns / 1e9:8.3f}  "
                f"{self._percent(each.total_ns)}  {printable(place)}"
            )
        return "\n".join(lines)


class Calls(_Table):
    """The callers or the callees of a function: a sequence of `CallSummary`, the heaviest first.

    function_name, filename, firstlineno, module: of the function.
    direction: "callers" or "callees".
    total_ns: of the function; exactly the sum of the ``total_ns`` of these.
    time_ns, dropped_ns, unsampled_ns: of the profile.
    """

    def __init__(self, rows: Sequence[CallSummary], frame: Any, direction: str, profile: BaseProfile) -> None:
        super().__init__(rows, profile)
        self.function_name, self.filename = frame.function_name, frame.filename
        self.firstlineno, self.module = frame.firstlineno, frame.module
        self.direction = direction
        self.total_ns = sum([row.total_ns for row in rows])

    def __repr__(self) -> str:
        return f"<{len(self)} {self.direction} of {self.function_name}: {self.total_ns / 1e9:.3f} s>"

    def __str__(self) -> str:
        nobody = "(nobody: root of the stack)" if self.direction == "callers" else "(itself)"
        lines = [f"{self.direction} of {printable(self.function_name)}", " total s         %"]
        for row in self._items:
            place = f" ({row.filename}:{row.firstlineno})" if row.filename else ""
            lines.append(
                f"{row.total_ns / 1e9:8.3f} {self._percent(row.total_ns)}  {printable((row.function_name or nobody) + place)}"
            )
        return "\n".join(lines)


def top(profile: BaseProfile, n: int, by: str) -> TopFunctions:
    """See `Profile.top`."""
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"n must be an integer, not {type(n).__name__}")
    if n < 0:
        raise ValueError(f"n must be at least 0, not {n}")
    if by not in ("self", "total"):
        raise ValueError(f"by must be 'self' or 'total', not {by!r}")
    functions = profile.functions()
    if by == "total":
        functions.sort(key=lambda f: (-f.total_ns, -f.self_ns, f.function_name, f.filename, f.firstlineno))
    return TopFunctions(functions[:n], functions[n:], by, profile)


def lines(profile: BaseProfile, filename: str | None = None) -> FileLines:
    """See `Profile.lines`."""
    tree = profile._tree
    own_count, own_ns, sum_count, sum_ns = sums_of(tree, profile._totals())
    name = None if filename is None else one_file(tree, filename)
    key_of, first = line_keys(tree)
    sums = [[0, 0, 0, 0] for _ in first]
    for node, key, outermost in walk(tree, sum_count, key_of, len(first)):
        entry = sums[key]
        entry[0] += own_ns[node]
        entry[2] += own_count[node]
        if outermost:
            entry[1] += sum_ns[node]
            entry[3] += sum_count[node]
    rows = []
    for entry, index in zip(sums, first):
        frame = tree.frames[index]
        if entry[3] and (name is None or frame.filename == name):
            line = frame.lineno if frame.filename else 0
            rows.append(LineSummary(frame.filename, line, frame.function_name, frame.module, *entry))
    if name is None:
        rows.sort(key=lambda row: (-row.self_ns, -row.total_ns, row.filename, row.lineno, row.function_name))
        total = sum([thread.sampled_ns for thread in profile.threads])
    else:
        rows.sort(key=lambda row: row.lineno)
        here = [int(frame.filename == name) for frame in tree.frames]
        total = sum([sum_ns[node] for node, key, outer in walk(tree, sum_count, here, 2) if key and outer])
    return FileLines(rows, name, total, profile)


def calls(profile: BaseProfile, function: str, direction: str) -> Calls:
    """See `Profile.callers` and `Profile.callees`."""
    tree = profile._tree
    own_count, own_ns, sum_count, sum_ns = sums_of(tree, profile._totals())
    key_of, first = function_keys(tree)
    wanted = key_of[_one_function(profile, function)]
    frame_of, parent_of = tree.frame_of, tree.parent_of
    sums: dict[int, list[int]] = {}

    def add(key: int, node_ns: int, node_count: int) -> None:
        entry = sums.setdefault(key, [0, 0])
        entry[0] += node_ns
        entry[1] += node_count

    if direction == "callers":
        for node, key, outermost in walk(tree, sum_count, key_of, len(first)):
            if key == wanted and outermost:
                parent = parent_of[node]
                add(key_of[frame_of[parent]] if parent else -1, sum_ns[node], sum_count[node])
    else:
        for key, ns, count in _below_innermost(tree, sum_count, key_of, wanted, own_ns, own_count):
            add(key, ns, count)
    rows = []
    for key, (ns, count) in sums.items():
        if count:
            frame = tree.frames[first[key]] if key >= 0 else None
            place = (frame.function_name, frame.filename, frame.firstlineno, frame.module) if frame else ("", "", 0, "")
            rows.append(CallSummary(*place, ns, count))
    rows.sort(key=lambda row: (-row.total_ns, row.function_name, row.filename, row.firstlineno))
    return Calls(rows, tree.frames[first[wanted]], direction, profile)


def _below_innermost(
    tree: Any,
    counts: Sequence[int],
    key_of: Sequence[int],
    wanted: int,
    own_ns: Sequence[int],
    own_count: Sequence[int],
) -> list[tuple[int, int, int]]:
    """Own time of each node below (or of) the function: by what its innermost activation has called, -1 for itself."""
    result = []
    via: dict[int, int] = {}  # by node what was called; of nodes that are not below the function: nothing
    for node, key, _ in walk(tree, counts, key_of, max(key_of) + 1):
        parent = tree.canonical()[tree.parent_of[node]]
        if key == wanted:
            via[node] = -1
        elif parent in via:
            via[node] = key if via[parent] == -1 else via[parent]
        else:
            continue
        result.append((via[node], own_ns[node], own_count[node]))
    return result


def _one_function(profile: BaseProfile, name: str) -> int:
    """A frame of the function that is called *name*: of several that fit, the one with the most total time."""
    fits = matcher("function", name)
    summaries = [f for f in profile.functions() if fits(f.function_name) or f.function_name.rpartition(".")[2] == name]
    exact = [f for f in summaries if f.function_name == name] or summaries
    if not exact:
        raise ValueError(f"no function {name!r} in this profile; Profile.functions() lists those that there are")
    best = function_key(max(exact, key=lambda f: f.total_ns))
    return next(index for index, frame in enumerate(profile._tree.frames) if function_key(frame) == best)
