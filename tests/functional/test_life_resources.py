"""What a session takes it gives back: timers, descriptors, threads, references, memory."""

from __future__ import annotations

import pytest
from life import SOURCES, in_child

pytestmark = pytest.mark.needs_native


@pytest.mark.parametrize("source", SOURCES)
def test_after_stop_everything_is_as_before(source: str, helper_library: str) -> None:
    # Hazards 17, 18, 20: timers (the first of a process has the number 0), descriptors, threads, masks, dispositions.
    told = in_child(
        """
c = helper()
c.burn_ms(1)
threading.Thread(target=spin, args=(1,)).start()  # the C library's signals are set up, and its caches are filled
stay = [threading.Thread(target=time.sleep, args=(60,), daemon=True) for _ in range(3)]
for t in stay:
    t.start()
before = wait = state()
during = []
for _ in range(5):
    spprof.start(interval_ms=1)
    gone = [threading.Thread(target=burn, args=(0.003,)) for _ in range(5)]
    for t in gone:
        t.start()
    c.start_burners(3, 3, 0)
    burn(0.02)
    during.append([timers() != "", sum("perf" in path for path in descriptors().values()) > 0, len(tasks()) > 4])
    for t in gone:
        t.join()
    while c.burners_alive():
        time.sleep(0.001)
    spprof.stop()
wait_for_tasks(before["tasks"])
after = state()
tell([{name: [repr(before[name]), repr(after[name])] for name in before if before[name] != after[name]}, during[-1]])
""",
        helper_library,
        env={"SPPROF_TICK": source},
    )
    differences, during = told
    assert differences == {}
    assert during == [source == "timer", source == "perf", True]


def test_a_thousand_sessions_leave_no_object_reference_or_memory_behind() -> None:
    # Hazards 17, 26. The limits: a leaked object, timer, descriptor or page in each session would show as 1,000 of
    # them.
    told = in_child(
        """
import gc
def work():
    spin(300)
def session(interval):
    spprof.start(interval_ms=interval)
    work()
    profile = spprof.stop()
    return profile.sample_count + len(profile.samples[:1])
def counts():
    gc.collect()
    trim()
    return [len(gc.get_objects()), sys.getrefcount(work.__code__), sys.getrefcount(work.__code__.co_name),
            sys.getrefcount(work.__code__.co_filename), sys.getrefcount(None) if sys.version_info < (3, 12) else 0,
            sys.getallocatedblocks(), rss_kb()]
for _ in range(500):  # until the allocators have what they keep
    session(0.1)
before, clean = counts(), state()
for number in range(1000):
    session((0.1, 1, 10)[number % 3])
after = counts()
tell([before, after, state() == clean])
""",
        timeout=100,
    )
    before, after, clean = told
    assert clean
    for name, old, new, slack in zip(
        ("objects", "code", "name", "file", "None", "blocks", "RSS in KB"),
        before,
        after,
        (50, 2, 5, 20, 200, 500, 2000),
    ):
        assert new - old <= slack, f"{name}: {old} before, {new} after"


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_a_thousand_sessions_of_each_source(source: str) -> None:
    # Hazards 17, 26: with threads that come and go, and samples of functions that are gone.
    told = in_child(
        """
import gc, warnings
warnings.simplefilter("ignore")  # one sample of three that was not to be had
def session():
    spprof.start(interval_ms=0.2)
    exec(compile("def f(n): return sum(i for i in range(n))\\nf(300)", "made", "exec"), {})
    t = threading.Thread(target=spin, args=(2000,))
    t.start()
    t.join()
    return spprof.stop().to_speedscope() and None
for _ in range(200):
    session()
gc.collect()
before = rss_kb(), len(descriptors()), timers()
for _ in range(1000):
    session()
gc.collect()
tell([before, [rss_kb(), len(descriptors()), timers()]])
""",
        env={"SPPROF_TICK": source},
        timeout=110,
    )
    (rss, open_files, armed), after = told
    assert after[1:] == [open_files, armed]
    assert after[0] - rss < 3000


def test_profiles_keep_their_data_when_the_next_session_runs_and_go_when_dropped() -> None:
    # Hazard 26
    told = in_child(
        """
import gc, weakref
class Marker: pass
def made(n):
    namespace = {"spin": spin}
    exec(compile(f"def made_{n}(): return spin(60_000)", f"made-{n}.py", "exec"), namespace)
    return namespace[f"made_{n}"]
profiles = []
for n in range(3):
    function = made(n)
    spprof.start(interval_ms=0.2)
    function()
    profiles.append(spprof.stop())
    if n == 0:
        gone = weakref.ref(function)
        code = weakref.ref(function.__code__)
    del function
gc.collect()
names = [sorted({f.function_name for s in p.samples for f in s.frames if f.function_name.startswith("made_")})
         for p in profiles]
function_gone = gone() is None
del profiles, p if "p" in globals() else profiles
gc.collect()
tell([names, function_gone, code() is None])
""".replace('del profiles, p if "p" in globals() else profiles', "del profiles")
    )
    assert told == [[["made_0"], ["made_1"], ["made_2"]], True, True]
