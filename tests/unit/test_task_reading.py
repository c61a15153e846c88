"""What asyncio says of tasks: who waits, in which coroutines, and for what."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from typing import Any

import pytest

import spprof
from spprof._model import STATES
from spprof._task_reading import chain_of, is_suspended, state_of, tasks_by_loop, waiter_of


def chain_names(task: Any) -> list[str]:
    return [code.co_name for code, _, _ in chain_of(task)]


def waits_for(task: Any) -> tuple[str, str]:
    return STATES[state_of(waiter_of(task), list(chain_of(task)))]


def test_who_waits_and_who_does_not() -> None:
    async def waits(event: asyncio.Event) -> None:
        await event.wait()

    async def main() -> None:
        event = asyncio.Event()
        task = asyncio.ensure_future(waits(event))
        assert is_suspended(task)  # has not begun
        await asyncio.sleep(0)
        assert is_suspended(task) and chain_names(task) == ["waits", "wait"]
        assert waits_for(task) == ("sleeping", "lock")
        assert not is_suspended(asyncio.current_task())
        event.set()
        assert waits_for(task) == ("waiting for the event loop", "")
        await task
        assert not is_suspended(task) and chain_names(task) == []

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks that run at once came with 3.12")
def test_who_has_made_another_task_run_at_once_does_not_wait() -> None:
    found: list[Any] = []

    async def inner(outer: Any) -> None:
        found.extend([is_suspended(outer), is_suspended(asyncio.current_task())])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        await loop.create_task(inner(asyncio.current_task()))

    asyncio.run(main())
    assert found == [False, False]


def test_what_is_waited_for() -> None:
    async def sleeps() -> None:
        await asyncio.sleep(60)

    async def reads(reader: asyncio.StreamReader) -> None:
        await reader.read(1)

    async def gets(queue: Any) -> None:
        await queue.get()

    async def joins(task: Any) -> None:
        await task

    async def gathers(task: Any) -> None:
        await asyncio.gather(task, sleeps())

    async def own(future: Any) -> None:
        await future

    async def main() -> None:
        sleeper = asyncio.ensure_future(sleeps())
        future = asyncio.get_running_loop().create_future()
        all_of_them: dict[Any, str] = {
            sleeper: "sleep",
            asyncio.ensure_future(reads(asyncio.StreamReader())): "I/O",
            asyncio.ensure_future(gets(asyncio.Queue())): "lock",
            asyncio.ensure_future(joins(sleeper)): "task",
            asyncio.ensure_future(gathers(sleeper)): "task",
            asyncio.ensure_future(own(future)): "",
        }
        await asyncio.sleep(0.01)
        ((_, tasks),) = list(tasks_by_loop())
        assert set(all_of_them) <= set(tasks)
        for task, what in all_of_them.items():
            assert waits_for(task) == ("sleeping", what), chain_names(task)
            task.cancel()
        await asyncio.gather(*all_of_them, return_exceptions=True)

    asyncio.run(main())


def test_objects_of_another_kind() -> None:
    class Odd:
        def done(self) -> bool:
            raise RuntimeError

        get_coro = done

    assert not is_suspended(Odd()) and chain_names(Odd()) == [] and waiter_of(Odd()) is None


@pytest.mark.skipif(sys.version_info < (3, 13), reason="tasks can be read at one moment from 3.13 on")
@pytest.mark.needs_native
def test_all_at_one_moment_as_one_by_one() -> None:
    """What the extension reads for itself is what CPython's attributes say."""

    async def inner(future: Any) -> None:
        await future

    async def outer(future: Any) -> None:
        await inner(future)

    async def counts(future: Any) -> Any:
        yield 1
        await inner(future)

    async def iterates(future: Any) -> None:
        async for _ in counts(future):
            pass

    @types.coroutine
    def old(future: Any) -> Any:
        yield from inner(future).__await__()

    async def calls_old(future: Any) -> None:
        await old(future)

    class Own:
        def __init__(self, future: Any) -> None:
            self.future = future

        def __await__(self) -> Any:
            return self.future.__await__()

    async def own(future: Any) -> None:
        await Own(future)

    async def deep(depth: int, future: Any) -> None:
        await (deep(depth - 1, future) if depth else future)

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        functions = [outer, iterates, calls_old, own]
        tasks: list[Any] = [asyncio.ensure_future(function(future)) for function in functions]
        tasks += [asyncio.ensure_future(deep(depth, future)) for depth in (0, 150, 250)]
        python_task = asyncio.tasks._PyTask(outer(future))  # type: ignore[attr-defined]
        tasks += [python_task, asyncio.ensure_future(asyncio.sleep(60)), asyncio.current_task()]
        await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(outer(future)))  # has not begun
        found = read_all(tasks)
        for task, (waiter, chain) in zip(tasks, found):
            assert waiter is waiter_of(task)
            assert chain == (list(chain_of(task)) if is_suspended(task) else None)
        assert [chain is None for _, chain in found] == [task is asyncio.current_task() for task in tasks]
        assert [len(chain or ()) for _, chain in found[4:7]] == [1, 151, 200]
        future.set_result(None)
        await asyncio.gather(*tasks[:-4])
        assert read_all(tasks[:2]) == [(None, None)] * 2  # over
        many = [
            asyncio.ensure_future(deep(depth % 30, asyncio.get_running_loop().create_future())) for depth in range(3000)
        ]
        await asyncio.sleep(0)
        assert [len(chain) for _, chain in read_all(many)] == [1 + depth % 30 for depth in range(3000)]
        assert read_all([object(), 1]) == [(None, None)] * 2

    def read_all(tasks: list[Any]) -> list[Any]:
        found: list[Any] = []
        while len(found) < len(tasks):
            some = spprof._native.moments(tasks, len(found))
            assert some
            found += some
        return found

    asyncio.run(main())
    with pytest.raises(IndexError):
        spprof._native.moments([], 1)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="threads know their loops from 3.14 on")
@pytest.mark.needs_native
def test_loops_that_threads_run() -> None:
    async def ask() -> None:
        barrier.wait(60)
        asked.append(spprof._native.running_loops())
        loops.append(asyncio.get_running_loop())
        barrier.wait(60)

    barrier = threading.Barrier(3)
    loops: list[Any] = []
    asked: list[Any] = []
    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in asked:
        assert {id(loop) for loop in found} == {id(loop) for loop in loops}
    assert spprof._native.running_loops() == []
