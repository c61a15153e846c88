"""Functions whose lines take known parts of their time, made from source so that the line numbers are known."""

from __future__ import annotations

from time import thread_time_ns
from typing import Any, Callable

SOURCE = """\
def two_lines(ledger, rounds):
    x = heavy = light = 0
    for _ in range(rounds):
        start = clock()
        {heavy}
        middle = clock()
        {light}
        end = clock()
        heavy += middle - start
        light += end - middle
    ledger.add("two_lines:5", heavy)
    ledger.add("two_lines:7", light)
"""


def _made(heavy: str, light: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"clock": thread_time_ns}
    exec(compile(SOURCE.format(heavy=heavy, light=light), "made_lines_source.py", "exec"), namespace)
    function: Callable[..., Any] = namespace["two_lines"]
    return function


def call_lines(heavy: int, light: int) -> Callable[..., Any]:
    """Lines that are calls of C functions."""
    return _made(f"sum(range({heavy}))", f"sum(range({light}))")


def straight_lines(heavy: int, light: int) -> Callable[..., Any]:
    """Lines of so many small additions, without a call, a loop or anything else that can fail: an interpreter may well
    not note in memory where it is before such a line is over.
    """
    unit = "x = x + 1; x = x - 1"
    return _made("; ".join([unit] * (heavy // 2)), "; ".join([unit] * (light // 2)))


def loop_lines(heavy: int, light: int) -> Callable[..., Any]:
    """Lines that are loops of so many rounds over small additions."""
    work = "x = x + 1; x = x - 1; x = x + 3; x = x - 3"
    return _made(f"for _ in range({heavy}): {work}", f"for _ in range({light}): {work}")
