"""`Profile`: what `stop()` returns.

Its samples are rows of columns (`_rows`) and a tree of stacks; nothing is made before it is asked for, names of native frames
neither, so that a million samples cost 24 MB and no time.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._base import BaseProfile, ThreadRows
from ._model import STATES, Sample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import overload

    from pandas import DataFrame

    from ._aggregate import AggregatedProfile
    from ._analysis.choosing import Names, Threads
    from ._analysis.difference import ProfileDiff
    from ._base import Facts, PathLike, Totals
    from ._code import MachineCode
    from ._model import Frame
    from ._rows import Column, Rows
    from ._task_summary import TaskSummary
    from ._tree import StackTree
else:

    def overload(function):  # typing is not imported at run time
        return function


class Profile(BaseProfile):
    """The result of one session. Can be pickled, copied and sent to another process; is not changed once made.

    Beside what it says of itself (`BaseProfile`), it has every sample in `samples`.
    """

    def __init__(self, facts: Facts, tree: StackTree, rows: Rows, code: MachineCode | None = None) -> None:
        super().__init__(facts, tree, rows, code)

    @property
    def _rows(self) -> Rows:
        rows = self._named_parts()[1]
        assert rows is not None
        return rows

    @property
    def sample_count(self) -> int:
        """Number of samples."""
        rows = self._parts[1]
        assert rows is not None
        return len(rows)

    @property
    def samples(self) -> SampleSequence:
        """All samples in the order of time: a sequence that makes each `Sample` when it is asked for.

        A slice of it is such a sequence as well.
        """
        return SampleSequence(self, range(self.sample_count))

    @classmethod
    def load(
        cls, path: PathLike, *, unit: str | None = None, mode: str | None = None, interval_ms: float | None = None
    ) -> Profile:
        """The profile in a file: of a ``.spprof`` file everything as it was when it was saved.

        Files of pprof and speedscope and collapsed stacks can be read as well, also other profilers'; what they have no
        place for is missing then (see docs/formats.md). What such a file does not say:

        unit: of collapsed stacks and of speedscope's unit "none": "ns", "us", "ms", "s" or "samples". None: nanoseconds
            if spprof has written the stacks, else samples.
        mode: what weights measure, "cpu", "wall" or "gil"; None: CPU time.
        interval_ms: what a sample stands for, if only their number is known; None: 10.

        Raises OSError if the file can't be read, `ProfileFileError` (a ValueError) if it is damaged, cut off, by a much
        later version of spprof, or something else; what could be saved of it is the error's attribute ``partial``.
        """
        from .reading import load

        return load(path, unit=unit, mode=mode, interval_ms=interval_ms)

    def tasks(self) -> list[TaskSummary]:
        """The tasks of asyncio, those that run the same function together: how long they waited, and for what.

        Those that waited longest come first. Empty but in mode "wall", of a program that runs an event loop.
        """
        from ._task_summary import summarize

        return summarize(self)

    def filter(
        self,
        *,
        thread: Threads | None = None,
        module: Names | None = None,
        function: Names | None = None,
        filename: Names | None = None,
        time: tuple[float | None, float | None] | None = None,
        state: Names | None = None,
        task: Names | None = None,
    ) -> Profile:
        """The part of the profile that fits everything given, as a new `Profile`.

        thread: name or id, or several of them.
        module: stacks that go through the module, or through modules in it ("package"). Or several of them.
        function: stacks that go through the function: its qualified name, or the last part of it.
        filename: stacks that go through the file: its path, or the last parts of it ("app.py").
        time: two numbers of seconds since the start of the profile, the second one not included; None: no limit.
        state: "running", "waiting for the GIL", "sleeping" or "waiting for the event loop", as in `Sample`.
        task: name of an asyncio task.

        Names may have wildcards: ``*`` and ``?``. What nothing fits gives a profile without samples.

        Sums fit the samples again: ``sampled_ns``, `cpu_time_ns`, `functions`, ... are of the part. Losses are chosen by thread
        and time; they have no stack, state or task, so that a part chosen by these has none. Of a sleep (or a loss) across an
        edge of *time* the part within is kept; ranges that touch add up to the whole exactly. Times still
        count from the start of the profile, and its duration and the sampler's own figures (`stats`) remain those of the whole.

        Raises ValueError for an unknown state or a range that is none, TypeError for what is neither a name nor several.
        """
        from ._analysis.filtering import filtered

        return filtered(self, thread, module, function, filename, time, state, task)

    def diff(self, other: Profile, *, confidence: float = 0.95) -> ProfileDiff:
        """Compares the profile (before) with another one (after): which functions and lines take another share, and
        how sure that is. ``print(before.diff(after))`` shows what has changed by more than chance.

        confidence: with which all intervals of the functions are right together, and all of the lines.

        Raises ValueError if the profiles' modes differ or *confidence* is not between 0 and 1, TypeError for another *other*.
        """
        from ._analysis.difference import compare

        return compare(self, other, confidence)

    def merge(self, *others: Profile) -> Profile:
        """One profile of this one and others, see `merge_profiles`."""
        from ._analysis.merging import merge_profiles

        return merge_profiles([self, *others])

    def to_pandas(self, *, losses: bool = True) -> DataFrame:
        """The samples as a pandas DataFrame, a row each; see docs/python-api.md for the columns.

        losses: whether there are rows for ``[dropped]`` and ``[unsampled]`` time (with 0 ``samples``), so that the
            weights add up to all time.

        Raises ImportError, saying what to install, where pandas is missing: it comes with ``spprof[pandas]``.
        """
        from ._analysis.frames import data_frame

        return data_frame(self, losses)

    @property
    def effective_rate_hz(self) -> float:
        """Samples per second of elapsed time, over all threads; 0.0 for an empty profile."""
        return self.sample_count * 1000.0 / self.total_duration_ms if self.total_duration_ms > 0 else 0.0

    def aggregate(self) -> AggregatedProfile:
        """The same profile with equal stacks merged: without the order of time, and much smaller."""
        from ._aggregate import AggregatedProfile

        cpu = None if self._rows.cpu is None else self._compute_totals(self._rows.cpu)
        return AggregatedProfile(self._facts, self._tree, self._totals(), self.sample_count, cpu, self._code)

    def _compute_totals(self, weights: Column | None = None) -> Totals:
        nodes, thread_index = self._rows.nodes, self._rows.thread_index
        weights = self._rows.weights if weights is None else weights
        width = len(self._tree)
        canonical = self._tree.canonical()
        if len(self.threads) < 2:
            keys = nodes.tolist()
        else:
            keys = [thread * width + node for thread, node in zip(thread_index, nodes)]
        sums = dict.fromkeys(keys, 0)
        counts = dict.fromkeys(keys, 0)
        for key, weight in zip(keys, weights):
            sums[key] += weight
            counts[key] += 1
        totals: Totals = {}
        for key in sorted(sums):
            thread, node = divmod(key, width)
            entry = totals.setdefault((thread, canonical[node]), [0, 0])
            entry[0] += counts[key]
            entry[1] += sums[key]
        return totals

    def _thread_rows(self) -> list[ThreadRows]:
        """Rows per thread in the order of time, losses where they happened."""
        rows = self._rows_weighing(self._rows.weights)
        for row in rows:
            row.insert_losses(self._thread_losses(row.thread_index))
        return rows

    def _thread_cpu_rows(self) -> list[ThreadRows]:
        cpu = self._rows.cpu
        return [] if cpu is None else self._finished_cpu_rows(self._rows_weighing(cpu))

    def _rows_weighing(self, weights: Column) -> list[ThreadRows]:
        times, nodes, thread_index = self._rows.times, self._rows.nodes, self._rows.thread_index
        rows = [ThreadRows(index, label) for index, label in enumerate(self._thread_labels())]
        if len(rows) == 1:
            rows[0].extend(nodes, weights, times)
        else:
            # Bound methods in lists: this loop runs once for every sample.
            append_node = [row.nodes.append for row in rows]
            append_weight = [row.weights.append for row in rows]
            append_time = [row.times.append for row in rows]
            for thread, node, weight, time in zip(thread_index, nodes, weights, times):
                append_node[thread](node)
                append_weight[thread](weight)
                append_time[thread](time)
        return rows

    def _known_of(self, weight: int) -> tuple[int | None, str, str, str]:
        """What `Rows.known` has no columns for: in mode "cpu" a sample ran; the fallback can't tell."""
        return (weight, "running", "", "") if self.mode == "cpu" else (None, "", "", "")

    def __repr__(self) -> str:
        return (
            f"<Profile: {self.sample_count} samples, {self.dropped_count} dropped, {self.total_duration_ms:.1f} ms, "
            f"{len(self.threads)} threads>"
        )


