"""Elapsed time: every thread, running or not, with what it waits for; told by the thread itself beforehand."""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

import pytest
from life import in_child

import spprof

pytestmark = pytest.mark.needs_native

# Threads that note their own stack (function, line) and then wait, each in its own way.
WAITERS = """
import select, socket, subprocess, queue
told = {}
def note():
    # the caller's stack, and the line that follows, on which it waits
    frame, stack = sys._getframe(1), []
    here = frame
    while frame is not None:
        stack.append((frame.f_code.co_name, frame.f_lineno + (frame is here)))
        frame = frame.f_back
    told[threading.current_thread().name] = stack[::-1]
a, b = socket.socketpair()
lock = threading.Lock()
lock.acquire()
never = threading.Event()
def sleeps():
    note()
    time.sleep(SECONDS)
def locks():
    note()
    lock.acquire(timeout=SECONDS)
def receives():
    a.settimeout(SECONDS)
    try:
        note()
        a.recv(1)
    except OSError: pass
def selects():
    note()
    select.select([b], [], [], SECONDS)
def waits_for_a_child():
    child = subprocess.Popen([sys.executable, "-S", "-c", f"import time; time.sleep({SECONDS})"])
    note()
    os.waitpid(child.pid, 0)
def deep(n=150):
    if n:
        deep(n - 1)
    else:
        note()
        time.sleep(SECONDS)
def generator():
    def inner():
        note()
        time.sleep(SECONDS)
        yield 1
    def outer():
        yield from inner()
    list(outer())
KINDS = {"sleeps": "sleep", "locks": "lock", "receives": "I/O", "selects": "I/O", "waits_for_a_child": "process",
         "deep": "sleep", "generator": "sleep"}
def main_sleeps():
    # the main thread, while another one starts and stops
    note()
    time.sleep(SECONDS)
threads = [threading.Thread(target=globals()[kind], name=kind) for kind in KINDS]
def show(sample):
    return [(f.function_name.rpartition(".")[2], f.lineno) for f in sample.frames]
"""


@pytest.mark.parametrize("reader", [None, "mem", "pipe"])
def test_a_sleep_that_began_before_the_start_is_shown_with_its_stack(reader: str | None) -> None:
    found = in_child(
        WAITERS.replace("SECONDS", "1.0")
        + """
for t in threads: t.start()
while len(told) < len(KINDS): time.sleep(0.01)
time.sleep(0.2)  # all of them are asleep by now
spprof.start(interval_ms=5, mode="wall")
time.sleep(0.3)
profile = spprof.stop()
for t in threads: t.join()
result = {}
for sample in profile.samples:
    if sample.thread_name in KINDS:
        stack = show(sample)
        expected = [list(x) for x in told[sample.thread_name]]
        right = [list(x) for x in stack] == expected
        result.setdefault(sample.thread_name, []).append(
            [sample.state, sample.waiting_for, right, stack[-3:], expected[-3:], sample.weight_ns, sample.cpu_ns])
stats = profile.stats
tell([result, KINDS, stats.outside_reader, stats.validation_drops, stats.duration_ns, stats.mode])
""",
        env={"SPPROF_COPY": reader},
    )
    result, kinds, way, refused, duration, mode = found
    assert way.startswith({None: "process_vm_readv", "mem": "/proc/self/mem", "pipe": "pipe"}[reader])
    assert mode == "wall" and refused == 0
    assert set(result) == set(kinds)
    for name, samples in result.items():
        # One sample for the whole sleep, whose weight is all of the thread's time.
        assert len(samples) == 1, (name, samples)
        state, waiting_for, right, got, expected, weight, cpu = samples[0]
        assert (state, waiting_for) == ("sleeping", kinds[name]), name
        assert right, (name, got, expected)
        assert abs(weight - duration) < 0.02 * duration + 5_000_000
        assert cpu == 0


def test_the_main_thread_asleep_is_read_by_others() -> None:
    found = in_child(
        WAITERS.replace("SECONDS", "0.6")
        + """
result = []
def other():
    time.sleep(0.1)
    spprof.start(interval_ms=5, mode="wall")
    time.sleep(0.2)
    profile = spprof.stop()
    result.extend((show(s), s.state, s.weight_ns) for s in profile.samples if s.thread_name == "MainThread")
t = threading.Thread(target=other)
t.start()
main_sleeps()
t.join()
tell([result, told["MainThread"]])
"""
    )
    (sample,), expected = found
    assert sample[0] == expected and sample[1] == "sleeping"
    assert 180_000_000 < sample[2] < 400_000_000


