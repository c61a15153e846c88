"""A `Profile` from what the files of other formats hold: stacks, what they weigh, how many samples they are.

Where a file has merged equal samples they are made single again, as many as it says, each with its part of the weight:
numbers of samples and sums of weights stay what they were, and what needs single samples works. When they were is not in
such a file. They are put one after the other in each thread, so that a timeline of them is one that is sorted by stack.
"""

from __future__ import annotations

from array import array
from operator import itemgetter

from .._base import Facts
from .._code import MachineCode
from .._errors import ProfileFileError
from .._model import STATES, Frame, Loss, ThreadInfo
from .._profile import Profile
from .._rows import Rows
from .._stats import Stats
from .._tree import DROPPED_FRAME, UNSAMPLED_FRAME, StackTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from .._code import CodeObject, Place

#: With more samples than this equal ones stay one.
MOST_ROWS = 1_000_000
_RUNNING = STATES.index(("running", ""))
_GIL = STATES.index(("waiting for the GIL", ""))
_MARKS = {DROPPED_FRAME: -1, UNSAMPLED_FRAME: -2}
_KINDS = {-1: "dropped", -2: "unsampled"}
_MOST = 2**63 - 1


class _Thread:
    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.rows: list[tuple[int, int, int, int, int, int]] = []  # node, weight, count, cpu, state, task
        self.lost = {"dropped": 0, "unsampled": 0}
        self.losses: list[tuple[str, int, int]] = []  # kind, number of the row that is next, weight
        self.cpu_unsampled_ns = 0

    def info(self, cpu_mode: bool) -> ThreadInfo:
        """Its figures, from its rows."""
        sampled = sum([row[1] for row in self.rows])
        by_state = [0, 0, 0]
        for _, weight, _, _, state, _ in self.rows:
            by_state[0 if state == _RUNNING else 1 if state == _GIL else 2] += weight
        time = sampled + self.lost["dropped"] + self.lost["unsampled"]
        cpu = time if cpu_mode else sum([row[3] for row in self.rows]) + self.cpu_unsampled_ns
        return ThreadInfo(
            thread_id=self.number, name=self.name, cpu_ns=cpu, sampled_ns=sampled, unsampled_ns=self.lost["unsampled"],
            dropped_ns=self.lost["dropped"], samples=sum([row[2] for row in self.rows]), dropped=0, start_ns=0, end_ns=None,
            wall_ns=0 if cpu_mode else time, running_ns=0 if cpu_mode else by_state[0],
            gil_wait_ns=0 if cpu_mode else by_state[1], sleeping_ns=0 if cpu_mode else by_state[2],
            cpu_unsampled_ns=self.cpu_unsampled_ns,
        )  # fmt: skip


