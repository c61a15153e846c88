"""fork(): the child is clean, the parent undisturbed."""

from __future__ import annotations

import pytest
from life import each_source_when_slow, in_child

pytestmark = [pytest.mark.needs_native, pytest.mark.filterwarnings("ignore")]

# Runs `look` in a forked child and gives what it returns; a child that hangs is killed by its alarm.
FORK = """
import pickle, warnings
warnings.simplefilter("ignore")  # 3.12 and later warn of a fork in a program with threads
def forked(look):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            signal.alarm(20)
            answer = look()
        except BaseException as error:
            answer = repr(error)
        with open(w, "wb") as file:
            pickle.dump(answer, file)
        os._exit(0)
    os.close(w)
    with open(r, "rb") as file:
        data = file.read()
    code = os.waitpid(pid, 0)[1]
    return pickle.loads(data) if code == 0 else f"child ended with {code}"
"""


@pytest.mark.parametrize("source", each_source_when_slow())
def test_the_child_is_not_profiled_and_has_nothing_of_the_session(source: str | None) -> None:
    # Hazard 21
    told = in_child(
        FORK
        + """
plain = state()
clean = forked(lambda: (timers(), len(descriptors()), len(tasks()), disposition(signal.SIGURG)))
spprof.start(interval_ms=1)
others = [threading.Thread(target=burn, args=(0.3,)) for _ in range(3)]
for t in others:
    t.start()
def look():
    active = spprof.is_active()
    here = timers(), len(descriptors()), len(tasks()), disposition(signal.SIGURG)
    burn(0.05)
    try:
        spprof.stop()
        error = ""
    except RuntimeError as e:
        error = str(e)
    stats = spprof.stats()
    return [active, here == clean, error, stats is None or not stats.active, spprof.register_thread(),
            signal.SIGURG in signal.sigpending() or status("SigBlk") != plain["blocked"]]
children = [forked(look) for _ in range(20)]
for t in others:
    t.join()
profile = spprof.stop()
tell([children, profile.sample_count > 150])
""",
        env={"SPPROF_TICK": source},
    )
    children, sampled = told
    assert children == [[False, True, "Profiler not running", True, False, False]] * 20
    assert sampled


@pytest.mark.parametrize("source", each_source_when_slow())
def test_child_and_grandchild_run_sessions_of_their_own(source: str | None) -> None:
    # Hazards 21, 31: the parent's samples are not in the child's profile, and the parent's totals stay exact.
    told = in_child(
        FORK
        + """
def in_parent(): burn(0.15)
def in_the_child(): burn(0.15)
def session(function):
    spprof.start(interval_ms=1)
    before = time.thread_time_ns()
    function()
    used = time.thread_time_ns() - before
    profile = spprof.stop()
    names = {f.function_name for s in profile.samples for f in s.frames}
    main = profile.threads[0]
    return [sorted(names & {"in_parent", "in_the_child"}), profile.sample_count > 10,
            used <= main.cpu_ns < used * 1.01 + 2e6, profile.threads[0].thread_id == os.getpid()]
def child():
    mine = session(in_the_child)
    return [mine, forked(lambda: session(in_the_child)), state() == clean]
clean = state()
spprof.start(interval_ms=1)
before = time.thread_time_ns()
in_parent()
one = forked(lambda: child()[:2])
in_parent()
used = time.thread_time_ns() - before
profile = spprof.stop()
names = {f.function_name for s in profile.samples for f in s.frames}
tell([one, sorted(names & {"in_parent", "in_the_child"}), profile.threads[0].cpu_ns, used])
""",
        env={"SPPROF_TICK": source},
    )
    (child, grandchild), names, cpu, used = told
    assert child == grandchild == [["in_the_child"], True, True, True]
    assert names == ["in_parent"]
    assert used <= cpu < used * 1.005 + 2e6  # and the rest of start() and stop()


def test_generations_of_forks_keep_the_true_rate() -> None:
    # Hazard 21: what the parents' sessions held is not counted against the child's descriptors.
    told = in_child(
        FORK
        + """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
def generation(n):
    spprof.start(interval_ms=1)
    threads = [threading.Thread(target=time.sleep, args=(0.2,)) for _ in range(4)]
    for t in threads:
        t.start()
    deeper = forked(lambda: generation(n - 1)) if n else []
    for t in threads:
        t.join()
    return [dict(spprof.stop().stats.threads_by_source)] + deeper
tell(generation(6))
""",
        env={"SPPROF_TICK": None},
    )
    assert all(sources == told[0] for sources in told), told


