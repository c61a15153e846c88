"""asyncio: tasks that wait, looked at like threads that sleep.

In mode "wall" a thread of spprof's looks at all tasks of the process, no more often than every interval and so seldom that
it takes at most a hundredth of a processor (and of the GIL) in the long run, 50 ms more at the start. Each look gives
every waiting task the time since the look before. Tasks that run are the threads' business; looks only make their
names known (`_task_runs`).

A task's stack is the chain of its suspended coroutines, the task's own first, as ``cr_await`` has it.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from _thread import start_new_thread  # taken here, before a session wraps it
from array import array

from ._backend import backend
from ._fallback_store import resolved
from ._task_runs import COST as _LIFE_COST
from ._task_runs import TaskRuns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Any

SHARE = 0.01
BURST_NS = 50_000_000
#: At most between two looks whether the program uses asyncio by now.
IDLE_S = 0.25
#: Indices into `STATES`.
_LOOP, _LOCK, _IO, _SLEEP, _TASK, _OTHER = 8, 2, 3, 4, 9, 7
_ROW_COST, _NODE_COST = 60, 400
_MAX_DEPTH = 200

_BY_MODULE = {"asyncio.locks": _LOCK, "asyncio.queues": _LOCK, "asyncio.streams": _IO, "asyncio.selector_events": _IO,
              "asyncio.sslproto": _IO, "asyncio.subprocess": _IO}  # fmt: skip


class TaskSampler:
    """The looks of one session. `stop` ends them; then `merge` adds what was seen to the sampler's recording."""

    def __init__(self, interval_ns: int, memory_limit: int) -> None:
        self.interval_ns = interval_ns
        self.memory_limit = memory_limit
        self.memory = 0
        self.used_ns = 0
        self.lost: dict[int, list[int]] = {}  # by loop: number and weight of what found no room
        self.times: array[int] = array("q")
        self.weights: array[int] = array("q")
        self.nodes: array[int] = array("I")
        self.loops_of: array[int] = array("I")
        self.states: array[int] = array("B")
        self.tasks: array[int] = array("I")
        self.names: list[str] = [""]
        self.name_of: dict[str, int] = {"": 0}
        self.node_parent: array[int] = array("I", (0,))
        self.node_frame: array[int] = array("I", (0xFFFFFFFF,))
        self.node_of: dict[tuple[int, CodeType, int], int] = {}
        self.frames: list[tuple[CodeType, int, int]] = []
        self.loop_names: list[str] = []
        self.loop_of: dict[int, int] = {}
        # By task id, what the last look found: name, row, and the future (weakly). A wait that goes on is one row.
        self.last: dict[int, tuple[int, int, Any]] = {}
        self.runs = TaskRuns()
        self.start = time.monotonic_ns()
        self.ended = threading.Event()
        self.gone = threading.Event()
        start_new_thread(self._run, ())

    def stop(self) -> None:
        """Ends the looks. Idempotent."""
        self.ended.set()
        self.gone.wait(5)

    def _run(self) -> None:
        try:
            backend.hide_thread()
            self._look_at_intervals()
        finally:
            backend.hide_thread()  # once more: books what this thread has used
            self.gone.set()

    def _look_at_intervals(self) -> None:
        for _, tasks in _tasks_by_loop():
            for task in tasks:
                self._meet(task)
        before = time.monotonic_ns()
        shortest = pause = empty = self.interval_ns / 1e9
        while not self.ended.wait(pause):
            if "asyncio" not in sys.modules:
                before = time.monotonic_ns()
                pause = IDLE_S
                continue
            used = time.thread_time_ns()
            now = time.monotonic_ns()
            found = self._look(now - self.start, now - before)
            before = now
            self.used_ns += time.thread_time_ns() - used
            # When all that was used so far, but for what is free at the start, is a hundredth of all that has passed.
            allowed = (self.used_ns - BURST_NS) / SHARE - (time.monotonic_ns() - self.start)
            # As long as there are no tasks the pauses get longer: they may come soon, or never.
            empty = shortest if found else min(2 * empty, max(IDLE_S, shortest))
            pause = max(empty, allowed / 1e9)

    def _look(self, now: int, elapsed: int) -> bool:
        """One look; whether there was any task."""
        seen: dict[int, tuple[int, int, Any]] = {}
        found = False
        for loop, tasks in _tasks_by_loop():
            current = _current_task(loop)
            for task in tasks:
                found = True
                self._meet(task)
                if task is not current:
                    self._add(task, loop, now, elapsed, seen)
        self.last = seen
        return found

    def _meet(self, task: Any) -> None:
        if self.memory + _LIFE_COST <= self.memory_limit and self.runs.met(task, self._name(task)):
            self.memory += _LIFE_COST

    def _add(self, task: Any, loop: Any, now: int, elapsed: int, seen: dict[int, tuple[int, int, Any]]) -> None:
        waiter = getattr(task, "_fut_waiter", None)
        last = self.last.get(id(task))
        if last is not None and waiter is not None and last[2]() is waiter and not waiter.done():
            # The same future: the task has not run since.
            self.weights[last[1]] += elapsed
            seen[id(task)] = last
            return
        chain = list(_chain(task))
        name = self._name(task)
        state = _state_of(waiter, chain)
        row = self._row(task, name, chain, state, seen)
        if row is not None:
            self.weights[row] += elapsed
            return
        if self.memory + _ROW_COST + _NODE_COST * len(chain) > self.memory_limit:
            lost = self.lost.setdefault(self._loop(loop), [0, 0])
            lost[0] += 1
            lost[1] += elapsed
            return
        self.memory += _ROW_COST
        seen[id(task)] = (name, len(self.times), _weakly(waiter))
        self.times.append(max(0, now - elapsed))
        self.weights.append(elapsed)
        self.nodes.append(self._node(chain))
        self.loops_of.append(self._loop(loop))
        self.states.append(state)
        self.tasks.append(name)

    def _row(
        self, task: Any, name: int, chain: list[Any], state: int, seen: dict[int, tuple[int, int, Any]]
    ) -> int | None:
        """The row of the last look, if the task still waits there."""
        last = self.last.get(id(task))
        if last is None or last[0] != name or self.states[last[1]] != state or self._node(chain) != self.nodes[last[1]]:
            return None
        seen[id(task)] = last
        return last[1]

    def _name(self, task: Any) -> int:
        try:
            name = str(task.get_name())
        except Exception:  # noqa: BLE001  # a task of another kind
            name = type(task).__name__
        index = self.name_of.get(name)
        if index is None:
            index = self.name_of[name] = len(self.names)
            self.names.append(name)
            self.memory += 100 + len(name)
        return index

    def _node(self, chain: list[tuple[CodeType, int, int]]) -> int:
        node = 0
        for code, instruction, line in chain:
            key = (node, code, instruction)
            child = self.node_of.get(key)
            if child is None:
                child = self.node_of[key] = len(self.node_parent)
                self.node_parent.append(node)
                self.node_frame.append(len(self.frames))
                self.frames.append((code, instruction, line))
                self.memory += _NODE_COST
            node = child
        return node

    def _loop(self, loop: Any) -> int:
        index = self.loop_of.get(id(loop))
        if index is None:
            index = self.loop_of[id(loop)] = len(self.loop_names)
            ident = getattr(loop, "_thread_id", None)
            thread = next((t.name for t in threading.enumerate() if t.ident == ident), "")
            self.loop_names.append(f"{thread or 'event loop'} (tasks)")
        return index

    def merge(self, raw: dict[str, Any]) -> None:
        """Adds rows, frames and one entry for each loop to what ``collect()`` gave."""
        running = self.runs.names(raw["times"], raw["start_ns"], raw.pop("coroutines"))
        if not self.times and not self.lost:
            if any(running):
                raw["tasks"], raw["task_names"] = array("I", running), self.names
            return
        first_thread = len(raw["threads"])
        first_node, first_frame = len(raw["node_parent"]), len(raw["frames"])
        positions: dict[Any, list[Any]] = {}
        qualnames: dict[int, str] = {}
        if sys.version_info < (3, 11):
            from ._qualnames import qualified_names

            qualnames = qualified_names()
        raw["frames"] = [*raw["frames"], *[(*resolved(f, positions, qualnames), True) for f in self.frames]]
        parents, frames = array("I", raw["node_parent"]), array("I", raw["node_frame"])
        # Node 0 is the root of both trees, and only there; the others follow.
        parents.extend([first_node + parent - 1 if parent else 0 for parent in self.node_parent[1:]])
        frames.extend([first_frame + frame for frame in self.node_frame[1:]])
        raw["node_parent"], raw["node_frame"] = parents, frames
        n, more = len(running), len(self.times)
        columns = {
            "times": array("q", raw["times"]) + self.times,
            "walls": array("q", raw["walls"]) + self.weights,
            "weights": array("q", raw["weights"]) + array("q", bytes(8 * more)),
            "nodes": array("I", raw["nodes"])
            + array("I", [first_node + node - 1 if node else 0 for node in self.nodes]),
            "thread_index": array("I", raw["thread_index"]) + array("I", [first_thread + i for i in self.loops_of]),
            "states": array("B", raw["states"]) + self.states,
            "tasks": array("I", running) + self.tasks,
        }
        order = sorted(range(n + more), key=columns["times"].__getitem__)
        for name, column in columns.items():
            raw[name] = array(column.typecode, [column[i] for i in order])
        raw["task_names"] = self.names
        for index, loop_name in enumerate(self.loop_names):
            rows = [row for row, loop in enumerate(self.loops_of) if loop == index]
            weight = sum([self.weights[row] for row in rows])
            count, lost = self.lost.get(index, (0, 0))
            if count:
                raw["losses"].append(("dropped", first_thread + index, 0, raw["duration_ns"], count, lost))
                raw["stats"]["dropped"] += count
            raw["threads"].append({
                "thread_id": 0, "name": loop_name, "cpu_ns": 0, "sampled_ns": weight, "unsampled_ns": 0,
                "dropped_ns": lost, "samples": len(rows), "dropped": count,
                "start_ns": min([self.times[row] for row in rows], default=0), "end_ns": None,
                "wall_ns": weight + lost, "sleeping_ns": weight,
            })  # fmt: skip


