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
