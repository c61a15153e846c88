"""Functions of a profile with their own and total time: what a summary shows first."""

from __future__ import annotations

from collections import namedtuple

from ._walk import function_keys, sums_of, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from ._base import Totals
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


def summarize(tree: StackTree, totals: Totals) -> list[FunctionSummary]:
    """Every function that has samples: by self time, total time, then name."""
    own_count, own_ns, sum_count, sum_ns = sums_of(tree, totals)
    function_of, first_frame = function_keys(tree)
    sums = [_Sums() for _ in first_frame]
    for node, function, outermost in walk(tree, sum_count, function_of, len(sums)):
        entry = sums[function]
        line = tree.frames[tree.frame_of[node]].lineno
        entry.self_ns += own_ns[node]
        entry.self_samples += own_count[node]
        entry.lines_self[line] = entry.lines_self.get(line, 0) + own_ns[node]
        if outermost:
            entry.total_ns += sum_ns[node]
            entry.total_samples += sum_count[node]
            entry.lines_total[line] = entry.lines_total.get(line, 0) + sum_ns[node]

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
