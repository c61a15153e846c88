"""Little stack, deep stacks, and what the handler itself needs."""

from __future__ import annotations

import pytest
from life import in_child

pytestmark = pytest.mark.needs_native


@pytest.mark.parametrize("depth", [1, 20, 1500])
def test_the_handler_uses_less_than_2_kb(depth: int, helper_library: str) -> None:
    # Hazard 3: a painted signal stack, looked at after hundreds of ticks; less what the kernel put there itself.
    told = in_child(
        f"""
import warnings
warnings.simplefilter("ignore")  # of losses: a busy machine may not drain the deepest stacks in time
c = helper()
sys.setrecursionlimit(5000)
def down(n):
    return down(n - 1) + 1 if n else burn(0.4) or 0
kernel = c.paint_signal_stack(1 << 17)
spprof.start(interval_ms=0.5)
down({depth})
used = c.signal_stack_used()
samples = spprof.stop().sample_count
c.unpaint_signal_stack()
tell([kernel, used, samples])
""",
        helper_library,
    )
    kernel, used, samples = told
    assert samples > 100
    assert 0 < kernel < used
    assert used - kernel < 2048, told


@pytest.mark.parametrize("kb", [48, 64])
def test_threads_with_small_stacks(kb: int) -> None:
    # Hazard 3: less would not do for the interpreter itself.
    told = in_child(
        f"""
try:
    threading.stack_size({kb} * 1024)
except ValueError:  # too little for this Python
    tell(None)
    sys.exit()
def small():
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for i in range(200):
            total = i * i
    done.append(1)
done = []
spprof.start(interval_ms=0.1)
threads = [threading.Thread(target=small) for _ in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
profile = spprof.stop()
tell([len(done), profile.sample_count > 500, profile.stats.validation_drops])
"""
    )
    if told is None:
        pytest.skip("too little for this Python")
    assert told == [8, True, 0]


@pytest.mark.parametrize("limit", [1000, 5000])
def test_recursion_to_the_limit_ends_as_without_a_profiler(limit: int) -> None:
    # Hazards 3, 12: RecursionError at the same depth; a stack that is cut says so, and keeps root and leaf.
    told = in_child(
        f"""
sys.setrecursionlimit({limit})
threading.stack_size(64 << 20)
def down(n):
    global deepest
    deepest = n
    down(n + 1)
def once():
    try:
        down(0)
    except RecursionError as error:
        return deepest, str(error)[:30]
def bottom(n):
    return bottom(n - 1) + 1 if n else burn(0.02) or 0
def work():
    plain = once()
    spprof.start(interval_ms=0.1)
    end = time.thread_time() + 0.5
    answers = set()
    while time.thread_time() < end:
        answers.add(once())
    bottom({limit} - 100)
    profile = spprof.stop()
    cut = whole = 0
    for s in profile.samples:
        names = [f.function_name for f in s.frames]
        if "[truncated]" in names:
            cut += 1
            assert len(names) <= 1026, len(names)
            assert "work" in names[:6] and names[-1] in ("down", "bottom", "burn", "spin", "once"), names[-3:]
        else:
            whole += 1
    answer.append([[list(a) for a in answers] == [list(plain)], cut, whole, profile.stats.validation_drops])
answer = []
t = threading.Thread(target=work)
t.start()
t.join()
tell(answer[0])
"""
    )
    same, cut, whole, invalid = told
    assert same and invalid == 0 and whole > 20
    assert (cut > 20) == (limit == 5000)


@pytest.mark.parametrize("source", ["perf", "thread"])
def test_a_handler_that_takes_longer_than_the_interval_does_not_stop_the_program(source: str) -> None:
    # Hazards 3, 21: without a pause the next tick would be there whenever the handler returns. An interval of 10 us
    # (the API allows 100) and a stack that takes longer to walk; the program gets its share, and totals stay exact.
    told = in_child(
        f"""
alarm_in(50)
sys.setrecursionlimit(20_000)
threading.stack_size(256 << 20)
def down(n):
    return down(n - 1) + 1 if n else spin(400_000) and 0
def work():
    begin = time.thread_time_ns()
    down(15_000)
    return time.thread_time_ns() - begin
def measured():
    plain = work()
    spprof._native.start(interval_ns=10_000, memory_limit=1 << 26, tick={source!r}, mode="cpu", thread_names={{}})
    own = threading.get_native_id()
    used = work()
    spprof._native.halt()
    raw = spprof._native.collect({{}}, None)
    thread = [t for t in raw["threads"] if t["thread_id"] == own][0]
    answer.append([plain, used, thread["cpu_ns"], thread["samples"] + thread["dropped"]])
answer = []
t = threading.Thread(target=measured)
t.start()
t.join()
tell(answer[0])
"""
    )
    plain, used, booked, samples = told
    assert samples > 10
    assert used <= booked < used * 1.05 + 3e6
    assert used < 10 * plain, f"{used / plain:.1f} times the CPU"