def test_fork_in_a_thread_and_while_others_start_stop_and_run() -> None:
    # Hazard 21: whatever lock a vanished thread held, the child can use the profiler and end.
    told = in_child(
        FORK
        + """
alarm_in(50)
end = time.monotonic() + 3
wrong, counts = [], [0, 0]
def starter():
    while time.monotonic() < end:
        spprof.start(interval_ms=0.2)
        spin(20_000)
        spprof.stats()
        spprof.stop()
        counts[0] += 1
def churner():
    while time.monotonic() < end:
        t = threading.Thread(target=spin, args=(500,))
        t.start()
        t.join()
        exec(compile("sum(range(100))", "made", "exec"))
def child():
    if spprof.is_active():
        return "active"
    spprof.start(interval_ms=1)
    burn(0.01)
    return [[t.thread_id == os.getpid(), *t] for t in spprof.stop().threads]
def forker():
    while time.monotonic() < end:
        answer = forked(child)
        counts[1] += 1
        if len(answer) != 1 or not answer[0][0]:
            wrong.append(answer)
threads = [threading.Thread(target=f) for f in (starter, churner, forker)]
for t in threads:
    t.start()
for t in threads:
    t.join()
tell([wrong, counts])
"""
    )
    wrong, (sessions, forks) = told
    assert wrong == []
    assert sessions > 10 and forks > 10


def test_a_library_that_joins_its_threads_before_a_fork_does_not_hang(helper_library: str) -> None:
    # Hazard 21: OpenBLAS does that. The thread ends while the fork holds the session's locks.
    told = in_child(
        FORK
        + """
alarm_in(40)
c = helper()
c.pool_that_ends_before_fork()
spprof.start(interval_ms=0.5)
answers = []
for _ in range(10):
    c.pool_burns(60)
    answers.append(forked(spprof.is_active))
c.pool_burns(60)
profile = spprof.stop()
pools = [t for t in profile.threads if t.thread_id not in (0, threading.get_native_id()) and t.cpu_ns > 50e6]
tell([answers, len(pools), [t.cpu_ns for t in pools if not t.samples]])
""",
        helper_library,
    )
    answers, pools, deaf = told
    assert answers == [False] * 10
    # Each used 60 ms, most of them after it was found (a walk over the threads every few ms): none of them is deaf,
    # though a fork's own hooks started them.
    assert pools == 11 and deaf == []


@pytest.mark.parametrize("source", each_source_when_slow())
def test_a_process_of_2_gb_still_forks_under_a_fast_tick(source: str | None) -> None:
    # Hazard 21: the page tables take longer to copy than the tick; a signal makes the kernel start over.
    told = in_child(
        """
import mmap
big = mmap.mmap(-1, 2 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
big.madvise(15)  # no huge pages: every page has an entry of its own
for at in range(0, len(big), 4096):
    big[at] = 1
def fork():
    begin = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    took = time.monotonic() - begin
    os.waitpid(pid, 0)
    return took
import warnings
warnings.simplefilter("ignore")
plain = min(fork() for _ in range(3))
spprof.start(interval_ms=1)
threads = [threading.Thread(target=burn, args=(0.3,)) for _ in range(2)]
for t in threads:
    t.start()
times = [fork() for _ in range(5)]
for t in threads:
    t.join()
spprof.stop()
tell([plain, times])
""",
        env={"SPPROF_TICK": source},
    )
    plain, times = told
    # the page tables of 2 GB take milliseconds, more than a tick
    assert plain > 0.002
    assert len(times) == 5


@pytest.mark.parametrize("interval_ms", [1, 10_000])
@pytest.mark.parametrize("mode", ["cpu", "wall"])
def test_a_child_that_a_thread_forks_ends_with_that_thread(mode: str, interval_ms: int) -> None:
    # Hazard 21: no thread of spprof's keeps it alive, although nobody calls stop(); also if that thread never got a tick.
    told = in_child(
        FORK
        + """
ended = []
def forks():
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        spprof.start(interval_ms=float(sys.argv[2]), mode=sys.argv[1], asyncio=False)
        burn(0.02)
        return
    ended.append(os.waitpid(pid, 0)[1])
t = threading.Thread(target=forks)
t.start()
t.join()
tell(ended)
""",
        mode,
        str(interval_ms),
    )
    assert told == [0]
