"""A process that is killed leaves its `.spprof` file: everything but about the last second (docs/adr/0028)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from children import environment, python
from children import spprof as command
from life import in_child

import spprof

pytestmark = pytest.mark.skipif(not spprof._backend.has_native, reason="the fallback's file does not grow")

HERE = Path(__file__).parent.parent

# For children: works until the file has some samples. The program decides when, so that no test depends on a machine's speed.
QUICK = """
import os, sys, time, spprof
from life import burn
from spprof import _stream
_stream.PERIOD_S = .05
def burn_until_grown(path):
    end = time.monotonic() + 40
    while time.monotonic() < end:
        burn(.03)
        try:
            if spprof.Profile.load(path).sample_count > 0: return
        except (OSError, spprof.ProfileFileError): pass
    raise TimeoutError(path)
"""

# Two threads that work, in functions of their own, and whose CPU clocks are told; one that sleeps; some that come and go.
PROGRAM = """
import os, sys, threading, time, spprof
def hot_first(): return sum(i * i for i in range(3000))
def hot_second():
    return sum(i + 3 for i in range(3000))
def worker(function):
    while True:
        for _ in range(10): function()
        time.sleep(.002)  # beside two threads that never sleep a third may get nothing for seconds, spprof or not
def sleeper(): time.sleep(1000)
def brief():
    for _ in range(20): hot_second()
options = eval(sys.argv[2])
spprof.start(interval_ms=1, output_path=sys.argv[1], **options)
begin = time.monotonic_ns()
workers = {}
for name, function in (("first", hot_first), ("second", hot_second)):
    workers[name] = threading.Thread(target=worker, args=(function,), name=name, daemon=True)
    workers[name].start()
threading.Thread(target=sleeper, name="sleeper", daemon=True).start()
import json
while True:
    brief_one = threading.Thread(target=brief, name="brief"); brief_one.start(); brief_one.join()
    # Asked from here, and not by each worker all the time: who reads its own clock thousands of times a second starves others.
    told = {name: time.clock_gettime_ns(time.pthread_getcpuclockid(w.ident)) for name, w in workers.items()}
    print(json.dumps([time.monotonic_ns() - begin, told]), flush=True)
    time.sleep(.02)