def test_weights_add_up_to_each_threads_life_and_cpu_times_to_its_clock() -> None:
    found = in_child(
        """
seen = {}
def work():
    begin = time.monotonic_ns()
    for _ in range(4):
        burn(0.03)
        time.sleep(0.05)
    seen[threading.current_thread().name] = [time.monotonic_ns() - begin, time.thread_time_ns()]
spprof.start(interval_ms=2, mode="wall")
threads = [threading.Thread(target=work, name=f"w{i}") for i in range(4)]
began = time.monotonic_ns()
for t in threads: t.start()
for t in threads: t.join()
outside = time.monotonic_ns() - began
profile = spprof.stop()
sums = {}
for s in profile.samples:
    entry = sums.setdefault(s.thread_id, [0, 0, 0, 0])
    entry[0] += s.weight_ns
    entry[1] += s.cpu_ns
    entry[2] += s.weight_ns if s.state == "running" else 0
    entry[3] += s.cpu_ns if s.state == "sleeping" else 0
threads = [[t._asdict(), t.time_ns, sums.get(t.thread_id, [0, 0, 0, 0])] for t in profile.threads]
tell([threads, seen, profile.cpu_time_ns, outside, profile.gil_contention])
"""
    )
    threads, seen, cpu_time, outside, contention = found
    assert len([t for t, _, _ in threads if t["name"] in seen]) == 4
    total_cpu = 0
    for thread, time_ns, (weight, cpu, running, sleeping_cpu) in threads:
        total_cpu += thread["cpu_ns"]
        assert weight == thread["sampled_ns"]
        assert time_ns == thread["wall_ns"] == weight + thread["unsampled_ns"] + thread["dropped_ns"]
        assert cpu + thread["cpu_unsampled_ns"] == thread["cpu_ns"]
        assert thread["running_ns"] + thread["gil_wait_ns"] + thread["sleeping_ns"] == weight
        assert running == thread["running_ns"] and sleeping_cpu == 0  # who sleeps uses no CPU
        if thread["name"] in seen:
            lived, used = seen[thread["name"]]
            assert lived <= thread["wall_ns"] <= outside  # born before its first line, gone before it was joined
            assert used <= thread["cpu_ns"] < used * 1.01 + 1_000_000
    assert total_cpu == cpu_time
    if not spprof._native.free_threaded_build:
        assert 0 < contention < 1  # four threads compute under one GIL, and then sleep


def test_shares_of_a_program_that_knows_them() -> None:
    """One thread computes, sleeps and waits for a lock in turns, as long as it measures itself."""
    found = in_child(
        """
truth = {"computes": 0, "naps": 0, "queues": 0}
lock = threading.Lock()
lock.acquire()
def computes(): burn(0.004)
def naps(): time.sleep(0.006)
def queues(): lock.acquire(timeout=0.003)
def work():
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        for part in (computes, naps, queues):
            begin = time.monotonic_ns()
            part()
            truth[part.__name__] += time.monotonic_ns() - begin
    starved.append(processor_wait_ns(threading.get_native_id()))
starved = []
spprof.start(interval_ms=3.7, mode="wall")
t = threading.Thread(target=work, name="work")
t.start()
t.join()
starved.append(processor_wait_ns())
profile = spprof.stop()
found, looks = {}, 0
for s in profile.samples:
    for frame in s.frames:
        if frame.function_name in truth:
            entry = found.setdefault(frame.function_name, {})
            key = s.state + " " + s.waiting_for
            entry[key] = entry.get(key, 0) + s.weight_ns
tell([truth, found, profile.stats.ticks, [t.cpu_ns for t in profile.threads if t.name == "work"][0],
      sum(s.cpu_ns for s in profile.samples if s.frames[-1].function_name in ("spin", "burn", "computes")), starved])
"""
    )
    truth, parts, looks, cpu_ns, cpu_in_compute, starved = found
    whole = sum(truth.values())
    for name, true_ns in truth.items():
        share = true_ns / whole
        bound = 4 * (share * (1 - share) / looks) ** 0.5 + 1 / looks + sum(starved) / whole
        got = sum(parts[name].values()) / whole
        assert abs(got - share) < bound, (name, share, got, bound)
    assert max(parts["naps"], key=parts["naps"].get) == "sleeping sleep"
    assert max(parts["queues"], key=parts["queues"].get) == "sleeping lock"
    assert max(parts["computes"], key=parts["computes"].get) == "running "
    assert cpu_in_compute > 0.9 * cpu_ns


