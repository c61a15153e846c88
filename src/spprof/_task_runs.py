"""Which task ran: from the coroutine on a sample's stack to the name of the task whose coroutine it is.

A sample has the address of its outermost coroutine. An address means one coroutine for as long as that lives, and another
one later; so each task that a look meets gets a weak reference to its coroutine, which notes when that went. A sample is
a task's if it was taken between the two: a task that no look has met yet, or that is gone before one does, has no name
rather than a wrong one.
"""

from __future__ import annotations

import time
import weakref
from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

BYTES = 250  # for each task met, about
_ALIVE = 2**63 - 1


class _Life(weakref.ref):  # type: ignore[type-arg]
    """From when to when an address meant a coroutine, by `time.monotonic_ns`."""

    __slots__ = ("address", "name", "since", "until")

    address: int
    name: int
    since: int
    until: int


def _gone(life: Any) -> None:
    life.until = time.monotonic_ns()


class TaskRuns:
    """The coroutines of the tasks that were met."""

    def __init__(self) -> None:
        self._lives: list[_Life] = []
        self._alive: dict[int, _Life] = {}

    def knows(self, task: Any, name: int) -> bool:
        """Whether the task was met before, under that name; or can't be met at all."""
        try:
            coroutine = task.get_coro()
        except Exception:  # noqa: BLE001  # a task of another kind
            return True
        known = self._alive.get(id(coroutine))
        return known is not None and known() is coroutine and known.name == name

    def meet(self, task: Any, name: int) -> None:
        """A look sees *task*, which has that name now."""
        try:
            coroutine = task.get_coro()
            life = _Life(coroutine, _gone)
        except Exception:  # noqa: BLE001  # or one whose coroutine can't be referred to weakly
            return
        address = id(coroutine)
        known = self._alive.get(address)
        if known is not None and known() is coroutine:
            known.until = time.monotonic_ns()  # it was given another name meanwhile
        life.address = address
        life.name = name
        life.until = _ALIVE
        # Last, and the coroutine is held here: from now on the address is known to be its.
        life.since = time.monotonic_ns()
        self._lives.append(life)
        self._alive[address] = life

    def names(self, times: Sequence[int], start_ns: int, coroutines: Sequence[int]) -> list[int]:
        """For each row the index of its task's name, 0 if it is not known. *times* count from *start_ns*."""
        by_address: dict[int, tuple[list[int], list[_Life]]] = {}
        for life in self._lives:  # in the order in which they were met
            since, lives = by_address.setdefault(life.address, ([], []))
            since.append(life.since)
            lives.append(life)
        result = [0] * len(coroutines)
        for row, address in enumerate(coroutines):
            if address and address in by_address:
                since, lives = by_address[address]
                moment = start_ns + times[row]
                at = bisect_right(since, moment) - 1
                if at >= 0 and moment < lives[at].until:
                    result[row] = lives[at].name
        return result
