"""What asyncio says of tasks: who waits, in which coroutines, and for what."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

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
