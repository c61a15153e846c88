"""`Profile.diff`: functions and lines whose share of the time has changed, told apart from chance (`evidence`)."""

from __future__ import annotations

from collections import namedtuple

from .._profile import Profile
from .._walk import numbered, summed_up, walk
from .choosing import printable
from .evidence import MIN_SAMPLES, Tally, quantile, share_change
from .matching import matched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NamedTuple

    from .._base import PathLike
    from .._model import Frame
    from .evidence import ShareChange

    class _FunctionChangeFields(NamedTuple):
        function_name: str
        filename: str
        firstlineno: int
        module: str
        is_native: bool
        self_change: ShareChange
        total_change: ShareChange

    class _LineChangeFields(NamedTuple):
        filename: str
        lineno: int
        lineno_before: int
        function_name: str
        self_change: ShareChange
        total_change: ShareChange

else:
    _FunctionChangeFields = namedtuple(
        "_FunctionChangeFields", "function_name filename firstlineno module is_native self_change total_change"
    )
    _LineChangeFields = namedtuple(
        "_LineChangeFields", "filename lineno lineno_before function_name self_change total_change"
    )


class FunctionChange(_FunctionChangeFields):
    """One function in two profiles.

    function_name, filename, firstlineno, module, is_native: as in `Frame`, of the second profile if it is there.
    self_change: of the share in which it was the leaf. total_change: of the share in which it was on the stack.
    """

    __slots__ = ()

    @property
    def is_significant(self) -> bool:
        """Whether one of the two has changed by more than chance."""
        return self.self_change.is_significant or self.total_change.is_significant


class LineChange(_LineChangeFields):
    """One line of a function in two profiles.

    filename, function_name: as in `Frame`.
    lineno, lineno_before: the line in the second profile and in the first, 0 if it is not in it. Lines are told by their distance
        from the beginning of their function, so that an edit above does not matter.
    self_change, total_change: as in `FunctionChange`.
    """

    __slots__ = ()

    @property
    def is_significant(self) -> bool:
        """Whether one of the two has changed by more than chance."""
        return self.self_change.is_significant or self.total_change.is_significant