"""


def killed(path: Path, options: dict[str, Any], after_s: float | None) -> list[Any]:
    """Runs the program, and kills it; what it told, and when: [ns since its start, {thread: ns of CPU}].

    after_s: None: when the file has samples of both threads.
    """
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), repr(options)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment({"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}),
    )
    assert child.stdout is not None
    lines = [child.stdout.readline()]  # it runs
    end = time.monotonic() + (40 if after_s is None else after_s)
    while time.monotonic() < end and not (after_s is None and has_both(path)):
        lines.append(child.stdout.readline())
    child.kill()
    assert child.wait(30) == -signal.SIGKILL
    lines.extend(child.stdout.read().splitlines(keepends=True))
    child.stdout.close()
    return [json.loads(line) for line in lines if line.endswith("\n") and line.strip()]


def has_both(path: Path) -> bool:
    try:
        profile = spprof.Profile.load(path)
    except (OSError, spprof.ProfileFileError):
        return False
    return {"first", "second", "brief"} <= {
        thread.name for thread in profile.threads if thread.samples > 5 or thread.name == "brief"
    }


def check(profile: spprof.Profile, told: list[Any]) -> None:
    """Sums are exact in themselves, and are what the program told of itself when the file was last written."""
    assert profile.is_unfinished
    until_ns = profile._facts.duration_ns
    wall = profile.mode == "wall"
    by_thread = [0] * len(profile.threads)
    cpu = [0] * len(profile.threads)
    for row, thread in enumerate(profile._rows.thread_index):
        by_thread[thread] += profile._rows.weights[row]
        cpu[thread] += profile._rows.weights[row] if profile._rows.cpu is None else profile._rows.cpu[row]
    for thread_info, weight, used in zip(profile.threads, by_thread, cpu):
        assert thread_info.sampled_ns == weight
        assert thread_info.sampled_ns + thread_info.unsampled_ns + thread_info.dropped_ns == thread_info.time_ns
        assert used + thread_info.cpu_unsampled_ns == thread_info.cpu_ns
    assert profile.cpu_time_ns == sum(thread.cpu_ns for thread in profile.threads)
    assert profile._rows.times.tolist() == sorted(profile._rows.times)
    threads = {thread.name: thread for thread in profile.threads}
    # The clocks are read between what was told before and after; half a second for a busy machine's pauses.
    before = [clocks for at, clocks in told if at <= until_ns - 500_000_000]
    after = [clocks for at, clocks in told if at >= until_ns + 500_000_000]
    for name, function in (("first", "hot_first"), ("second", "hot_second")):
        if before:
            assert threads[name].cpu_ns >= before[-1].get(name, 0)
        if after:
            assert threads[name].cpu_ns <= after[0].get(name, 2**63) + 20_000_000
        samples = [sample for sample in profile.samples if sample.thread_name == name]
        mine = [s for s in samples if any(f.function_name.startswith(function) for f in s.frames)]
        other = "hot_second" if function == "hot_first" else "hot_first"
        assert mine and not any(f.function_name.startswith(other) for s in samples for f in s.frames)
    assert "brief" in threads
    if wall:
        sleeping = [s for s in profile.samples if s.thread_name == "sleeper" and s.waiting_for == "sleep"]
        whole = threads["sleeper"]
        assert abs(whole.wall_ns - whole.sampled_ns) < 1_000_000_000
        assert sum(s.weight_ns for s in sleeping) > 0.5 * whole.wall_ns - 500_000_000
        assert all(s.frames[-1].function_name == "sleeper" for s in sleeping)


def test_cpu_time_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "p.spprof"
    told = killed(path, {}, None)
    check(spprof.Profile.load(path), told)
    result = command("report", path)
    assert result.returncode == 0
    assert "was not finished" in result.stderr
    assert "after its start" in result.stderr
    assert "hot_first" in result.stdout
    result = command("convert", path, tmp_path / "p.txt")
    assert result.returncode == 0
    assert "hot_second" in (tmp_path / "p.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"mode": "wall"}, {"native": True}], ids=["cpu", "wall", "native"])
@pytest.mark.parametrize("after_s", [1.3, 1.6, 1.9, 2.0, 2.05, 2.4, 2.9, 3.3, 4.1, 5.0])
def test_killed_at_any_time(options: dict[str, Any], after_s: float, tmp_path: Path) -> None:
    path = tmp_path / "p.spprof"
    began = time.monotonic()
    told = killed(path, options, after_s)
    if not path.exists():  # a machine so busy that its first second came late
        assert time.monotonic() - began < 4
        return
    profile = spprof.Profile.load(path)
    check(profile, told)
    # About the last second is missing, not more: what it told last was after that.
    assert told[-1][0] - profile._facts.duration_ns < 3_000_000_000


def test_stop_leaves_the_complete_file(tmp_path: Path) -> None:
    """And neither another file, nor a descriptor, nor a thread."""
    answer = in_child(
        QUICK
        + """
path = sys.argv[1]
def state(): return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), os.listdir(os.path.dirname(path))
spprof.start(1); spprof.stop()
before = state()
grown = []
for _ in range(3):
    spprof.start(1, output_path=path); burn_until_grown(path); burn(.1)
    grown.append(spprof.Profile.load(path).is_unfinished)
    profile = spprof.stop()
loaded = spprof.Profile.load(path)
after = state()
tell([before, after, grown, loaded.is_unfinished, loaded.sample_count == profile.sample_count])
""",
        str(tmp_path / "p.spprof"),
    )
    before, after, grown, unfinished, equal = answer
    assert grown == [True, False, False]  # the complete one of the run before stays as long as there is no other
    assert after[:2] == before[:2]
    assert after[2] == ["p.spprof"]
    assert (unfinished, equal) == (False, True)


def test_an_earlier_profile_stays(tmp_path: Path) -> None:
    """As long as there is nothing complete to take its place; what was told so far is beside it."""
    path = tmp_path / "p.spprof"
    path.write_text("earlier")
    code = """
spprof.start(1, output_path=sys.argv[1])
beside = os.path.join(os.path.dirname(sys.argv[1]), f"p.unfinished-{os.getpid()}.spprof")
burn_until_grown(beside)
os._exit(0)
"""
    env = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    result = python("-c", QUICK + code, path, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert path.read_text() == "earlier"
    (beside,) = [other for other in tmp_path.iterdir() if other != path]
    assert beside.name.startswith("p.unfinished-")
    assert spprof.Profile.load(beside).sample_count > 0


def test_a_forked_child_leaves_the_file_alone(tmp_path: Path) -> None:
    answer = in_child(
        QUICK
        + """
