"""Functions of a profile with their own and total time: what a summary shows first."""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from ._base import Totals
    from ._model import Frame
    from ._tree import StackTree

    class _FunctionSummaryFields(NamedTuple):
        function_name: str
        filename: str
        firstlineno: int
        module: str
        is_native: bool
        self_ns: int
        total_ns: int
        self_samples: int
        total_samples: int
        hottest_line: int
        hottest_line_ns: int

else:
    _FunctionSummaryFields = namedtuple(
        "_FunctionSummaryFields",
        "function_name filename firstlineno module is_native self_ns total_ns self_samples total_samples "
        "hottest_line hottest_line_ns",
    )


class FunctionSummary(_FunctionSummaryFields):
    """One function of a profile.

    function_name, filename, firstlineno, module, is_native: as in `Frame`.
    self_ns, self_samples: weight and number of the samples in which it was the leaf.
    total_ns, total_samples: of the samples in whose stack it was; a recursive function counts once a sample.
    hottest_line: the line with the most self time; for a function without any, the line with the most total time.
    hottest_line_ns: that line's self (or total) time.
    """

    __slots__ = ()


class _Sums:
    """Running sums of one function."""

    __slots__ = ("lines_self", "lines_total", "self_ns", "self_samples", "total_ns", "total_samples")

    def __init__(self) -> None:
        self.self_ns = self.self_samples = self.total_ns = self.total_samples = 0
        self.lines_self: dict[int, int] = {}
        self.lines_total: dict[int, int] = {}


def function_key(frame: Frame) -> tuple[str, str, int]:
    """Equal for frames of one function.

    Of a native function the file is that of the source at each place, which may be another one's that was inlined: it is
    told by its module.
    """
    return frame.function_name, frame.module if frame.is_native else frame.filename, frame.firstlineno


def summarize(tree: StackTree, totals: Totals) -> list[FunctionSummary]:
    """Every function that has samples: by self time, total time, then name."""
    size = len(tree)
    own_ns, own_count = [0] * size, [0] * size
    for (_, node), (count, weight) in totals.items():
        own_ns[node] += weight
        own_count[node] += count
    sum_ns, sum_count = own_ns[:], own_count[:]
    parent_of, canonical = tree.parent_of, tree.canonical()
    for node in range(size - 1, 0, -1):  # children before their parents
        parent = canonical[parent_of[node]]
        sum_ns[parent] += sum_ns[node]
        sum_count[parent] += sum_count[node]

    keys: dict[tuple[str, str, int], int] = {}
    function_of = [keys.setdefault(function_key(frame), len(keys)) for frame in tree.frames]
    sums = [_Sums() for _ in keys]
    first_frame: dict[int, int] = {}
    for index, function in enumerate(function_of):
        first_frame.setdefault(function, index)

    # Depth first, with the number of activations of each function on the way from the root: only its outermost
    # activation adds to the total. ~node in the work list means "leave node".
    open_count = [0] * len(keys)
    children = tree.children()
    waiting = list(children.get(0, ()))
    while waiting:
        node = waiting.pop()
        if node < 0:
            open_count[function_of[tree.frame_of[~node]]] -= 1
            continue
        if not sum_count[node]:
            continue
        frame = tree.frame_of[node]
        function = function_of[frame]
        entry = sums[function]
        line = tree.frames[frame].lineno
        entry.self_ns += own_ns[node]
        entry.self_samples += own_count[node]
        entry.lines_self[line] = entry.lines_self.get(line, 0) + own_ns[node]
        if not open_count[function]:
            entry.total_ns += sum_ns[node]
            entry.total_samples += sum_count[node]
            entry.lines_total[line] = entry.lines_total.get(line, 0) + sum_ns[node]
        open_count[function] += 1
        waiting.append(~node)
        waiting.extend(children.get(node, ()))

    result = []
    for function, entry in enumerate(sums):
        if entry.total_samples:
            frame_ = tree.frames[first_frame[function]]
            lines = entry.lines_self if entry.self_ns else entry.lines_total
            line, line_ns = min(lines.items(), key=lambda item: (-item[1], item[0]))
            result.append(
                FunctionSummary(
                    frame_.function_name, frame_.filename, frame_.firstlineno, frame_.module, frame_.is_native,
                    entry.self_ns, entry.total_ns, entry.self_samples, entry.total_samples, line, line_ns,
                )
            )  # fmt: skip
    result.sort(key=lambda f: (-f.self_ns, -f.total_ns, f.function_name, f.filename, f.firstlineno))
    return result
