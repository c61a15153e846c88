"""P2: shares are unbiased. Against programs that measure themselves, the error stays within the binomial bound.

Of the CPU timer that is not promised: it samples on the kernel's tick alone, and each of these programs goes round in some
milliseconds. docs/benchmarks.md has how far off it is.
"""

from __future__ import annotations

import pytest
from bounds import relative_error, share_bound, shares
from observe import Observation, askers, c_helper, observe_fairly, options_of

pytestmark = pytest.mark.needs_native

WORKLOADS = [
    "calls and loop",
    "two functions",
    "three functions",
    "five functions",
    "C code",
    "system calls",
    "late ticks",
    "late ticks, many to one",
    "deep and shallow",
    "generators",
    "recursion",
    "thread shares",
    "eight threads",
    "GIL handed over",
]
LINES = ["lines of calls", "lines with loops", "straight lines"]


def check_shares(o: Observation, least: int) -> None:
    """Every share within its bound, and enough samples for that to mean something."""
    assert o.effective >= least, o
    true, found = shares(o.truth), shares(o.found)
    for label, share in true.items():
        bound = share_bound(share, o.effective)
        assert abs(found[label] - share) <= bound, (
            f"{label}: {found[label]:.4f} for {share:.4f}, bound {bound:.4f}; {o}"
        )


@askers("default", "nobody", "perf", "thread")
@pytest.mark.parametrize("case", WORKLOADS + LINES)
def test_shares_at_1_ms(case: str, asker: str) -> None:
    o = observe_fairly(case, cpu_ms=2000, **options_of(asker))
    check_shares(o, 500)


@pytest.mark.slow
@askers("default", "nobody")
@pytest.mark.parametrize("case", ["calls and loop", "five functions", "system calls", "GIL handed over"])
def test_shares_at_10_ms(case: str, asker: str) -> None:
    o = observe_fairly(case, interval_ms=10, cpu_ms=6000, **options_of(asker))
    check_shares(o, 200)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["calls and loop", "deep and shallow"])
def test_shares_at_a_tenth_of_a_millisecond(case: str) -> None:
    """Ten times the samples: a third of the bound."""
    o = observe_fairly(case, interval_ms=0.1, cpu_ms=3000, **options_of("perf"))
    check_shares(o, 15_000)


@askers("default", "nobody", "perf", "thread", "timer")
def test_threads_at_40_30_20_10(asker: str) -> None:
    """Each thread's samples weigh what the thread used: exact with every source that met it at all."""
    o = observe_fairly("thread shares", cpu_ms=2000, **options_of(asker))
    for name, ns in o.truth.items():
        assert relative_error(o.found[name], ns) < 0.005, o


@askers("default", "nobody", "perf", "thread", "timer")
def test_threads_that_never_ran_python(asker: str) -> None:
    if c_helper() is None:
        pytest.skip("no C compiler")
    o = observe_fairly("C threads", cpu_ms=2000, **options_of(asker))
    for name, ns in o.truth.items():
        assert relative_error(o.found[name], ns) < 0.005, o
    assert relative_error(o.native_ns, sum(o.truth.values())) < 0.01, o
