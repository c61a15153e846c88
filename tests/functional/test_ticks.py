"""Each tick is one: whatever the source does, there are as many as the CPU time that was used asks for."""

from __future__ import annotations

import json

import children
import pytest

pytestmark = pytest.mark.needs_native

# A session's first period is short now and then, and the source goes on with it until the handler has set another.
SESSIONS = """
import json, time, spprof

INTERVAL_MS, BUSY_S, SESSIONS = 1, 0.0005, 1200

def busy(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass

cpu = ticks = close = 0
source = None
for _ in range(SESSIONS):
    spprof.start(interval_ms=INTERVAL_MS)
    busy(BUSY_S)
    profile = spprof.stop()
    source = spprof.stats().tick_source
    cpu += profile.cpu_time_ns
    ticks += spprof.stats().ticks
    times = [sample.timestamp_ns for sample in profile.samples]
    close += sum(after - before < INTERVAL_MS * 1e5 for before, after in zip(times, times[1:]))
print(json.dumps([source, ticks, cpu / 1e6 / INTERVAL_MS, close]))
"""


@pytest.mark.parametrize(("source", "attempts"), [("perf", 1), ("thread", 3)])
def test_short_sessions_have_no_tick_twice(source: str, attempts: int) -> None:
    """spprof's own thread has to be let in within half a millisecond, and is not while others keep the processors busy: it may
    be wrong twice.
    """
    wrong = []
    for _ in range(attempts):
        result = children.python("-c", SESSIONS, env={"SPPROF_TICK": source})
        assert result.returncode == 0, result.stderr
        used, ticks, expected, close = json.loads(result.stdout)
        if used != source:
            pytest.skip(f"no {source} source here")
        # An interval's jitter leaves three quarters of it; less is between a tick that the machine delayed and the one after.
        if close <= 3 and abs(ticks - expected) < 5 * expected**0.5:
            return
        wrong.append((close, ticks, expected))
    pytest.fail(f"ticks within a tenth of an interval, ticks, expected ticks: {wrong}")