def _tasks_by_loop() -> Iterator[tuple[Any, list[Any]]]:
    """Running loops and their tasks that are not done."""
    asyncio_tasks = sys.modules.get("asyncio.tasks")
    if asyncio_tasks is None:
        return
    if sys.version_info >= (3, 14):
        for loop in _running_loops():
            try:
                yield loop, list(asyncio_tasks.all_tasks(loop))
            except Exception:  # noqa: BLE001, S112  # a loop of another kind, or one that ends at this moment
                continue
        return
    by_loop: dict[int, tuple[Any, list[Any]]] = {}
    for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks"):
        for task in _copied(getattr(asyncio_tasks, name, ())):
            try:
                if not task.done():
                    loop = task.get_loop()
                    by_loop.setdefault(id(loop), (loop, []))[1].append(task)
            except Exception:  # noqa: BLE001, S112  # a task of another kind
                continue
    yield from by_loop.values()


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


def _copied(tasks: Any) -> list[Any]:
    for _ in range(100):
        try:
            return list(tasks)
        except RuntimeError:  # changed while it was read
            continue
    return []


def _running_loops() -> list[Any]:
    """From the threads' stacks: who is in run_forever(), or was called by a Runner (uvloop's run_forever is not Python)."""
    found: dict[int, Any] = {}
    for top in sys._current_frames().values():
        frame: Any = top
        while frame is not None:
            name = frame.f_code.co_name
            if name in ("run_forever", "run_until_complete", "run"):
                holder = frame.f_locals.get("self")
                loop = getattr(holder, "_loop", None) if name == "run" else holder
                if loop is not None and hasattr(loop, "call_soon_threadsafe"):
                    found[id(loop)] = loop
            frame = frame.f_back
    return list(found.values())