class ProfileDiff:
    """Two profiles compared, function by function and line by line; `Profile.diff` makes it.

    before, after: the profiles.
    confidence: with which all intervals of `functions` are right at once, and all of `lines`.
    functions, lines: every one that has samples in either: what has changed by more than chance first, then by change.

    Shares are of the time that samples show. In each profile the ``self_change`` nanoseconds of all functions (and of all
    lines) add up to that, and with the profile's ``dropped_ns`` and ``unsampled_ns`` to all its time.
    """

    def __init__(self, before: Profile, after: Profile, confidence: float) -> None:
        self.before = before
        self.after = after
        self.confidence = confidence
        self._keys_before, self._keys_after, self._functions = matched(before._tree, after._tree)
        self._sides = [_Side(before), _Side(after)]
        self.functions = self._compare_functions()
        self.lines = self._compare_lines()

    @property
    def changed_functions(self) -> list[FunctionChange]:
        """The functions that have changed by more than chance."""
        return [function for function in self.functions if function.is_significant]

    @property
    def changed_lines(self) -> list[LineChange]:
        """The lines that have changed by more than chance."""
        return [line for line in self.lines if line.is_significant]

    def save(self, path: PathLike) -> None:
        """Writes a differential flame graph (``.svg``): width is the mean share, red is more, blue is less, grey is chance.

        Raises ValueError for another ending, OSError if the file can't be written.
        """
        from ..export.difference import save

        save(self, path)

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON; times in nanoseconds, shares from 0 to 1."""

        def plain(change: ShareChange) -> dict[str, Any]:
            return {**change._asdict(), "change": change.change}

        def row(record: Any) -> dict[str, Any]:
            return {
                **record._asdict(), "self_change": plain(record.self_change), "total_change": plain(record.total_change),
                "is_significant": record.is_significant,
            }  # fmt: skip

        return {
            "confidence": self.confidence,
            "mode": self.after.mode,
            "before": _facts(self.before),
            "after": _facts(self.after),
            "functions": [row(function) for function in self.functions],
            "lines": [row(line) for line in self.lines],
        }

    def _compare_functions(self) -> list[FunctionChange]:
        both = [
            side.tallies(keys, len(self._functions))
            for side, keys in zip(self._sides, (self._keys_before, self._keys_after))
        ]
        changes = self._changes(both[0], both[1])
        result = []
        for (first, second), change in zip(self._functions, changes):
            frame = second or first
            if change and frame:
                place = frame.function_name, frame.filename, frame.firstlineno, frame.module, frame.is_native
                result.append(FunctionChange(*place, *change))
        result.sort(key=lambda f: (*_order(f), f.function_name, f.filename, f.firstlineno))
        return result

    def _compare_lines(self) -> list[LineChange]:
        # A line is a function and a distance from its beginning.
        frames: list[list[Frame]] = [list(side.profile._tree.frames) for side in self._sides]
        places = [
            [_line_of(function, frame) for function, frame in zip(keys, each)]
            for keys, each in zip((self._keys_before, self._keys_after), frames)
        ]
        numbers, first = numbered([*places[0], *places[1]])
        split = len(places[0])
        of_side = numbers[:split], numbers[split:]
        both = [side.tallies(keys, len(first)) for side, keys in zip(self._sides, of_side)]
        linenos = [{key: frame.lineno for key, frame in zip(keys, each)} for keys, each in zip(of_side, frames)]
        every = [*frames[0], *frames[1]]
        latest = dict(zip(numbers, every))
        result = []
        for key, change in enumerate(self._changes(both[0], both[1])):
            if change:
                frame = latest[key]
                line, before = linenos[1].get(key, 0), linenos[0].get(key, 0)
                result.append(LineChange(frame.filename, line, before, frame.function_name, *change))
        result.sort(
            key=lambda line: (*_order(line), line.filename, line.lineno or line.lineno_before, line.function_name)
        )
        return result

    def _changes(
        self, before: Sequence[tuple[Tally, Tally]], after: Sequence[tuple[Tally, Tally]]
    ) -> list[tuple[ShareChange, ShareChange] | None]:
        """By key the changes of its own and its total share; None for keys without samples."""
        pairs = [pair for one, two in zip(before, after) for pair in zip(one, two)]
        tests = sum([one.count + two.count >= MIN_SAMPLES for one, two in pairs])
        z = quantile(self.confidence, tests)
        whole_1, whole_2 = self._sides[0].whole, self._sides[1].whole
        result: list[tuple[ShareChange, ShareChange] | None] = []
        for one, two in zip(before, after):
            if not (one[1].count or two[1].count):
                result.append(None)
                continue
            own, total = (share_change(a, whole_1, b, whole_2, z) for a, b in zip(one, two))
            result.append((own, total))
        return result

    def __repr__(self) -> str:
        return f"<ProfileDiff: {len(self.changed_functions)} of {len(self.functions)} functions changed>"

    def __str__(self) -> str:
        changed = self.changed_functions
        if not changed:
            return f"no function has changed by more than chance ({len(self.functions)} compared)"
        lines = [f"{'before':>8} {'after':>8} {'change':>8}   {self.confidence:.0%} interval   function (self)"]
        for function in changed:
            for name, change in (("", function.self_change), (" (total)", function.total_change)):
                if change.is_significant:
                    lines.append(
                        f"{change.before:8.1%} {change.after:8.1%} {100 * change.change:+8.1f}   {100 * change.low:+6.1f} to "
                        f"{100 * change.high:+6.1f}   {printable(function.function_name)}{name}"
                    )
        return "\n".join(lines)


class _Side:
    """One of the two profiles: by node numbers, weights and squares of weights of its samples."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        tree, rows = profile._tree, profile._rows
        canonical = tree.canonical()
        self.own = [[0] * len(tree) for _ in Tally._fields]
        counts, weights, squares = self.own
        for node, weight in zip(rows.nodes, rows.weights):
            node = canonical[node]  # noqa: PLW2901
            counts[node] += 1
            weights[node] += weight
            squares[node] += weight * weight
        self.sums = [summed_up(tree, column) for column in self.own]
        self.whole = Tally(*[sum(column) for column in self.own])

    def tallies(self, keys: Sequence[int], count: int) -> list[tuple[Tally, Tally]]:
        """By key the samples in which it is the leaf, and those in which it is on the stack."""
        tree = self.profile._tree
        result = [([0, 0, 0], [0, 0, 0]) for _ in range(count)]
        for node, key, outermost in walk(tree, self.sums[0], keys, count):
            own, total = result[key]
            for i, column in enumerate(self.own):
                own[i] += column[node]
            if outermost:
                for i, column in enumerate(self.sums):
                    total[i] += column[node]
        return [(Tally(*own), Tally(*total)) for own, total in result]


def compare(before: Profile, after: Profile, confidence: float) -> ProfileDiff:
    """See `Profile.diff`."""
    if not isinstance(after, Profile):
        raise TypeError(f"a Profile can only be compared with a Profile, not {type(after).__name__}")
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)):
        raise TypeError(f"confidence must be a number, not {type(confidence).__name__}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence!r}")
    if before.mode != after.mode:
        raise ValueError(f"a profile of mode {before.mode!r} can't be compared with one of mode {after.mode!r}")
    return ProfileDiff(before, after, confidence)


def _line_of(function: int, frame: Frame) -> tuple[int, int]:
    if not frame.filename:
        return function, 0
    # Of native functions the first line is not known, and inlined code has lines of other files.
    return function, frame.lineno - frame.firstlineno if frame.firstlineno else frame.lineno


def _order(record: Any) -> tuple[bool, bool, float, float]:
    own, total = record.self_change, record.total_change
    return not own.is_significant, not total.is_significant, -abs(own.change), -abs(total.change)


def _facts(profile: Profile) -> dict[str, Any]:
    threads = profile.threads
    return {
        "program": profile.program,
        "samples": profile.sample_count,
        "time_ns": sum([thread.time_ns for thread in threads]),
        "sampled_ns": sum([thread.sampled_ns for thread in threads]),
        "dropped_ns": sum([thread.dropped_ns for thread in threads]),
        "unsampled_ns": sum([thread.unsampled_ns for thread in threads]),
    }