def test_the_gil_who_waits_and_who_holds_it() -> None:
    if spprof._native.free_threaded_build:
        pytest.skip("this interpreter has no GIL")
    code = """
def work(): burn(0.4)
spprof.start(interval_ms=2, mode=MODE)
threads = [threading.Thread(target=work, name=f"w{i}") for i in range(3)]
for t in threads: t.start()
for t in threads: t.join()
starved = processor_wait_ns()
profile = spprof.stop()
tell([starved, [[t.name, t.time_ns, t.running_ns, t.gil_wait_ns, t.cpu_ns] for t in profile.threads if t.name[0] == "w"],
      profile.gil_contention, profile.stats.duration_ns, profile.mode,
      sum(s.weight_ns for s in profile.samples if any(f.function_name == "work" for f in s.frames))])
"""
    # What follows is loose, and more so by the time in which none of the three, or not the sampler, had a processor.
    starved, threads, contention, duration, mode, _ = in_child(code.replace("MODE", "'wall'"))
    lost = max(0, duration - sum(thread[4] for thread in threads)) + starved
    assert mode == "wall"
    assert contention * duration > 0.7 * duration - lost
    running = sum(thread[2] for thread in threads)
    waiting = sum(thread[3] for thread in threads)
    # One of three has it, the others wait.
    assert 0.8 * duration - lost < running < 1.25 * duration + lost
    assert 1.5 * running - 3 * lost < waiting < 2.5 * running + 3 * lost
    starved, threads, contention, duration, mode, in_work = in_child(code.replace("MODE", "'gil'"))
    lost = max(0, duration - sum(thread[4] for thread in threads)) + starved
    assert mode == "gil" and contention is None
    held = sum(thread[1] for thread in threads)
    assert 0.8 * duration - lost < held <= 1.02 * duration
    assert in_work > 0.95 * held
    for _, time_ns, *_ in threads:
        assert 0.2 * held - lost < time_ns < 0.5 * held + lost


def test_outputs_have_both_times() -> None:
    spprof.start(interval_ms=1, mode="wall")
    import time

    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    time.sleep(0.05)
    profile = spprof.stop()
    for each in (profile, pickle.loads(pickle.dumps(profile)), profile.aggregate()):
        document: dict[str, Any] = each.to_speedscope()
        by_name = {p["name"]: p for p in document["profiles"]}
        main = next(t for t in profile.threads if t.name == "MainThread")
        assert sum(by_name["MainThread"]["weights"]) == main.wall_ns
        assert sum(by_name["MainThread (CPU time)"]["weights"]) == main.cpu_ns
        assert document["activeProfileIndex"] == 0
    assert [s._asdict() for s in pickle.loads(pickle.dumps(profile)).samples] == [s._asdict() for s in profile.samples]
    assert [s.state for s in profile.samples] == [profile.samples[i].state for i in range(profile.sample_count)]
    text = json.dumps(profile.stats.to_dict())
    assert json.loads(text)["mode"] == "wall"


def test_no_call_that_sleeps_is_interrupted() -> None:
    found = in_child(
        """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
class Timespec(ctypes.Structure): _fields_ = [("s", ctypes.c_long), ("ns", ctypes.c_long)]
a, b = os.pipe()
FUTEX = {"x86_64": 202, "aarch64": 98}[os.uname().machine]
word = ctypes.c_int(0)
epoll = libc.epoll_create1(0)
until = time.monotonic() + 1.5
def left(): return max(0.0, until - time.monotonic())
def ts(): return ctypes.byref(Timespec(int(left()), int(left() % 1 * 1e9)))
event = ctypes.create_string_buffer(16)
CALLS = {
    "nanosleep": lambda: libc.nanosleep(ts(), None),
    "poll": lambda: libc.poll(None, 0, int(left() * 1000)),
    "select": lambda: libc.pselect(0, None, None, None, ts(), None),
    "epoll_wait": lambda: libc.epoll_wait(epoll, event, 1, int(left() * 1000)),
    "futex": lambda: -1 if libc.syscall(FUTEX, ctypes.byref(word), 128, 0, ts(), None, 0) and ctypes.get_errno() != 110 else 0,
    "read": lambda: 0 if libc.read(a, event, 1) == 1 else -1,
}
interrupted = []
def sleeper(name):
    if CALLS[name]() != 0: interrupted.append([name, ctypes.get_errno()])
threads = [threading.Thread(target=sleeper, args=(name,)) for name in list(CALLS) * 2]
for t in threads: t.start()
time.sleep(0.2)  # all asleep: none may notice what comes now
spprof.start(interval_ms=0.5, mode="wall")
burn(0.8)  # somebody to be signalled
profile = spprof.stop()
time.sleep(left())
os.write(b, b"xx")
for t in threads: t.join()
tell([interrupted, profile.stats.handler_calls])
"""
    )
    interrupted, signals = found
    assert interrupted == []
    assert signals > 300