def _current_task(loop: Any) -> Any:
    try:
        return sys.modules["asyncio.tasks"].current_task(loop)
    except Exception:  # noqa: BLE001
        return None


def _chain(task: Any) -> Iterator[tuple[CodeType, int, int]]:
    """Code, instruction and line of the suspended coroutines, the task's own first."""
    try:
        waiting: Any = task.get_coro()
    except Exception:  # noqa: BLE001
        return
    for _ in range(_MAX_DEPTH):
        for frame_name, next_name in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
            frame = getattr(waiting, frame_name, None)
            if frame is not None:
                yield frame.f_code, frame.f_lasti, frame.f_lineno or 0
                waiting = getattr(waiting, next_name, None)
                break
        else:
            return


def _state_of(waiter: Any, chain: list[tuple[CodeType, int, int]]) -> int:
    if waiter is None or waiter.done():
        return _LOOP  # ready: the loop has not come to it
    if hasattr(waiter, "get_coro") or type(waiter).__name__ == "_GatheringFuture":
        return _TASK
    for code, _, _ in reversed(chain):
        file = code.co_filename.replace("\\", "/")
        if "/asyncio/" not in file:
            break
        module = "asyncio." + file.rpartition("/")[2].rpartition(".")[0]
        if module == "asyncio.tasks" and code.co_name == "sleep":
            return _SLEEP
        if module == "asyncio.base_events" and code.co_name.startswith("sock_"):
            return _IO
        if module in _BY_MODULE:
            return _BY_MODULE[module]
    return _OTHER
