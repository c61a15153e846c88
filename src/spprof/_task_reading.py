"""What asyncio says of its tasks: which there are, which coroutines each is suspended in, what it waits for.

Everything here runs on a thread that is not the loop's, and calls nothing of the program's but what is a task's or a loop's by
contract; what such a call raises makes the object one of another kind, which is left out. With a GIL, tasks are read one by one,
from Python. Without, nothing keeps a loop from going on with a task while it is read, and what CPython's attributes give then
may be freed already: there all are read at one moment, in C (`Reader`).
"""

from __future__ import annotations

import functools
import sys
import time

from ._backend import backend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType
    from typing import Any

    #: The suspended coroutines, the task's own first: code, instruction, line.
    Chain = list[tuple[CodeType, int, int]]

#: Indices into `STATES`.
_LOOP, _LOCK, _IO, _SLEEP, _TASK, _OTHER = 8, 2, 3, 4, 9, 7
_MAX_DEPTH = 200
#: The loop may get the GIL in the middle of a look: of tasks that go on while they are read.
_MOST_READS = 3
#: Of coroutines, generators and asynchronous generators: whether it runs, its frame, and what it waits for.
_KINDS = (
    ("cr_running", "cr_frame", "cr_await"),
    ("gi_running", "gi_frame", "gi_yieldfrom"),
    ("ag_running", "ag_frame", "ag_await"),
)

#: Without the extension there is no mode "wall".
_free_threaded: bool = getattr(backend, "free_threaded_build", False)

_BY_MODULE = {"asyncio.locks": _LOCK, "asyncio.queues": _LOCK, "asyncio.streams": _IO, "asyncio.selector_events": _IO,
              "asyncio.sslproto": _IO, "asyncio.subprocess": _IO}  # fmt: skip


def tasks_by_loop() -> Iterator[tuple[Any, list[Any]]]:
    """Running loops and their tasks that are not done."""
    asyncio_tasks = sys.modules.get("asyncio.tasks")
    if asyncio_tasks is None:
        return
    if sys.version_info >= (3, 14):
        for loop in backend.running_loops() if _free_threaded else _running_loops():
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


def _copied(tasks: Any) -> list[Any]:
    for _ in range(100):
        try:
            return list(tasks)
        except RuntimeError:  # changed while it was read
            continue
    return []


def _running_loops() -> list[Any]:
    """From the threads' stacks."""
    found: dict[int, Any] = {}
    for top in sys._current_frames().values():
        try:
            for loop in _loops_on(top):
                found[id(loop)] = loop
        except Exception:  # noqa: BLE001, S112  # what is called "self" there belongs to the program
            continue
    return list(found.values())


def _loops_on(top: FrameType) -> Iterator[Any]:
    """The loops that a thread runs, inner ones first; of those that are not written in Python the one that its caller names."""
    runners = sys.modules.get("asyncio.runners")
    by_runner = runners.Runner.run.__code__ if runners is not None else None
    found = False
    frame: FrameType | None = top
    while frame is not None:
        holder = None
        if frame.f_code is by_runner:
            holder = getattr(frame.f_locals.get("self"), "_loop", None)
        elif frame.f_code.co_name in ("run_forever", "run_until_complete"):
            holder = frame.f_locals.get("self")
        if holder is not None and hasattr(holder, "call_soon_threadsafe"):
            found = True
            yield holder
        frame = frame.f_back
    if not found:
        base = sys.modules["asyncio.events"].AbstractEventLoop
        yield from [v for v in list(top.f_locals.values()) if issubclass(type(v), base) and v.is_running()]


class Reader:
    """Reads tasks, and knows for how long, at most, the program was stopped meanwhile."""

    def __init__(self) -> None:
        self.stopped_ns = 0

    def of(self, tasks: list[Any]) -> Iterator[tuple[Any, Callable[[], tuple[Any, Chain] | None]]]:
        """For each task the future for which it waits, None if for none, and what gives that and its chain, of one moment; None
        if it is not suspended.
        """
        if not _free_threaded:
            for task in tasks:
                yield waiter_of(task), functools.partial(_settled, task)
            return
        done = 0
        while done < len(tasks):
            begin = time.monotonic_ns()
            found = backend.moments(tasks, done)
            self.stopped_ns += time.monotonic_ns() - begin
            done += len(found)
            for waiter, chain in found:
                moment = None if chain is None else (waiter, chain)
                yield waiter, functools.partial(_as_it_is, moment)


def _as_it_is(moment: tuple[Any, Chain] | None) -> tuple[Any, Chain] | None:
    return moment


def _settled(task: Any) -> tuple[Any, Chain] | None:
    """What *task* waits for and in which coroutines, if it did not go on meanwhile."""
    for _ in range(_MOST_READS):
        waiter, chain = waiter_of(task), list(chain_of(task))
        if not is_suspended(task):
            return None
        if waiter_of(task) is waiter:
            return waiter, chain
    return None


def waiter_of(task: Any) -> Any:
    """The future for which a task waits; None if it runs, or could."""
    return getattr(task, "_fut_waiter", None)


def is_suspended(task: Any) -> bool:
    """Whether it is neither done nor on a thread's stack: also as what has made another task run at once, or runs a loop."""
    try:
        if task.done():
            return False
        coroutine = task.get_coro()
    except Exception:  # noqa: BLE001  # a task of another kind
        return False
    running = [getattr(coroutine, name, False) for name, _, _ in _KINDS]
    return coroutine is not None and True not in running


def chain_of(task: Any) -> Iterator[tuple[CodeType, int, int]]:
    """Code, instruction and line of the suspended coroutines, the task's own first; if one runs it is the last."""
    try:
        waiting: Any = task.get_coro()
    except Exception:  # noqa: BLE001
        return
    for _ in range(_MAX_DEPTH):
        for running_name, frame_name, next_name in _KINDS:
            frame = getattr(waiting, frame_name, None)
            if frame is not None:
                yield frame.f_code, frame.f_lasti, frame.f_lineno or 0
                waiting = backend.awaited(waiting, running_name, next_name)
                break
        else:
            return


def state_of(waiter: Any, chain: list[tuple[CodeType, int, int]]) -> int:
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
