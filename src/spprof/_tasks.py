"""asyncio: tasks that wait, looked at like threads that sleep.

In mode "wall" a thread of spprof's looks at all tasks of the process (`_task_reading`), no more often than every interval and
so seldom that it takes at most a hundredth of a processor (and of the GIL) in the long run, 50 ms more at the start. Each look
gives every waiting task the time since the look before (`_task_rows`). Tasks that run are the threads' business; looks only
make their names known (`_task_runs`).

A task's stack is the chain of its suspended coroutines, the task's own first, as ``cr_await`` has it.
"""

from __future__ import annotations

import sys
import time
import weakref

from ._helper import HelperThread
from ._task_reading import Reader, state_of, tasks_by_loop
from ._task_rows import NO_NAME, TaskRows
from ._task_runs import BYTES as _LIFE_BYTES
from ._task_runs import TaskRuns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any

    #: Of a waiting task, as the last look found it: name, row, and the future, weakly.
    _Seen = tuple[int, int, Any]

SHARE = 0.01
BURST_NS = 50_000_000
#: Between two looks whether the program uses asyncio by now: a part of the session so far, within these limits. Most programs
#: that do begin with it; one that comes to it late has a first wait that is off by a fortieth of the time before.
IDLE_PART = 1 / 20
IDLE_S = 0.1
LONGEST_IDLE_S = 0.5
#: More tasks are not looked at once more when it ends: that would be felt.
MOST_AT_THE_END = 5000


class TaskSampler:
    """The looks of one session. `stop` ends them; then `merge` adds what was seen to the sampler's recording."""

    def __init__(self, interval_ns: int, memory_limit: int) -> None:
        self._interval_ns = interval_ns
        self._used_ns = 0
        self._reader = Reader()
        self._rows = TaskRows(memory_limit)
        self._runs = TaskRuns()
        self._last: dict[int, _Seen] = {}  # by the task's id
        self._start = time.monotonic_ns()
        self._thread = HelperThread(self._look_at_intervals)

    def stop(self) -> None:
        """Ends the looks, with a last one. Idempotent."""
        self._thread.stop()

    def merge(self, raw: dict[str, Any]) -> None:
        """Adds what was seen to what ``collect()`` gave."""
        running = self._runs.names(raw["times"], raw["start_ns"], raw.pop("coroutines"))
        self._rows.merge(raw, running)

    def _look_at_intervals(self, ended: threading.Event) -> None:
        # No name here may refer to a task or a loop: they would live as long as the session.
        found = self._meet_all()
        before = time.monotonic_ns()
        shortest = pause = empty = self._interval_ns / 1e9
        while not ended.wait(pause):
            if "asyncio" not in sys.modules:
                before = time.monotonic_ns()
                found = False
                pause = min(max(IDLE_S, (before - self._start) / 1e9 * IDLE_PART), LONGEST_IDLE_S)
                continue
            used = time.thread_time_ns() + self._reader.stopped_ns
            now = time.monotonic_ns()
            # If there were none before, they came at some time since: in the middle of it, on the average.
            found = self._look(now - self._start, (now - before) // (1 if found else 2))
            before = now
            self._used_ns += time.thread_time_ns() + self._reader.stopped_ns - used
            # When all that was used so far, but for what is free at the start, is a hundredth of all that has passed.
            allowed = (self._used_ns - BURST_NS) / SHARE - (time.monotonic_ns() - self._start)
            # As long as there are no tasks the pauses get longer: they may come soon, or never.
            empty = shortest if found else min(2 * empty, max(IDLE_S, shortest))
            pause = max(empty, allowed / 1e9)
        if len(self._last) <= MOST_AT_THE_END:
            now = time.monotonic_ns()
            self._look(now - self._start, (now - before) // (1 if found else 2))

    def _meet_all(self) -> bool:
        """Makes the tasks known that are there at the start; whether there are any."""
        found = False
        for _, tasks in tasks_by_loop():
            for task in tasks:
                found = True
                self._meet(task, self._name(task))
        return found

    def _look(self, now: int, elapsed: int) -> bool:
        """One look; whether there was any task."""
        seen: dict[int, _Seen] = {}
        found = False
        for loop, tasks in tasks_by_loop():
            for task, (waiter, read) in zip(tasks, self._reader.of(tasks)):
                found = True
                name = self._name(task)
                self._meet(task, name)
                row = self._add(task, name, loop, now, elapsed, waiter, read)
                if row is not None:
                    seen[id(task)] = row
        self._last = seen
        return found

    def _meet(self, task: Any, name: int) -> None:
        if name != NO_NAME and not self._runs.knows(task, name) and self._rows.take(_LIFE_BYTES):
            self._runs.meet(task, name)

    def _add(
        self, task: Any, name: int, loop: Any, now: int, elapsed: int, waiter: Any, read: Callable[[], Any]
    ) -> _Seen | None:
        """The row of its wait, which is one for as long as that goes on; None if it does not wait."""
        last = self._last.get(id(task))
        if last is not None and waiter is not None and last[2]() is waiter and not waiter.done():
            # The same future: the task has not run since.
            self._rows.weights[last[1]] += elapsed
            return last
        moment = read()
        if moment is None:
            return None
        waiter, chain = moment
        node, state = self._rows.node(chain), state_of(waiter, chain)
        if last is not None and self._is(last, name, node, state):
            self._rows.weights[last[1]] += elapsed
            return name, last[1], _weakly(waiter)
        row = self._rows.add(max(0, now - elapsed), elapsed, node, loop, state, name)
        return None if row is None else (name, row, _weakly(waiter))

    def _is(self, last: _Seen, name: int, node: int | None, state: int) -> bool:
        """Whether a task still waits where it did, perhaps for the next time."""
        return last[0] == name and self._rows.states[last[1]] == state and self._rows.nodes[last[1]] == node

    def _name(self, task: Any) -> int:
        try:
            name = str(task.get_name())
        except Exception:  # noqa: BLE001  # a task of another kind
            name = type(task).__name__
        return self._rows.name(name)


def _weakly(waiter: Any) -> Any:
    """A weak reference, or what behaves like one to something that is gone."""
    if waiter is not None:
        try:
            return weakref.ref(waiter)
        except TypeError:
            pass
    return _gone


def _gone() -> None:
    return None