class SampleSequence(Sequence[Sample]):
    """A profile's samples, or a slice of them."""

    __slots__ = ("_profile", "_range")

    def __init__(self, profile: Profile, indices: range) -> None:
        self._profile = profile
        self._range = indices

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> SampleSequence: ...  # noqa: F811
    def __getitem__(self, index: int | slice) -> Sample | SampleSequence:  # noqa: F811
        if isinstance(index, slice):
            return SampleSequence(self._profile, self._range[index])
        try:
            row = self._range[index]
        except IndexError:
            raise IndexError(f"sample index {index} out of range, there are {len(self)} samples") from None
        profile, rows = self._profile, self._profile._rows
        thread = profile.threads[rows.thread_index[row]]
        weight = rows.weights[row]
        known = rows.known(row) or profile._known_of(weight)
        stack = profile._tree.stack(rows.nodes[row])
        return Sample(rows.times[row], thread.thread_id, thread.name, stack, weight, *known)

    def __iter__(self) -> Iterator[Sample]:
        indices = self._range
        stop: int | None = indices.stop
        if indices.step < 0 and indices.stop < 0:
            stop = None  # a slice would read -1 as "the last one"
        part = slice(indices.start, stop, indices.step) if indices else slice(0, 0)
        threads = [(thread.thread_id, thread.name) for thread in self._profile.threads]
        stack_of = self._profile._tree.stack
        known_of = self._profile._known_of
        # The stacks of this iteration, beside the tree's own cache: a lookup by node instead of a call.
        recent: dict[int, tuple[Frame, ...]] = {}
        rows = self._profile._rows
        columns = (rows.times, rows.weights, rows.nodes, rows.thread_index, rows.cpu, rows.states, rows.tasks)
        for time, weight, node, index, *more in zip(*[column[part] for column in columns if column is not None]):
            stack = recent.get(node)
            if stack is None:
                if len(recent) >= 4096:
                    recent.clear()
                stack = recent[node] = stack_of(node)
            thread_id, name = threads[index]
            if more:
                task = rows.task_names[more[2]] if len(more) > 2 else ""
                yield Sample(time, thread_id, name, stack, weight, more[0], *STATES[more[1]], task)
            else:
                yield Sample(time, thread_id, name, stack, weight, *known_of(weight))

    def __reversed__(self) -> Iterator[Sample]:
        return iter(self[::-1])

    def __repr__(self) -> str:
        return f"<{len(self)} samples>"