class Builder:
    """Takes threads, frames and stacks as they are met, then makes the profile.

    in_order: whether samples come in the order of time, so that losses have a place in it.
    """

    def __init__(self, *, in_order: bool = False) -> None:
        self._in_order = in_order
        self._threads: dict[Hashable, _Thread] = {}
        self._frames: dict[Frame, int] = {}
        self._marks: dict[int, int] = {}  # frame -> node that stands for it
        self._nodes: dict[tuple[int, int], int] = {}
        self._parents, self._frame_of = array("I", [0]), array("I", [0xFFFFFFFF])
        self._tasks: dict[str, int] = {"": 0}
        self.objects: list[CodeObject] = []
        self._places: dict[int, Place] = {}
        self._unnamed: set[int] = set()

    def frame(
        self, name: str, file: str = "", line: int = 0, column: int | None = None, first_line: int = 0, module: str = "",
        native: bool = False,
    ) -> int:  # fmt: skip
        """The number of a frame. One without a file is native."""
        line, first_line = (n if 0 < n < 2**31 else 0 for n in (line, first_line))
        if column is not None and not 0 <= column < 2**31:
            column = None
        frame = Frame(name, file, line, native or not file, module, column, None, None, first_line)
        number = self._frames.setdefault(frame, len(self._frames))
        if frame in _MARKS:
            self._marks[number] = _MARKS[frame]
        return number

    def place(self, frame: int, place: Place, named: bool) -> None:
        """Where in machine code a native frame is, by number of `objects`, and whether it has a name."""
        self._places.setdefault(frame, place)
        if not named:
            self._unnamed.add(frame)

    def stack(self, frames: Iterable[int]) -> int:
        """The node of a stack, whose frames come root first."""
        node = 0
        for frame in frames:
            node = self.child(node, frame)
        return node

    def child(self, node: int, frame: int) -> int:
        """The node of *frame* called by a node's. A mark of a loss at the root is none of the tree's, but less than 0."""
        if not node and frame in self._marks:
            return self._marks[frame]
        if node < 0:  # something calls itself like a mark
            node = self._added(0, next(frame for frame, mark in self._marks.items() if mark == node))
        return self._added(node, frame)

    def _added(self, node: int, frame: int) -> int:
        key = node, frame
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = len(self._parents)
            self._parents.append(node)
            self._frame_of.append(frame)
        return found

    def add(
        self, thread: Hashable, name: str, node: int, weight: int, count: int = 1, *,
        cpu: int = 0, state: tuple[str, str] = STATES[_RUNNING], task: str = "",
    ) -> None:  # fmt: skip
        """*count* samples of a stack, its *node*, that weigh *weight* together. *thread*: what makes a thread another one.

        Raises ProfileFileError for a negative weight.
        """
        if min(weight, count, cpu) < 0:
            raise ProfileFileError(
                "it has negative weights, as a difference of two profiles has; save the two themselves"
            )
        owner = self._threads.get(thread)
        if owner is None:
            owner = self._threads[thread] = _Thread(name, len(self._threads) + 1)
        if node < 0:
            kind = _KINDS[node]
            owner.lost[kind] += weight
            if self._in_order and weight:
                owner.losses.append((kind, len(owner.rows), weight))
            owner.cpu_unsampled_ns += cpu
        else:
            number = STATES.index(state) if state in STATES else _RUNNING
            task_number = self._tasks.setdefault(task, len(self._tasks))
            owner.rows.append((node, weight, max(1, count), cpu, number, task_number))

    def profile(
        self, *, mode: str, program: str = "", platform: str = "", python_version: str = "", start_time: float = 0.0,
        duration_ns: int = 0, interval_ns: int = 0, with_states: bool = False,
    ) -> Profile:  # fmt: skip
        """All of it. *with_states*: whether states, tasks and CPU times are known, in a mode other than "cpu"."""
        infos = [thread.info(mode == "cpu") for thread in self._threads.values()]
        sums = [sum([info.time_ns for info in infos]), sum([info.cpu_ns for info in infos])]
        if max(duration_ns, *sums) > _MOST:
            raise ProfileFileError("its weights are larger than any time is")
        merged = sum([info.samples for info in infos]) > MOST_ROWS
        if merged:
            infos = [i._replace(samples=len(t.rows)) for i, t in zip(infos, self._threads.values())]
        # Beyond what a date can be, and NaN: as if it were not there.
        start_time = start_time if 0 <= start_time < 1e11 else 0.0
        rows, losses = self._rows(merged, with_states and mode != "cpu")
        duration_ns = max([duration_ns, *[info.time_ns for info in infos]])
        if not interval_ns and len(rows):
            interval_ns = max(1, round(sum(rows.weights) / len(rows)))
        stats = Stats({
            "mode": mode, "collected": len(rows), "interval_ns": interval_ns, "duration_ns": duration_ns,
            "threads_seen": len(infos), "cpu_ns": sum([info.cpu_ns for info in infos]),
            "unsampled_ns": sum([info.unsampled_ns for info in infos]), "dropped_ns": sum([i.dropped_ns for i in infos]),
        })  # fmt: skip
        facts = Facts(
            cpu_time_ns=stats.cpu_ns, duration_ns=duration_ns, interval_ns=interval_ns, losses=tuple(losses), mode=mode,
            platform=platform, program=program, python_version=python_version, start_time=start_time, stats=stats,
            threads=tuple(infos),
        )  # fmt: skip
        code = None
        if self._places:
            code = MachineCode(
                tuple(self.objects), self._places, frozenset(self._unnamed), fold=False, pending=bool(self._unnamed)
            )
        return Profile(facts, StackTree(self._frames, self._parents, self._frame_of), rows, code)

    def _rows(self, merged: bool, with_states: bool) -> tuple[Rows, list[Loss]]:
        losses: list[Loss] = []
        table: list[tuple[int, ...]] = []  # time, thread, weight, node, cpu, state, task
        for index, thread in enumerate(self._threads.values()):
            now = 0
            waiting = thread.losses[::-1]
            for number, (node, weight, count, cpu, state, task) in enumerate(thread.rows):
                while waiting and waiting[-1][1] == number:
                    now += self._placed(losses, waiting.pop(), index, now)
                pieces = 1 if merged else count
                part, more = divmod(weight, pieces)
                cpu_part, cpu_more = divmod(cpu, pieces)
                for piece in range(pieces):
                    each = part + (piece < more)
                    # What runs is seen at the end of its interval, a sleep is dated where it begins.
                    at = now + each if state == _RUNNING else now
                    table.append((at, index, each, node, cpu_part + (piece < cpu_more), state, task))
                    now += each
            while waiting:
                now += self._placed(losses, waiting.pop(), index, now)
        table.sort(key=itemgetter(0, 1))
        times, threads, weights, nodes, cpu_column, states, tasks = zip(*table) if table else ((),) * 7
        rows = Rows(
            array("q", times), array("q", weights), array("I", nodes), array("I", threads),
            array("q", cpu_column) if with_states else None, array("B", states) if with_states else None,
            array("I", tasks) if with_states and len(self._tasks) > 1 else None, list(self._tasks) if with_states else None,
        )  # fmt: skip
        return rows, losses

    @staticmethod
    def _placed(losses: list[Loss], loss: tuple[str, int, int], thread: int, now: int) -> int:
        kind, _, weight = loss
        # After the sample that ends just then.
        losses.append(Loss(kind, thread, now + 1, now + weight, 0, weight))
        return weight
