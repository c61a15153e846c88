"""What `Profile` and `AggregatedProfile` have in common: facts about the session, and the outputs."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from ._questions import Questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Any, Union

    from ._code import MachineCode, Parts
    from ._functions import FunctionSummary
    from ._model import Loss, ThreadInfo
    from ._rows import Rows
    from ._stats import Stats
    from ._tree import StackTree

    # (thread index, node) -> [number of samples, weight in ns], in the order of the keys
    Totals = dict[tuple[int, int], list[int]]
    # start in ns, weight in ns, node
    PlacedLoss = tuple[int, int, int]
    PathLike = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]


#: What weights measure, by `BaseProfile.mode`.
MEASURES = {"cpu": "CPU time", "wall": "wall clock", "gil": "time with the GIL"}


class Facts:
    """What is known of a session beside its samples. Plain values only: this is what is pickled."""

    __slots__ = (
        "cpu_time_ns", "duration_ns", "interval_ns", "losses", "mode", "platform", "program", "python_version",
        "start_time", "stats", "threads", "unfinished",
    )  # fmt: skip

    def __init__(
        self,
        *,
        cpu_time_ns: int,
        duration_ns: int,
        interval_ns: int,
        losses: tuple[Loss, ...],
        mode: str,
        platform: str,
        program: str,
        python_version: str,
        start_time: float,
        stats: Stats,
        threads: tuple[ThreadInfo, ...],
        unfinished: bool = False,
    ) -> None:
        self.cpu_time_ns = cpu_time_ns
        self.duration_ns = duration_ns
        self.interval_ns = interval_ns
        self.losses = losses
        self.mode = mode
        self.platform = platform
        self.program = program
        self.python_version = python_version
        self.start_time = start_time
        self.stats = stats
        self.threads = threads
        self.unfinished = unfinished


class ThreadRows:
    """The rows of one thread, for an output: nodes and weights side by side."""

    __slots__ = ("label", "nodes", "thread_index", "times", "weights")

    def __init__(self, thread_index: int, label: str) -> None:
        self.thread_index = thread_index
        self.label = label
        self.nodes: array[int] = array("I")
        self.weights: array[int] = array("q")
        self.times: array[int] = array("q")

    def extend(self, nodes: Iterable[int], weights: Iterable[int], times: Iterable[int]) -> None:
        """Appends whole columns."""
        self.nodes.extend(nodes)
        self.weights.extend(weights)
        self.times.extend(times)

    def keep_heavy(self) -> None:
        """Leaves out rows that weigh nothing."""
        kept = [row for row, weight in enumerate(self.weights) if weight]
        self.nodes = array("I", [self.nodes[row] for row in kept])
        self.times = array("q", [self.times[row] for row in kept])
        self.weights = array("q", [self.weights[row] for row in kept])

    def insert_losses(self, losses: list[PlacedLoss]) -> None:
        """Puts losses among the rows, each before the first row that is later than its start."""
        if not losses:
            return
        nodes: array[int] = array("I")
        weights: array[int] = array("q")
        done = 0
        for start, weight, node in losses:
            here = bisect_left(self.times, start, done)
            nodes.extend(self.nodes[done:here])
            weights.extend(self.weights[done:here])
            nodes.append(node)
            weights.append(weight)
            done = here
        nodes.extend(self.nodes[done:])
        weights.extend(self.weights[done:])
        self.nodes, self.weights, self.times = nodes, weights, array("q")


class BaseProfile(Questions):
    """Facts about a session, and the outputs."""

    _facts: Facts
    _parts: Parts
    _totals_cache: Totals | None

    def __init__(
        self, facts: Facts, tree: StackTree, rows: Rows | None = None, code: MachineCode | None = None
    ) -> None:
        self._facts = facts
        self._parts = tree, rows, code
        self._totals_cache = None

    @property
    def _tree(self) -> StackTree:
        return self._named_parts()[0]

    @property
    def _code(self) -> MachineCode | None:
        return self._named_parts()[2]

    def _named_parts(self) -> Parts:
        """Stacks with the names of their native frames: looked up when someone first wants to see them."""
        parts = self._parts
        # Without rows the totals were made of the stacks as they are: these stay.
        if parts[2] is not None and parts[2].pending and parts[1] is not None:
            from ._native_frames import with_names

            # All at once: of two threads that come here the later one does nothing new.
            parts = self._parts = with_names(parts)
        return parts

    @property
    def mode(self) -> str:
        """What weights measure: "cpu" (CPU time), "wall" (elapsed time) or "gil" (elapsed time of holding the GIL)."""
        return self._facts.mode

    @property
    def gil_contention(self) -> float | None:
        """Share of the elapsed time in which at least one thread waited for the GIL; None if not in mode "wall"."""
        duration = self._facts.duration_ns
        return self.stats.gil_contended_ns / duration if self.mode == "wall" and duration else None

    @property
    def dropped_count(self) -> int:
        """Number of samples that were taken and lost."""
        return self._facts.stats.dropped

    @property
    def total_duration_ms(self) -> float:
        """Elapsed time from start to stop, in milliseconds."""
        return self._facts.duration_ns / 1e6

    @property
    def interval_ms(self) -> float:
        """The interval asked for, in milliseconds."""
        return self._facts.interval_ns / 1e6

    @property
    def cpu_time_ns(self) -> int:
        """CPU time that the program's threads used during the session.

        In mode "cpu" the weights of all samples and losses together are exactly this; in other modes the ``cpu_ns`` of
        all samples and the ``cpu_unsampled_ns`` of all threads are.
        """
        return self._facts.cpu_time_ns

    @property
    def start_time(self) -> datetime:
        """When the session started (UTC)."""
        return _utc(self._facts.start_time)

    @property
    def end_time(self) -> datetime:
        """When the session ended (UTC): `start_time` and the elapsed time."""
        return _utc(self._facts.start_time + self._facts.duration_ns / 1e9)

    @property
    def python_version(self) -> str:
        """Version of the interpreter that was profiled, such as "3.12.1"."""
        return self._facts.python_version

    @property
    def platform(self) -> str:
        """The system that it ran on: name, release and machine."""
        return self._facts.platform

    @property
    def program(self) -> str:
        """Name of the program: the last part of ``sys.argv[0]``, "" if there was none."""
        return self._facts.program

    @property
    def threads(self) -> tuple[ThreadInfo, ...]:
        """Every thread that was seen, in the order in which they were met."""
        return self._facts.threads

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The stretches of time that no sample shows, each with its thread, time and weight."""
        return self._facts.losses

    @property
    def stats(self) -> Stats:
        """The sampler's own figures, as at the stop."""
        return self._facts.stats

    @property
    def is_unfinished(self) -> bool:
        """Whether it is from a file that grew beside its program, which was killed or still runs: it goes until `end_time`."""
        return self._facts.unfinished

    def functions(self) -> list[FunctionSummary]:
        """Every function with its own and its total time, the most expensive ones first."""
        from ._functions import summarize

        return summarize(self._tree, self._totals())

    def to_speedscope(self) -> dict[str, Any]:
        """The profile in the speedscope file format, ready for `json`: one "sampled" profile per thread.

        A profile of elapsed time has a second one per thread, of its CPU time.
        Equal stacks are one and the same list in it; copy before changing one.
        """
        from .export.speedscope import document

        return document(self)

    def to_collapsed(self) -> str:
        """The profile as collapsed stacks: for each thread and stack ``thread;root;...;leaf`` and its nanoseconds."""
        from .export.collapsed import render

        return "".join(render(self))

    def save(self, path: PathLike, format: str | None = None) -> None:
        """Writes the profile to a file, whole or not at all: an older file stays as it is if anything fails.

        path: its ending says the format (see `spprof.export.FORMATS`); a further ``.gz`` compresses it.
        format: name of the format ("speedscope", "collapsed", "svg", "spprof", "pprof", "chrome", "firefox", "pstats",
            "otlp", "markdown", "html"), whatever the ending is.

        Raises ValueError for an unknown ending or format, OSError if the file can't be written.
        """
        from .export import save

        save(self, path, format)

    def _totals(self) -> Totals:
        """Samples and weight per thread and stack, losses not included; counted once."""
        if self._totals_cache is None:
            self._totals_cache = self._compute_totals()
        return self._totals_cache

    def _compute_totals(self) -> Totals:
        raise NotImplementedError

    def _thread_rows(self) -> list[ThreadRows]:
        """The rows per thread that outputs show, losses included: their weights sum up to all of the thread's time."""
        raise NotImplementedError

    def _thread_cpu_rows(self) -> list[ThreadRows]:
        """The same with CPU time for weights, where the profile is of elapsed time and knows both; else empty."""
        raise NotImplementedError

    def _finished_cpu_rows(self, rows: list[ThreadRows]) -> list[ThreadRows]:
        """*rows* without those that weigh nothing, and with the CPU time that no sample stands for at each thread's end."""
        for row in rows:
            row.keep_heavy()
            rest = self.threads[row.thread_index].cpu_unsampled_ns
            if rest:
                row.extend((self._tree.unsampled_node,), (rest,), (self._facts.duration_ns + 1,))
        return rows

    def _thread_labels(self) -> list[str]:
        """A name for each thread that no other has: outputs tell threads apart by it.

        A number and not the thread's id is added, so that two equal runs give equal files.
        """
        labels: list[str] = []
        used: dict[str, int] = {}
        for thread in self.threads:
            name = thread.name or "(unnamed)"
            label = name
            while label in used:
                used[name] += 1
                label = f"{name} #{used[name]}"
            used[label] = 1
            labels.append(label)
        return labels

    def _thread_losses(self, thread_index: int) -> list[PlacedLoss]:
        """A thread's losses in the order of time. What its sums have beyond the dated ones comes last."""
        thread = self.threads[thread_index]
        kinds = {
            "dropped": (self._tree.dropped_node, thread.dropped_ns),
            "unsampled": (self._tree.unsampled_node, thread.unsampled_ns),
        }
        placed: list[PlacedLoss] = []
        for kind, (node, total) in kinds.items():
            dated = [
                (loss.start_ns, loss.weight_ns, node)
                for loss in self._losses_of(thread_index)
                if loss.kind == kind and loss.weight_ns > 0
            ]
            rest = total - sum(weight for _, weight, _ in dated)
            if rest < 0:  # the sums are the truth
                dated, rest = [], total
            placed.extend(dated)
            if rest:
                placed.append((self._facts.duration_ns + 1, rest, node))
        placed.sort()
        return placed

    def _losses_by_node(self, thread_index: int) -> dict[int, int]:
        """A thread's losses by what stands for them in the tree, in nanoseconds."""
        thread, tree = self.threads[thread_index], self._tree
        sums = {tree.dropped_node: thread.dropped_ns, tree.unsampled_node: thread.unsampled_ns}
        return {node: weight for node, weight in sums.items() if weight}

    def _losses_of(self, thread_index: int) -> list[Loss]:
        return [loss for loss in self.losses if loss.thread_index == thread_index]

    def __getstate__(self) -> dict[str, Any]:
        facts = {name: getattr(self._facts, name) for name in Facts.__slots__}
        tree, rows, code = self._named_parts()
        return {"facts": facts, "tree": tree, "rows": rows, "code": code}

    def __setstate__(self, state: dict[str, Any]) -> None:
        BaseProfile.__init__(self, Facts(**state["facts"]), state["tree"], state.get("rows"), state.get("code"))


def _utc(seconds: float) -> datetime:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc)
