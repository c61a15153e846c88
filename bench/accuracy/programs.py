"""The programs of the laboratory: those of tests/accuracy that any profiler can be asked about, and more in the same manner.

Each is a `Case`: it books the CPU time of what it does in a ledger, by the clock of the thread that does it. None of them knows
of a profiler. Labels are functions or lines, never thread names: not every profiler has those.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from time import thread_time_ns
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "accuracy"))

import cases
import work
from cases import MS, Case
from ledger import Ledger, sized

if TYPE_CHECKING:
    from collections.abc import Generator


def forty(count: int) -> int:
    """A loop of its own, for a thread of its own."""
    total = 0
    for i in range(count):
        total += i & 7
    return total


def thirty(count: int) -> int:
    """Another."""
    total = 0
    for i in range(count):
        total += i & 7
    return total


def twenty(count: int) -> int:
    """Another."""
    total = 0
    for i in range(count):
        total += i & 7
    return total


def ten(count: int) -> int:
    """Another."""
    total = 0
    for i in range(count):
        total += i & 7
    return total


# ---- lines


def four_lines(ledger: Ledger, call: int, loop: int, rounds: int) -> None:
    """Two lines that call C code and two that are loops, 7 to 3 each."""
    parts = [0, 0, 0, 0]
    few, short = call * 3 // 7, loop * 3 // 7
    for _ in range(rounds):
        start = thread_time_ns()
        sum(range(call))
        first = thread_time_ns()
        sum(range(few))
        second = thread_time_ns()
        for i in range(loop): parts[0] += i & 1; parts[0] -= i & 1  # fmt: skip # noqa: E701, E702
        third = thread_time_ns()
        for i in range(short): parts[0] += i & 1; parts[0] -= i & 1  # fmt: skip # noqa: E701, E702
        fourth = thread_time_ns()
        for which, used in enumerate((first - start, second - first, third - second, fourth - third)):
            parts[which] += used
    top = four_lines.__code__.co_firstlineno
    for line, used in zip((6, 8, 10, 12), parts):
        ledger.add(f"four_lines:{top + line}", used)


def _prepare_lines() -> Any:
    return sized(work.held, 700_000), sized(work.spin, 500_000)


def _lines(ledger: Ledger, ns: int, counts: Any) -> None:
    call, loop = counts
    end = thread_time_ns() + ns
    while thread_time_ns() < end:
        four_lines(ledger, call, loop, 10)


# ---- threads


def _prepare_threads() -> Any:
    return [(each.__name__, each, (sized(each, 1 * MS),)) for each in (forty, thirty, twenty, ten)]


def _threads(ledger: Ledger, ns: int, plan: Any) -> None:
    """Four at once, for parts of the time as their names say."""
    parts = (40, 30, 20, 10)
    cases._in_threads(
        ledger,
        [
            (entry[0], lambda own, entry=entry, part=part: cases._rounds(own, ns * part // 100, [entry]))  # type: ignore[misc]
            for entry, part in zip(plan, parts)
        ],
    )


def brief(count: int) -> None:
    """All that a short thread does: 12 ms of CPU time."""
    while thread_time_ns() < 12 * MS:
        forty(count)


def _short_threads(ledger: Ledger, ns: int, counts: Any) -> None:
    """Six threads of 12 ms at a time; between them half as much in the main thread."""
    end = ns
    while end > 0:
        branch = ledger.branch()
        cases._in_threads(branch, [(f"brief-{i}", lambda own: own.run("brief", brief, counts[0])) for i in range(6)])
        ledger.run("thirty", thirty, counts[1])
        end -= 108 * MS


def _prepare_short() -> Any:
    return sized(forty, 200_000), sized(thirty, 36 * MS)


def _prepare_released() -> Any:
    return [
        (label, function, (sized(function, us * 1000),))
        for label, function, us in (
            ("digest", work.digest, 1400),
            ("compress", work.compress, 600),
            ("loop", work.loop, 500),
        )
    ]


def _released(ledger: Ledger, ns: int, plan: Any) -> None:
    """C code without the GIL in one thread, beside a loop that holds it in another."""
    cases._in_threads(
        ledger,
        [
            ("c", lambda own: cases._rounds(own, ns * 2 // 3, plan[:2])),
            ("python", lambda own: cases._rounds(own, ns // 3, plan[2:])),
        ],
    )


# ---- tasks


class _Yield:
    """Gives another task a turn, without a timer."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def task_seven(ledger: Ledger, count: int, rounds: int) -> None:
    """Works in its own frame."""
    for _ in range(rounds):
        start, total = thread_time_ns(), 0
        for i in range(count):
            total += i & 7
        ledger.add("task_seven", thread_time_ns() - start)
        await _Yield()


async def task_three(ledger: Ledger, count: int, rounds: int) -> None:
    """The same again."""
    for _ in range(rounds):
        start, total = thread_time_ns(), 0
        for i in range(count):
            total += i & 7
        ledger.add("task_three", thread_time_ns() - start)
        await _Yield()


async def _some_tasks(ledger: Ledger, count: int) -> None:
    await asyncio.gather(
        *(task_seven(ledger, count * 7, 5) for _ in range(4)), *(task_three(ledger, count * 3, 5) for _ in range(4))
    )


def _tasks(ledger: Ledger, ns: int, count: int) -> None:
    end = thread_time_ns() + ns
    while thread_time_ns() < end:
        asyncio.run(_some_tasks(ledger, count))


# ---- code that comes and goes

_MADE = """
def {name}(count):
    total = {salt}
    for i in range(count):
        total += i & 7
    return total
"""


def _churn(ledger: Ledger, ns: int, count: int) -> None:
    """Each function is compiled, called once and dropped; there are never two of one name."""
    end = thread_time_ns() + ns
    number = 0
    while thread_time_ns() < end:
        for label, part in (("made_heavy", 7), ("made_light", 3)):
            namespace: dict[str, Any] = {}
            name = f"{label}_{number}"
            exec(compile(_MADE.format(name=name, salt=number), "<made>", "exec"), namespace)
            ledger.run(label, namespace.pop(name), count * part)
        number += 1


#: In the order of tables.
PROGRAMS: dict[str, Case] = {
    "calls against a loop": cases.CASES["calls and loop"],
    "lines": Case(_prepare_lines, _lines, by="line"),
    "threads": Case(_prepare_threads, _threads),
    "short threads": Case(_prepare_short, _short_threads),
    "C without the GIL": Case(_prepare_released, _released),
    "C under the GIL": Case(
        lambda: [(f.__name__, f, (sized(f, 1_500_000),)) for f in (work.held, work.loop)], cases._rounds
    ),
    "deep recursion": cases.CASES["deep and shallow"],
    "generators": cases.CASES["generators"],
    "asyncio tasks": Case(lambda: sized(work.spin, 300_000), _tasks),
    "exec churn": Case(lambda: sized(work.spin, 70_000), _churn),
    "system calls": cases.CASES["system calls"],
    "clock-locked 4 ms": cases.CASES["clock-locked 4 ms"],
}
