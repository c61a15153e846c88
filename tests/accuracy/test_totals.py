"""P1: totals are exact. What samples weigh and what has no sample add up to the CPU time that the kernel charged."""

from __future__ import annotations

import pytest
from bounds import relative_error
from observe import askers, c_helper, observe, options_of

import spprof

pytestmark = pytest.mark.needs_native

TOLERANCE = 0.005
# A thread's ledger ends before the thread does: what Python does to end it comes on top. Measured without spprof, a mean of
# 0.05 ms, and 0.37 to 0.46 ms on free-threaded builds, where each thread has a heap of its own to give back.
UNSEEN_END_NS = 1_500_000 if spprof._native.free_threaded_build else 500_000

WORKLOADS = [
    "calls and loop",
    "C code",
    "system calls",
    "generators",
    "recursion",
    "thread shares",
    "eight threads",
    "GIL handed over",
    "short threads",
    "C threads",
    "memory limit",
]


@askers("default", "nobody", "perf", "thread", "timer")
@pytest.mark.parametrize("case", WORKLOADS)
def test_totals(case: str, asker: str) -> None:
    if case == "C threads" and c_helper() is None:
        pytest.skip("no C compiler")
    o = observe(case, cpu_ms=2000, attempt=0, **options_of(asker))  # the run of test_shares, where it has one

    assert o.weights_match, o  # to the nanosecond
    for thread in o.seen:
        assert thread["sampled_ns"] + thread["unsampled_ns"] + thread["dropped_ns"] == thread["cpu_ns"], (thread, o)
    assert sum(thread["cpu_ns"] for thread in o.seen) == o.cpu_ns, o
    assert sum(thread["unsampled_ns"] + thread["dropped_ns"] for thread in o.seen) == o.losses_ns, o

    # The kernel's word for the whole process, spprof's own threads taken off.
    own = o.stats["drain_cpu_ns"] + o.stats["sampler_cpu_ns"]
    assert relative_error(o.cpu_ns, o.process_ns - own) < TOLERANCE, o

    # And each thread's own. A name may come again: the threads of it together.
    by_name: dict[str, int] = {}
    for thread in o.seen:
        by_name[thread["name"]] = by_name.get(thread["name"], 0) + thread["cpu_ns"]
    for name, true_ns in o.threads.items():
        found_ns = by_name.get(name, 0)
        slack = TOLERANCE * true_ns + (o.around_ns if name == "MainThread" else UNSEEN_END_NS)
        assert true_ns * (1 - TOLERANCE) - 50_000 <= found_ns <= true_ns + slack, (name, true_ns, found_ns, str(o))


@askers("default", "nobody", "thread")
def test_what_finds_no_room_is_weighed(asker: str) -> None:
    o = observe("memory limit", cpu_ms=2000, **options_of(asker))
    assert o.stats["dropped"] > 0, o
    assert o.stats["dropped_ns"] > 0, o
    # A dropped sample weighs about what a kept one does.
    kept = (o.stats["cpu_ns"] - o.stats["dropped_ns"] - o.stats["unsampled_ns"]) / o.stats["collected"]
    lost = o.stats["dropped_ns"] / o.stats["dropped"]
    assert 0.5 < lost / kept < 2, o