class TestArguments:
    def test_modes(self) -> None:
        for wrong in ("cpu time", "", "WALL"):
            with pytest.raises(ValueError, match="mode must be one of 'cpu', 'wall', 'gil' or None, not "):
                spprof.start(mode=wrong)
        with pytest.raises(TypeError, match=r"mode must be one of .* not int"):
            spprof.start(mode=3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="mode must be one of"):
            spprof.Profiler(mode="x")
        with pytest.raises(ValueError, match="mode must be one of"):
            spprof.profile(mode="x")
        assert not spprof.is_active()

    def test_scoped(self) -> None:
        with spprof.Profiler(5, mode="wall") as p:
            pass
        assert p.profile is not None and p.profile.mode == "wall"

        @spprof.profile(mode="wall")
        def decorated() -> int:
            return 3

        assert decorated() == 3 and decorated.last_profile.mode == "wall"  # type: ignore[attr-defined]

    @pytest.mark.skipif(not (spprof._native and spprof._native.free_threaded_build), reason="has a GIL")
    def test_gil_mode_without_a_gil(self) -> None:
        with pytest.raises(ValueError, match="free-threaded"):
            spprof.start(mode="gil")


def test_stats_while_it_runs() -> None:
    import time

    spprof.start(interval_ms=1, mode="wall")
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        pass
    stats = spprof.stats()
    assert stats is not None and stats.mode == "wall" and stats.active and stats.looks > 10
    assert "wall clock" in str(stats)
    profile = spprof.stop()
    assert sys.getrefcount(profile) > 0 and profile.stats.outside_reads >= 0


def test_a_thread_that_blocks_the_signal_runs_all_the_same() -> None:
    found = in_child(
        """
def work():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    burn(0.3)
    time.sleep(0.3)
    burn(0.2)
    starved.append(processor_wait_ns(threading.get_native_id()))
starved = []
spprof.start(interval_ms=5, mode="wall")
t = threading.Thread(target=work, name="work")
t.start()
t.join()
starved.append(processor_wait_ns())
profile = spprof.stop()
(thread,) = [t for t in profile.threads if t.name == "work"]
names = {}
for s in profile.samples:
    if s.thread_name == "work":
        names[s.frames[-1].function_name] = names.get(s.frames[-1].function_name, 0) + s.weight_ns
tell([thread.running_ns, thread.sleeping_ns, thread.wall_ns, sum(s.cpu_ns for s in profile.samples), thread.cpu_ns, names,
      sum(starved)])
"""
    )
    running, sleeping, wall, cpu_of_samples, cpu, names, starved = found
    assert abs(sleeping - 0.3e9) < 0.05e9 + starved
    assert running > 0.45e9 - starved and names["[running]"] > 0.4e9 - starved
    assert running + sleeping <= wall
    assert cpu_of_samples > 0.9 * cpu


def test_a_thread_that_blocks_the_signal_and_naps_sleeps_all_the_same() -> None:
    """That it doesn't answer is found out once, not at each of its naps; and what it ran for last isn't its last sleep."""
    found = in_child(
        """
told = []
def work():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    napped = ran = 0
    for turn in range(15):
        begin = time.monotonic_ns()
        burn(0.02)
        between = time.monotonic_ns()
        ran += between - begin
        if turn < 14:
            time.sleep(0.04)
            napped += time.monotonic_ns() - between
    told.extend([ran, napped, processor_wait_ns(threading.get_native_id())])
spprof.start(interval_ms=2, mode="wall")
t = threading.Thread(target=work, name="work")
t.start()
t.join()
starved = processor_wait_ns()
profile = spprof.stop()
(thread,) = [t for t in profile.threads if t.name == "work"]
last = [s for s in profile.samples if s.thread_name == "work"][-1]
tell([told, starved, thread.running_ns, thread.sleeping_ns, thread.gil_wait_ns, thread.wall_ns, last.state, last.weight_ns])
"""
    )
    (ran, napped, _), _, running, sleeping, gil, wall, last_state, last_weight = found
    starved = found[0][2] + found[1]
    assert running + sleeping + gil <= wall
    # It is waited for once: 50 ms and four intervals. A look every 2 ms tells to within one where each nap begins and ends.
    assert abs(napped - sleeping) < 58_000_000 + 28 * 2_000_000 + starved, found
    assert abs(ran - running - gil) < 58_000_000 + 28 * 2_000_000 + starved, found
    assert last_state == "running" and 10_000_000 < last_weight < 40_000_000 + starved, found
