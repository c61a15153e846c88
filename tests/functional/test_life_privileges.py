"""Without privileges, and where the system refuses calls: another source, the reason told, nothing lost."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from children import python
from life import in_child

pytestmark = pytest.mark.needs_native

# Refuses system calls with an errno, for this process and its children: a seccomp filter in classic BPF.
REFUSE = """
import errno, struct
NUMBERS = {
    "x86_64": {"perf_event_open": 298, "timer_create": 222, "ptrace": 101, "close_range": 436,
               "rt_tgsigqueueinfo": 297, "process_vm_readv": 310},
    "aarch64": {"perf_event_open": 241, "timer_create": 107, "ptrace": 117, "close_range": 436,
                "rt_tgsigqueueinfo": 240, "process_vm_readv": 270},
}[os.uname().machine]
def refuse(calls, number):
    filters = [struct.pack("=HBBI", 0x20, 0, 0, 0)]  # load the number of the call
    for at, call in enumerate(calls):
        filters.append(struct.pack("=HBBI", 0x15, len(calls) - at, 0, NUMBERS[call]))  # equal: jump to the refusal
    filters.append(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))  # allow
    filters.append(struct.pack("=HBBI", 0x06, 0, 0, 0x00050000 | number))  # refuse with this errno
    code = ctypes.create_string_buffer(b"".join(filters))
    program = struct.pack("@HP", len(filters), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0):
        tell(None)
        sys.exit()
"""

SESSION = """
def session():
    used = {}
    def work():
        begin = time.thread_time_ns()
        burn(0.15)
        used[threading.get_native_id()] = time.thread_time_ns() - begin
    spprof.start(interval_ms=1)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads:
        t.start()
    work()
    for t in threads:
        t.join()
    profile = spprof.stop()
    exact = [t.cpu_ns - used[t.thread_id] for t in profile.threads if t.thread_id in used]
    stats = profile.stats
    return [stats.tick_source, stats.tick_reason, stats.threads_by_source, exact, profile.sample_count]
"""


def check(told: list[object], sources: tuple[str, ...], reason: str) -> None:
    source, why, by_source, exact, samples = told
    assert source in sources
    assert reason in str(why)
    assert isinstance(by_source, dict) and set(by_source) <= set(sources)
    assert isinstance(exact, list) and len(exact) == 3
    assert all(0 <= difference < 5e6 for difference in exact), exact  # ns that a thread uses around its work
    assert isinstance(samples, int) and samples > 20


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root's privileges")
def test_as_nobody() -> None:
    # Hazards 29, 33, promise P7: everything is imported as root, because nobody may not read every place that Python
    # is in.
    told = in_child(
        SESSION
        + """
spprof.start()
spprof.stop()
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with open("/proc/sys/kernel/perf_event_paranoid") as file:
    paranoid = int(file.read())
capabilities = int(status("CapEff"), 16)
tell([session(), paranoid, capabilities])
"""
    )
    session, paranoid, capabilities = told
    assert capabilities == 0
    if paranoid > 1:
        check(session, ("thread", "timer"), "perf_event_paranoid")
    else:
        check(session, ("perf",), "")


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root's privileges")
def test_privileges_that_are_dropped_while_sampling() -> None:
    # Hazards 29, 33: servers bind their port as root. Threads that were armed go on, later ones use what they may.
    told = in_child(
        SESSION
        + """
