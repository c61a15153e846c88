"""`AggregatedProfile`: equal stacks merged and counted."""

from __future__ import annotations

from collections import namedtuple

from ._base import BaseProfile, ThreadRows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    from ._base import Facts, Totals
    from ._code import MachineCode
    from ._model import Frame
    from ._tree import StackTree

    class _StackCountFields(NamedTuple):
        frames: tuple[Frame, ...]
        count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs on a record
        weight_ns: int

else:
    _StackCountFields = namedtuple("_StackCountFields", "frames count weight_ns")


class StackCount(_StackCountFields):
    """One distinct stack.

    frames: root first, leaf last.
    count: number of samples that have it, in all threads together.
    weight_ns: what these samples weigh.
    """

    __slots__ = ()


class AggregatedProfile(BaseProfile):
    """A profile without the order of time: what each stack weighs. Can be pickled; is not changed once made."""

    _total_samples: int
    _stacks_cache: tuple[StackCount, ...] | None

    def __init__(
        self,
        facts: Facts,
        tree: StackTree,
        totals: Totals,
        total_samples: int,
        cpu_totals: Totals | None = None,
        code: MachineCode | None = None,
    ) -> None:
        super().__init__(facts, tree, None, code)
        self._totals_cache = totals
        self._cpu_totals = cpu_totals  # where weights are elapsed time
        self._total_samples = total_samples
        self._stacks_cache = None

    @property
    def total_samples(self) -> int:
        """Number of samples that were merged."""
        return self._total_samples

    @property
    def unique_stack_count(self) -> int:
        """Number of distinct stacks among them."""
        return len({node for _, node in self._totals()})

    @property
    def compression_ratio(self) -> float:
        """Samples per distinct stack; 1.0 if there are none."""
        unique = self.unique_stack_count
        return self._total_samples / unique if unique else 1.0

    @property
    def stacks(self) -> tuple[StackCount, ...]:
        """Distinct stacks, the heaviest first, equally heavy ones in the order of their frames."""
        if self._stacks_cache is None:
            merged: dict[int, list[int]] = {}
            for (_, node), (count, weight) in self._totals().items():
                entry = merged.setdefault(node, [0, 0])
                entry[0] += count
                entry[1] += weight
            stacks = [StackCount(self._tree.stack(node), *entry) for node, entry in merged.items()]
            stacks.sort(key=lambda stack: [(f.function_name, f.filename, f.lineno) for f in stack.frames])
            stacks.sort(key=lambda stack: (-stack.weight_ns, -stack.count))
            self._stacks_cache = tuple(stacks)
        return self._stacks_cache

    def _thread_rows(self) -> list[ThreadRows]:
        """A row per thread and distinct stack, in the order of the frames' labels; losses last."""
        rows = self._rows_of(self._totals())
        for row in rows:
            for node, weight in sorted(self._losses_by_node(row.thread_index).items()):
                row.extend((node,), (weight,), (0,))
        return rows

    def _thread_cpu_rows(self) -> list[ThreadRows]:
        return [] if self._cpu_totals is None else self._finished_cpu_rows(self._rows_of(self._cpu_totals))

    def _rows_of(self, totals: Totals) -> list[ThreadRows]:
        rows = [ThreadRows(index, label) for index, label in enumerate(self._thread_labels())]
        order = self._sorted_nodes()
        for (thread, node), (_, weight) in sorted(totals.items(), key=lambda item: order[item[0][1]]):
            rows[thread].extend((node,), (weight,), (0,))
        return rows

    def _sorted_nodes(self) -> dict[int, int]:
        """Place of each node when stacks are sorted frame by frame: the same for equal runs, whichever came first."""
        tree = self._tree
        rank = {
            index: place
            for place, index in enumerate(sorted(range(len(tree.frames)), key=lambda i: sort_key(tree.frames[i])))
        }
        children = tree.children()
        order: dict[int, int] = {}
        waiting = [0]
        while waiting:
            node = waiting.pop()
            order[node] = len(order)
            waiting.extend(sorted(children.get(node, ()), key=lambda child: rank[tree.frame_of[child]], reverse=True))
        return order

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state["totals"] = self._totals()
        state["total_samples"] = self._total_samples
        state["cpu_totals"] = self._cpu_totals
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._totals_cache = state["totals"]
        self._total_samples = state["total_samples"]
        self._cpu_totals = state.get("cpu_totals")
        self._stacks_cache = None

    def __repr__(self) -> str:
        return f"<AggregatedProfile: {self.total_samples} samples, {self.unique_stack_count} stacks>"


def sort_key(frame: Frame) -> tuple[str, str, int, int]:
    """Order of frames in outputs: by name, file, line, column."""
    return frame.function_name, frame.filename, frame.lineno, -1 if frame.column is None else frame.column
