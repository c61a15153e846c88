"""P5: every thread, from its first milliseconds, without the program's help; and with a single processor."""

from __future__ import annotations

import os

import pytest
from observe import askers, observe, observe_fairly, options_of
from test_shares import check_shares

pytestmark = pytest.mark.needs_native


def own_part(interval_ms: float, asker: str) -> float:
    """Of the CPU time that 300 threads used in their function, the part that the profile has there."""
    o = observe("300 threads", interval_ms=interval_ms, cpu_ms=3600, **options_of(asker))
    return o.found["brief"] / o.truth["brief"]


@askers("default", "nobody", "perf", "thread")
def test_300_threads_of_12_ms_at_1_ms(asker: str) -> None:
    assert own_part(1, asker) > 0.95


@askers("perf")
def test_300_threads_of_12_ms_at_10_ms(asker: str) -> None:
    # Asked only of the source that ticks for each thread, and on time; docs/benchmarks.md says what others reach.
    assert own_part(10, asker) > 0.90


@askers("nobody", "perf", "thread", quick=("nobody",))
@pytest.mark.parametrize("processors", [1, 2])
def test_what_makes_a_system_call_now_and_then(asker: str, processors: int) -> None:
    """A busy processor lets the sampler thread in after a system call, where it then found everybody: 4 to 10 % of the time."""
    cpus = tuple(sorted(os.sched_getaffinity(0))[:processors])
    o = observe_fairly("seldom calls", cpu_ms=2000, cpus=cpus, **options_of(asker))
    assert o.found["brief"] / o.truth["brief"] > 0.98
    assert o.effective > 1000


@askers("nobody", "thread", quick=("nobody",))
def test_a_single_processor(asker: str) -> None:
    """There the sampler thread never sees the program run: it has taken the processor from it."""
    one = (min(os.sched_getaffinity(0)),)
    o = observe_fairly("calls and loop", cpu_ms=2000, cpus=one, **options_of(asker))
    check_shares(o, 500)


@askers("nobody", "thread", quick=("nobody",))
def test_a_single_processor_in_step_with_the_clock(asker: str) -> None:
    one = (min(os.sched_getaffinity(0)),)
    o = observe_fairly("clock-locked 10 ms", cpu_ms=2000, cpus=one, **options_of(asker))
    check_shares(o, 500)
