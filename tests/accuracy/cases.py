"""Programs that know what they did. `CASES` has them by name.

A case gets a ledger and the CPU time that it is to take. Its labels are looked for in the samples: `by="function"`, the
first function with a label, seen from the leaf; `by="line"`, the leaf's ``function:line``; `by="thread"`, its name.
"""

from __future__ import annotations

import ctypes
import random
import threading
from time import clock_gettime_ns, sleep, thread_time_ns
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import work
from ledger import Ledger, sized
from made_lines import call_lines, loop_lines, straight_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1_000_000


class Case(NamedTuple):
    """A program, and by what its labels are found in the profile."""

    prepare: Callable[[], Any]
    run: Callable[[Ledger, int, Any], None]
    by: str = "function"
    memory_limit_mb: float = 100


CASES: dict[str, Case] = {}


def _rounds(ledger: Ledger, ns: int, plan: Sequence[tuple[str, Callable[..., Any], tuple[Any, ...]]]) -> None:
    """The plan, over and over, until the thread has used *ns*."""
    end = thread_time_ns() + ns
    while thread_time_ns() < end:
        for label, function, arguments in plan:
            ledger.run(label, function, *arguments)


def _functions(name: str, **parts: int) -> None:
    """A case that calls functions of `work` in turn, for so many microseconds each."""

    def prepare() -> Any:
        return [(label, getattr(work, label), (sized(getattr(work, label), us * 1000),)) for label, us in parts.items()]

    CASES[name] = Case(prepare, _rounds)


_functions("calls and loop", calls=1350, loop=1650)
_functions("two functions", first=700, second=2100)
_functions("three functions", first=500, second=1000, third=1500)
_functions("five functions", first=1500, second=1200, third=900, fourth=600, fifth=300)
_functions("C code", held=1000, digest=2000, compress=1500, loop=800)
_functions("system calls", reads=1500, loop=1500)
_functions("tiny blocks", first=30, second=90)
_functions("late ticks", deaf=830, loop=500)
_functions("late ticks, many to one", deaf=1600, loop=500)


def _prepare_deep() -> Any:
    count = sized(work.spin, 600_000)
    return [("deep", work.deep, (400, count)), ("shallow", work.shallow, (2 * count,))]


CASES["deep and shallow"] = Case(_prepare_deep, _rounds)


def _prepare_generators() -> Any:
    plan: list[Any] = []
    for label, function, us in (
        ("plain_generator", work.plain_generator, 900),
        ("delegating_generator", work.delegating_generator, 2100),
    ):
        generator = function(sized(work.spin, us * 1000))
        plan.append((label, next, (generator,)))
    return plan


CASES["generators"] = Case(_prepare_generators, _rounds)


def _recursion(ledger: Ledger, ns: int, _: Any) -> None:
    _rounds(ledger, ns, [("fibonacci", work.fibonacci, (15,)), ("loop", work.loop, (20_000,))])


CASES["recursion"] = Case(lambda: None, _recursion)


# ---- lines


def _call_lines(ledger: Ledger, ns: int, code: Any) -> None:
    end = thread_time_ns() + ns
    while thread_time_ns() < end:
        code(ledger, 20)


def _lines(name: str, make: Callable[[], Any]) -> None:
    CASES[name] = Case(make, _call_lines, by="line")


_lines("lines of calls", lambda: call_lines(sized(work.held, 2_100_000), sized(work.held, 900_000)))
_lines("lines with loops", lambda: loop_lines(sized(work.spin, 700_000), sized(work.spin, 300_000)))
_lines("straight lines", lambda: straight_lines(70_000, 30_000))


# ---- threads


