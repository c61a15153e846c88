"""Programs that wake on the clock, as every server with timers does. A sampler that wakes on the same tick finds them
in the same place again and again: the CPU timer's error here is 25 points."""

from __future__ import annotations

import pytest
from observe import askers, observe_fairly, options_of, paranoid
from test_shares import check_shares

pytestmark = pytest.mark.needs_native

LOOPS = ["clock-locked 10 ms", "clock-locked 4 ms"]


@askers("default", "nobody", "perf", "thread", quick=("default", "nobody"))
@pytest.mark.parametrize("case", LOOPS)
def test_at_1_ms(case: str, asker: str) -> None:
    check_shares(observe_fairly(case, cpu_ms=2000, **options_of(asker)), 500)


@pytest.mark.slow
@askers("default", "nobody")
@pytest.mark.parametrize("case", LOOPS)
def test_at_10_ms(case: str, asker: str) -> None:
    check_shares(observe_fairly(case, interval_ms=10, cpu_ms=4000, **options_of(asker)), 100)


def test_who_may_not_use_perf_gets_the_sampler_thread() -> None:
    if paranoid() <= 1:
        pytest.skip("perf is granted to everybody here")
    o = observe_fairly(LOOPS[0], cpu_ms=2000, **options_of("nobody"))
    assert o.stats["tick_source"] == "thread", o
    assert "perf_event_open" in o.stats["tick_reason"], o
