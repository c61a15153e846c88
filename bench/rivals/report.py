"""What a profiler says, whatever its format: stacks with their seconds or, where it has no stacks, functions with theirs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Frame(NamedTuple):
    """One function on a stack. *line* is that which ran, 0 if the profiler does not tell."""

    function: str  # as the profiler has it: `name` or `Class.name`
    file: str  # "" for what has none
    line: int


class Total(NamedTuple):
    """A function's seconds, without and with those of what it called."""

    own: float
    whole: float


class Report:
    """One result, read. *stacks* have their root first; *totals* are given by profilers without stacks."""

    def __init__(
        self,
        stacks: Iterable[tuple[tuple[Frame, ...], float]] = (),
        totals: Mapping[Frame, Total] | None = None,
    ) -> None:
        merged: dict[tuple[Frame, ...], float] = {}
        for stack, seconds in stacks:
            merged[stack] = merged.get(stack, 0.0) + seconds
        self.stacks = merged
        self.totals = dict(totals or {})

    def seconds(self) -> float:
        """All that it accounts for."""
        return sum(self.stacks.values()) + sum(total.own for total in self.totals.values())

    def frames(self) -> Iterator[Frame]:
        """Every function that it names, some more than once."""
        yield from self.totals
        for stack in self.stacks:
            yield from stack

    def by_function(self, labels: Iterable[str]) -> dict[str, float]:
        """Seconds of each label: what was spent in it and below it, down to the next label."""
        found = dict.fromkeys(labels, 0.0)
        for frame, total in self.totals.items():
            label = label_of(frame, found)
            if label is not None:
                found[label] += total.whole
        for stack, seconds in self.stacks.items():
            for frame in reversed(stack):
                label = label_of(frame, found)
                if label is not None:
                    found[label] += seconds
                    break
        return found

    def by_line(self, labels: Iterable[str]) -> dict[str, float]:
        """Seconds of each label, which is ``function:line``: of the last Python function on the stack."""
        found = dict.fromkeys(labels, 0.0)
        for stack, seconds in self.stacks.items():
            for frame in reversed(stack):
                if frame.file.endswith(".py"):
                    label = f"{bare_name(frame.function)}:{frame.line}"
                    if label in found:
                        found[label] += seconds
                    break
        return found


_NUMBERED = re.compile(r"(.*)_\d+")


def bare_name(function: str) -> str:
    """Without its class, and without what some profilers put behind it."""
    return function.rsplit(".", 1)[-1] if not function.endswith(">") else function[function.rfind("<") :]


def label_of(frame: Frame, labels: Mapping[str, float]) -> str | None:
    """The label that a frame is of: its own name, or that without a number at its end."""
    name = bare_name(frame.function)
    if name in labels:
        return name
    numbered = _NUMBERED.fullmatch(name)
    return numbered[1] if numbered is not None and numbered[1] in labels else None