def _in_threads(ledger: Ledger, targets: Sequence[tuple[str, Callable[[Ledger], None]]]) -> None:
    def body(own: Ledger, target: Callable[[Ledger], None]) -> None:
        target(own)
        own.thread_ends()

    threads = [threading.Thread(target=body, args=(ledger.branch(), target), name=name) for name, target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _until(ns: int, count: int) -> None:
    while thread_time_ns() < ns:
        work.spin(count)


def _thread_shares(ledger: Ledger, ns: int, count: int) -> None:
    parts = {"forty": 40, "thirty": 30, "twenty": 20, "ten": 10}

    def target(name: str, part: int) -> tuple[str, Callable[[Ledger], None]]:
        return name, lambda own: own.run(name, _until, ns * part // 100, count)

    _in_threads(ledger, [target(name, part) for name, part in parts.items()])


CASES["thread shares"] = Case(lambda: sized(work.spin, 300_000), _thread_shares, by="thread")


def _eight_threads(ledger: Ledger, ns: int, plan: Any) -> None:
    _in_threads(ledger, [(f"worker-{i}", lambda own: _rounds(own, ns // 8, plan)) for i in range(8)])


CASES["eight threads"] = Case(CASES["calls and loop"].prepare, _eight_threads)


def _mixed_threads(ledger: Ledger, ns: int, plan: Any) -> None:
    """The GIL goes round: Python code and C code that gives it back, in threads that want it at the same time."""
    _in_threads(ledger, [(f"mixed-{i}", lambda own: _rounds(own, ns // 3, plan)) for i in range(3)])


CASES["GIL handed over"] = Case(CASES["C code"].prepare, _mixed_threads)


def _churn(ledger: Ledger, ns: int, plan: Any) -> None:
    """Short threads, four at a time, as long as there is time."""
    end = thread_time_ns() + ns
    used = number = 0
    while used < ns and thread_time_ns() < end:
        branch = ledger.branch()
        _in_threads(branch, [(f"short-{number + i}", lambda own: _rounds(own, 6 * MS, plan)) for i in range(4)])
        number += 4
        used += sum(branch.total_threads().values())


CASES["short threads"] = Case(CASES["tiny blocks"].prepare, _churn)


# ---- limits


def _unique_stacks(ledger: Ledger, ns: int, _: Any) -> None:
    """More stacks than a megabyte holds."""
    dice = random.Random(5)
    end = thread_time_ns() + ns
    while thread_time_ns() < end:
        work.forked_path(60, dice.getrandbits(60))


CASES["memory limit"] = Case(lambda: None, _unique_stacks, memory_limit_mb=1)


# ---- in step with the clock


def _locked(period_ms: int, first_us: int, second_us: int) -> None:
    """Wakes on the clock's own multiples of the period, as a timer wheel does; then works for two fifths of it."""

    def prepare() -> Any:
        return sized(work.first, first_us * 1000), sized(work.second, second_us * 1000)

    def run(ledger: Ledger, ns: int, counts: Any) -> None:
        period = period_ms * MS
        end = thread_time_ns() + ns
        now = clock_gettime_ns(1)
        while thread_time_ns() < end:
            wake = (now // period + 1) * period
            while now < wake:
                sleep((wake - now) / 1e9)
                now = clock_gettime_ns(1)
            ledger.run("first", work.first, counts[0])
            ledger.run("second", work.second, counts[1])
            now = clock_gettime_ns(1)

    CASES[f"clock-locked {period_ms} ms"] = Case(prepare, run)


_locked(10, 1000, 3000)
_locked(4, 400, 1200)


# ---- threads born in C


def c_threads(library: str) -> None:
    """Adds the case whose threads never run Python."""
    helper = ctypes.CDLL(library)
    helper.burn_in_threads.argtypes = [ctypes.c_int, ctypes.c_longlong, ctypes.POINTER(ctypes.c_longlong)]

    def run(ledger: Ledger, ns: int, _: Any) -> None:
        used = (ctypes.c_longlong * 2)()
        helper.burn_in_threads(2, ns // 2, used)
        for i in range(2):
            ledger.add(f"c-burner-{i}", used[i])
            ledger.threads[f"c-burner-{i}"] = used[i]

    CASES["C threads"] = Case(lambda: None, run, by="thread")


# ---- many short threads


def brief(count: int, rounds: int) -> None:
    """All that one of the 300 threads does."""
    for _ in range(rounds):
        work.spin(count)


def _three_hundred(ledger: Ledger, ns: int, count: int) -> None:
    """300 threads of 12 ms of CPU time each, six at a time."""
    for group in range(50):
        _in_threads(
            ledger,
            [(f"brief-{group * 6 + i}", lambda own: own.run("brief", _twelve_ms, count)) for i in range(6)],
        )


def _twelve_ms(count: int) -> None:
    _briefs_until(12 * MS, count)


def _briefs_until(ns: int, count: int) -> None:
    while thread_time_ns() < ns:
        brief(count, 4)


CASES["300 threads"] = Case(lambda: sized(work.spin, 100_000), _three_hundred)


def _seldom_calls(ledger: Ledger, ns: int, count: int) -> None:
    """Six threads that work, and make a system call every 0.4 ms: three thousandths of their time."""
    _in_threads(
        ledger, [(f"seldom-{i}", lambda own: own.run("brief", _briefs_until, ns // 6, count)) for i in range(6)]
    )


CASES["seldom calls"] = Case(lambda: sized(work.spin, 100_000), _seldom_calls)