import warnings; warnings.simplefilter("ignore")
spprof.start(1, output_path=sys.argv[1]); burn_until_grown(sys.argv[1])
pid = os.fork()
if pid == 0:
    mine = [os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd)]
    os._exit(7 if not any(name.endswith(".spprof") for name in mine) else 8)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
burn(.2)
unfinished = spprof.Profile.load(sys.argv[1])
profile = spprof.stop()
tell([code, unfinished.is_unfinished, spprof.Profile.load(sys.argv[1]).sample_count == profile.sample_count])
""",
        str(tmp_path / "p.spprof"),
    )
    assert answer == [7, True, True]


def test_a_file_that_can_not_grow_is_said_once(tmp_path: Path) -> None:
    """The program goes on; what was written before is good; stop() says that it can't save."""
    path = tmp_path / "p.spprof"
    code = """
import resource
spprof.start(1, output_path=sys.argv[1])
burn_until_grown(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
end = time.monotonic() + 40
while not spprof._session._current.stream._failed and time.monotonic() < end: burn(.02)
burn(.2)
try: spprof.stop()
except OSError as error: print("raised", error.profile.sample_count > 0)
print("done")
"""
    env = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    result = python("-c", QUICK + code, path, env=env)
    assert result.returncode == 0
    assert result.stdout.split() == ["raised", "True", "done"]
    assert result.stderr.count("can't go on writing") == 1
    assert spprof.Profile.load(path).is_unfinished
    assert [other.name for other in tmp_path.iterdir()] == ["p.spprof"]


def test_run_leaves_the_file_too(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import os, time\ndef busy():\n    end = time.monotonic() + 40\n"
        "    while time.monotonic() < end and not (os.path.exists('p.spprof') and os.path.getsize('p.spprof')): pass\n"
        "\nbusy()\ntime.sleep(.2)\nos._exit(3)\n"
    )
    result = command("run", "--interval-ms", "1", "-o", tmp_path / "p.spprof", tmp_path / "app.py", cwd=tmp_path)
    assert result.returncode == 3
    profile = spprof.Profile.load(tmp_path / "p.spprof")
    assert profile.is_unfinished
    assert any(function.function_name == "busy" for function in profile.functions())


def test_cut_anywhere(tmp_path: Path) -> None:
    """A growing file that is cut off anywhere is the profile until then, or says that nothing is in it."""
    path = tmp_path / "p.spprof"
    code = """
spprof.start(1, output_path=sys.argv[1], mode="wall"); burn_until_grown(sys.argv[1]); burn(.2)
os._exit(0)
"""
    env = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    assert python("-c", QUICK + code, path, env=env).returncode == 0
    data = path.read_bytes()
    counts = []
    for size in range(1, len(data), 41):
        path.write_bytes(data[:size])
        try:
            profile = spprof.Profile.load(path)
        except spprof.ProfileFileError:
            assert not counts
            continue
        counts.append(profile.sample_count)
        assert profile.is_unfinished
        for index, thread in enumerate(profile.threads):
            weights = [w for w, t in zip(profile._rows.weights, profile._rows.thread_index) if t == index]
            assert sum(weights) == thread.sampled_ns
    assert counts == sorted(counts)
    assert counts[-1] > 0


def test_a_forked_child_ends_with_its_last_thread(tmp_path: Path) -> None:
    """The thread that writes the file does not keep alive a process that has no other: a child that a thread has forked."""
    answer = in_child(
        """
import warnings; warnings.simplefilter("ignore")
def forks():
    global pid
    pid = os.fork()
    if pid == 0:
        from spprof import _stream
        _stream.PERIOD_S = .05
        spprof.start(1, output_path=sys.argv[1]); burn(.03)
thread = threading.Thread(target=forks); thread.start(); thread.join()
end = time.monotonic() + 30
while time.monotonic() < end and os.waitpid(pid, os.WNOHANG) == (0, 0): time.sleep(.02)
if time.monotonic() >= end: os.kill(pid, 9)
tell(time.monotonic() < end)
""",
        str(tmp_path / "p.spprof"),
    )
    assert answer is True
