"""asyncio's tasks are read while they run."""

from __future__ import annotations

import children
import pytest

pytestmark = pytest.mark.needs_native

# On 3.11 and 3.12 cr_await of a running coroutine reads what lies behind its instruction, here a counter of the
# interpreter's: it looks like the end of an await in a few of a hundred calls that can't be specialized.
ASKED_WHILE_IT_RUNS = """
import asyncio
from spprof._task_reading import chain_of, is_suspended

class Unspecialized:
    def __init__(self, ask):
        self.ask = ask
    def __call__(self):
        self.ask()

async def main():
    task = asyncio.current_task()
    chains = []
    looks = [Unspecialized(lambda: chains.append([code.co_name for code, _, _ in chain_of(task)])), Unspecialized(int)]
    for number in range(20_000):
        looks[number % 3 == 0]()
    assert len(chains) == 13_333 and all(chain == ["main"] for chain in chains)
    assert not is_suspended(task)
    print("well")

asyncio.run(main())
"""


def test_a_task_that_runs_is_asked_for_nothing_else() -> None:
    result = children.python("-X", "faulthandler", "-c", ASKED_WHILE_IT_RUNS)
    assert (result.returncode, result.stdout) == (0, "well\n"), result.stderr[-2000:]


# Without a GIL nothing keeps the loop from going on with a task while it is looked at.
LOOKED_AT_WHILE_IT_GOES_ON = """
import asyncio, sys, threading, time
from spprof._task_reading import Reader, tasks_by_loop

end = time.monotonic() + float(sys.argv[1])
chains = set()

async def leaf():
    for _ in range(3):
        await asyncio.sleep(0)

async def middle():
    await leaf()

async def top():
    while time.monotonic() < end:
        await middle()

async def main():
    await asyncio.gather(*[top() for _ in range(50)])

def look():
    reader = Reader()
    while time.monotonic() < end:
        for _, tasks in tasks_by_loop():
            for _, read in reader.of(tasks):
                moment = read()
                if moment is not None:
                    chains.add(tuple(code.co_name for code, _, _ in moment[1]))

thread = threading.Thread(target=look)
thread.start()
asyncio.run(main())
thread.join()
wrong = [c for c in chains if c != ("main",)[:len(c)] and c != ("top", "middle", "leaf", "sleep", "__sleep0")[:len(c)]]
assert chains and not wrong, wrong
print("well")
"""


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_tasks_go_on_while_they_are_looked_at(seconds: int) -> None:
    result = children.python("-X", "faulthandler", "-c", LOOKED_AT_WHILE_IT_GOES_ON, str(seconds))
    assert (result.returncode, result.stdout) == (0, "well\n"), result.stderr[-2000:]