spprof.start(interval_ms=1)
def early(): burn(0.3)
t = threading.Thread(target=early)
t.start()
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
def late(): burn(0.3)
threads = [threading.Thread(target=late) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in [t, *threads]:
    thread.join()
profile = spprof.stop()
counts = {}
for s in profile.samples:
    for f in s.frames:
        counts[f.function_name] = counts.get(f.function_name, 0) + 1
tell([counts.get("early", 0) > 50, counts.get("late", 0) > 50, sum(profile.stats.threads_by_source.values()), timers()])
"""
    )
    assert told == [True, True, 4, ""]


@pytest.mark.parametrize("number", ["EPERM", "ENOSYS", "EACCES"])
def test_a_sandbox_that_refuses_perf(number: str) -> None:
    # Hazards 28, 29, promise P7: what containers do
    told = in_child(
        REFUSE + SESSION + f"refuse(['perf_event_open', 'ptrace', 'process_vm_readv'], errno.{number})\ntell(session())"
    )
    if told is None:
        pytest.skip("no seccomp here")
    check(told, ("thread",), "perf_event_open")


def test_a_sandbox_that_refuses_perf_and_timers() -> None:
    # Hazards 28, 29
    told = in_child(
        REFUSE
        + SESSION
        + "refuse(['perf_event_open', 'timer_create', 'ptrace', 'close_range'], errno.EPERM)\ntell(session())"
    )
    if told is None:
        pytest.skip("no seccomp here")
    check(told, ("thread",), "perf_event_open")


def test_a_sandbox_that_leaves_only_the_timers() -> None:
    # Hazards 28, 29
    told = in_child(REFUSE + SESSION + "refuse(['perf_event_open', 'rt_tgsigqueueinfo'], errno.EPERM)\ntell(session())")
    if told is None:
        pytest.skip("no seccomp here")
    check(told, ("timer",), "perf_event_open")


def test_a_sandbox_that_refuses_every_source_is_an_error_where_cpu_time_was_asked_for() -> None:
    # Hazards 23, 28: OSError that names calls and cure, and nothing left behind
    told = in_child(
        REFUSE
        + """
spprof.start()
spprof.stop()
refuse(["perf_event_open", "timer_create", "rt_tgsigqueueinfo"], errno.EPERM)
before = state()
errors = []
for _ in range(3):
    try:
        spprof.start(mode="cpu")
    except OSError as error:
        errors.append(str(error))
    errors.append(spprof.is_active())
tell([errors, state() == before])
"""
    )
    if told is None:
        pytest.skip("no seccomp here")
    errors, clean = told
    assert clean
    assert errors[1::2] == [False] * 3
    for error in errors[0::2]:
        for part in ("can't sample here", "perf_event_open", "rt_tgsigqueueinfo", "timer_create", 'mode="wall"'):
            assert part in error, error


ALL_CALLS = ("timer_create", "perf_event_open", "process_vm_readv", "rt_tgsigqueueinfo")


@pytest.mark.parametrize("number", ["EPERM", "ENOSYS"])
@pytest.mark.parametrize("calls", [*[(call,) for call in ALL_CALLS], ALL_CALLS[:3], ALL_CALLS], ids="+".join)
@pytest.mark.parametrize("mode", [None, "wall"])
def test_sandboxes(calls: tuple[str, ...], number: str, mode: str | None) -> None:
    """Whatever a sandbox refuses, something is measured, and it is said how."""
    told = in_child(
        REFUSE
        + f"""
refuse({list(calls)!r}, errno.{number})
spprof.start(interval_ms=2, mode={mode!r})
def naps(): time.sleep(0.25)
def computes(): burn(0.25)
naps(); computes()
profile = spprof.stop()
found = {{}}
for s in profile.samples:
    for f in s.frames:
        if f.function_name in ("naps", "computes", "[running]"):
            found[f.function_name] = found.get(f.function_name, 0) + s.weight_ns
stats = profile.stats
tell([profile.mode, found, stats.tick_source, stats.tick_reason, stats.outside_reader,
      sum(s.cpu_ns for s in profile.samples), profile.cpu_time_ns])
"""
    )
    if told is None:
        pytest.skip("no seccomp here")
    got_mode, found, source, reason, reader, cpu_of_samples, cpu_time = told
    every = len(calls) == 4
    assert got_mode == ("wall" if mode == "wall" or every else "cpu")
    if got_mode == "cpu":
        assert found.get("naps", 0) < 0.02e9 < 0.2e9 < found["computes"]
        if "perf_event_open" in calls:
            assert source == "thread" and "perf_event_open" in reason
        return
    assert abs(found["naps"] - 0.25e9) < 0.05e9
    assert cpu_of_samples > 0.9 * cpu_time > 0.2e9  # idle threads told apart, and CPU time by the CPU clock
    if "rt_tgsigqueueinfo" in calls:
        assert source == "none" and "rt_tgsigqueueinfo" in reason
        assert found["[running]"] > 0.2e9  # who runs can't be asked where
    else:
        assert found["computes"] > 0.2e9
    if every and mode is None:
        assert all(call in reason for call in ("perf_event_open", "timer_create", "rt_tgsigqueueinfo")), reason
    if "process_vm_readv" in calls:
        assert reader.startswith("/proc/self/mem (process_vm_readv refused: ")
    else:
        assert reader == "process_vm_readv"


@pytest.mark.parametrize("number", ["EPERM", "ENOSYS"])
@pytest.mark.parametrize("calls", [*[(call,) for call in ALL_CALLS], ALL_CALLS], ids="+".join)
def test_the_guides_container_script(calls: tuple[str, ...], number: str) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    script = next(b for b in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "container compatibility" in b)
    prelude = f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\nfrom life import *\n"
    result = python("-c", f"{prelude}{REFUSE}refuse({list(calls)!r}, errno.{number})\n{script}")
    assert result.returncode == 0, result.stderr
    if result.stdout.strip() == "null":
        pytest.skip("no seccomp here")
    assert "working correctly" in result.stdout, result.stdout


HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")

# Allows a list of system calls, by number, and nothing else; then becomes another program.
ALLOW = """
import ctypes, errno, os, struct, sys
numbers, arguments = eval(sys.argv[1]), sys.argv[2:]
filters = [struct.pack("=HBBI", 0x20, 0, 0, 0)]
for at, number in enumerate(numbers):
    filters.append(struct.pack("=HBBI", 0x15, len(numbers) - at, 0, number))
filters.append(struct.pack("=HBBI", 0x06, 0, 0, 0x00050000 | errno.EPERM))
filters.append(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(filters))
program = struct.pack("@HP", len(filters), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0):
    print("no seccomp here")
    sys.exit()
os.execv(sys.executable, [sys.executable, *arguments])
"""


@pytest.mark.skipif(not HEADER.exists(), reason="needs the numbers of system calls")
@pytest.mark.parametrize("without", [(), ("perf_event_open", "process_vm_readv")], ids=["whole", "least"])
def test_the_documented_seccomp_profile(without: tuple[str, ...]) -> None:
    docs = Path(__file__).parents[2] / "docs"
    (profile,) = re.findall(r"```json\n(.*?)```", (docs / "containers.md").read_text(encoding="utf-8"), re.DOTALL)
    known = dict(re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text()))
    (rule,) = json.loads(profile)["syscalls"]
    assert rule["action"] == "SCMP_ACT_ALLOW" and json.loads(profile)["defaultAction"] == "SCMP_ACT_ERRNO"
    numbers = [int(known[name]) for name in rule["names"] if name not in without]
    text = (docs / "troubleshooting.md").read_text(encoding="utf-8")
    guide = next(b for b in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if "timer_create" in b)
    assert set(json.loads(guide)["names"]) <= set(rule["names"])
    script = next(b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "container compatibility" in b)
    result = python("-c", ALLOW, repr(numbers), "-c", script)
    if "no seccomp here" in result.stdout:
        pytest.skip("no seccomp here")
    assert result.returncode == 0, result.stderr
    assert "working correctly" in result.stdout, result.stdout
    told = python("-c", ALLOW, repr(numbers), "-m", "spprof", "doctor")
    assert told.returncode == 0 and "spprof is working correctly" in told.stdout, told.stdout + told.stderr


@pytest.mark.parametrize("source", ["perf", "timer"])
def test_a_source_that_was_asked_for_and_is_refused_is_an_error(source: str) -> None:
    # Hazard 29: not replaced in silence
    told = in_child(
        REFUSE
        + """
refuse(["perf_event_open", "timer_create"], errno.EPERM)
try:
    spprof.start()
    tell("started")
except OSError as error:
    tell(str(error))
""",
        env={"SPPROF_TICK": source},
    )
    if told is None:
        pytest.skip("no seccomp here")
    assert {"perf": "perf_event_open", "timer": "timer_create"}[source] in told
