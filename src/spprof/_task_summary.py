"""asyncio's tasks by what they run: where their time went. What `Profile.tasks` and the summary show."""

from __future__ import annotations

from collections import namedtuple

from ._model import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NamedTuple

    from ._model import Frame
    from ._profile import Profile

    class _TaskSummaryFields(NamedTuple):
        function_name: str
        filename: str
        firstlineno: int
        names: tuple[str, ...]
        waiting_ns: int
        ready_ns: int
        running_ns: int
        blocking_ns: int
        waits: tuple[TaskWait, ...]

    class _TaskWaitFields(NamedTuple):
        waiting_for: str
        frame: Frame
        waiting_ns: int

else:
    _TaskSummaryFields = namedtuple(
        "_TaskSummaryFields",
        "function_name filename firstlineno names waiting_ns ready_ns running_ns blocking_ns waits",
    )
    _TaskWaitFields = namedtuple("_TaskWaitFields", "waiting_for frame waiting_ns")


class TaskWait(_TaskWaitFields):
    """One thing that tasks of a kind waited for.

    waiting_for: as in `Sample`: "lock", "I/O", "sleep", "task" or "".
    frame: where: the innermost coroutine that is not asyncio's own, at its line.
    waiting_ns: for how long, all tasks of the kind together.
    """

    __slots__ = ()


class TaskSummary(_TaskSummaryFields):
    """All tasks that run the same coroutine function.

    function_name, filename, firstlineno: the function, as in `Frame`. Of a task that was never seen waiting only its
        name is known: then *function_name* is that, and *filename* is empty.
    names: of the tasks, sorted.
    waiting_ns: elapsed time for which they waited for something, all together.
    ready_ns: for which they could go on, and the event loop had not come to them.
    running_ns: for which a thread ran them (or waited for the GIL or a processor to do so).
    blocking_ns: for which a thread slept in the middle of them, and no other task of its loop could go on.
    waits: what was waited for, longest first.
    """

    __slots__ = ()


_Place = tuple[str, str, int]


class _Sums:
    __slots__ = ("blocking_ns", "names", "ready_ns", "running_ns", "waits")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.ready_ns = self.running_ns = self.blocking_ns = 0
        self.waits: dict[tuple[str, Frame], int] = {}


def summarize(profile: Profile) -> list[TaskSummary]:
    """One entry for each coroutine function: by waiting time, then time of its thread's, then name."""
    rows = list(_rows(profile))
    function_of: dict[int, _Place] = {}
    for task, frames, _, _ in rows:
        if frames and frames[0].is_suspended:
            function_of.setdefault(task, (frames[0].function_name, frames[0].filename, frames[0].firstlineno))
    names = profile._rows.task_names
    sums: dict[_Place, _Sums] = {}
    for task, frames, (state, waiting_for), weight in rows:
        entry = sums.setdefault(function_of.get(task) or (names[task], "", 0), _Sums())
        entry.names.add(names[task])
        if frames and frames[0].is_suspended:
            if state == "sleeping":
                key = (waiting_for, _own_code(frames))
                entry.waits[key] = entry.waits.get(key, 0) + weight
            else:
                entry.ready_ns += weight
        elif state == "sleeping":
            entry.blocking_ns += weight
        else:
            entry.running_ns += weight
    result = [_summary(place, entry) for place, entry in sums.items()]
    result.sort(key=lambda t: (-t.waiting_ns, -t.running_ns - t.blocking_ns, -t.ready_ns, t[:3]))
    return result


def _summary(place: _Place, entry: _Sums) -> TaskSummary:
    waits = [TaskWait(waiting_for, frame, ns) for (waiting_for, frame), ns in entry.waits.items()]
    waits.sort(key=lambda wait: (-wait.waiting_ns, wait.waiting_for, wait.frame[:3]))
    whole = sum(entry.waits.values())
    return TaskSummary(
        *place, tuple(sorted(entry.names)), whole, entry.ready_ns, entry.running_ns, entry.blocking_ns, tuple(waits)
    )


def _rows(profile: Profile) -> Iterator[tuple[int, tuple[Frame, ...], tuple[str, str], int]]:
    """Task, stack, state and weight of each row that has a task."""
    rows = profile._rows
    if rows.tasks is None or rows.states is None:
        return
    stack_of = profile._tree.stack
    for task, node, state, weight in zip(rows.tasks, rows.nodes, rows.states, rows.weights):
        if task:
            yield task, stack_of(node), STATES[state], weight


def _own_code(frames: tuple[Frame, ...]) -> Frame:
    for frame in reversed(frames):
        if "/asyncio/" not in frame.filename.replace("\\", "/"):
            return frame
    return frames[-1]
