"""Ctrl-C in the middle of start() and stop(), by real signals at random moments."""

from __future__ import annotations

import pytest
from life import in_child

pytestmark = pytest.mark.needs_native


def test_ctrl_c_at_random_moments_of_stop_loses_nothing() -> None:
    # Hazard 23: never both "already running" and "not running"; the profile comes from the next stop(), or along with
    # the interrupt.
    told = in_child(
        """
import random
random.seed(4)
def function(): spin(6000)
# all of its ticks, some perhaps merged into few samples on a machine that stood still for a moment
def whole(profile): return profile.stats.ticks >= 10 and profile.cpu_time_ns == sum(
    [s.weight_ns for s in profile.samples] + [l.weight_ns for l in profile.losses])
outcomes = {"not hit": 0, "with the interrupt": 0, "by the next stop": 0, "before it began": 0}
wrong = []
took = 0.002
for number in range(200):
    spprof.start(interval_ms=0.1)
    for _ in range(40):  # some ms: a machine under load ticks late
        function()
    profile, hit = None, False
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, random.random() * took * 1.2))
            begin = time.perf_counter()
            profile = spprof.stop()
            took = 0.9 * took + 0.1 * (time.perf_counter() - begin)
            outcome = "not hit"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            time.sleep(0)
    except KeyboardInterrupt as interrupt:
        hit = True
        active = spprof.is_active()
        if profile is None:
            profile = getattr(interrupt, "profile", None)
            outcome = "with the interrupt"
        if profile is None:
            outcome = "before it began" if active else "by the next stop"
            try:
                profile = spprof.stop()
            except RuntimeError as error:
                wrong.append([number, str(error), active])
    outcomes[outcome] += 1
    if profile is not None and not whole(profile):
        wrong.append([number, "lost", outcome])
    try:
        spprof.start(interval_ms=10)
        spprof.stop()
    except RuntimeError as error:
        wrong.append([number, "after: " + str(error), outcome])
tell([wrong, outcomes])
""".replace("import random\n", "import random\nsignal.signal(signal.SIGALRM, signal.default_int_handler)\n"),
        timeout=100,
    )
    wrong, outcomes = told
    assert wrong == []
    assert sum(outcomes.values()) == 200
    assert outcomes["by the next stop"] + outcomes["with the interrupt"] > 20, outcomes


def test_ctrl_c_at_random_moments_of_start() -> None:
    # Hazard 23: afterwards it runs or it does not, and either answer is true.
    told = in_child(
        """
import random
signal.signal(signal.SIGALRM, signal.default_int_handler)
random.seed(5)
spprof.start()
spprof.stop()
before = state()
wrong, hits, took = [], 0, 0.001
for number in range(200):
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, random.random() * took * 1.5))
            begin = time.perf_counter()
            spprof.start(interval_ms=1)
            took = 0.9 * took + 0.1 * (time.perf_counter() - begin)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            time.sleep(0)
    except KeyboardInterrupt:
        hits += 1
    if spprof.is_active():
        spprof.stop()
    else:
        try:
            spprof.stop()
            wrong.append([number, "stopped what was not active"])
        except RuntimeError:
            pass
    try:
        spprof.start()
        spprof.stop()
    except RuntimeError as error:
        wrong.append([number, str(error)])
wait_for_tasks(before["tasks"])
tell([wrong, hits, state() == before])
""",
        timeout=100,
    )
    wrong, hits, clean = told
    assert wrong == [] and clean
    assert hits > 20
