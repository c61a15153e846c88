"""How to run each Python block of the guide: what it needs before it, what stands for its placeholders, and what it
promises. One entry a block, several runs where a block has several cases.

Blocks are run as they are. An edit may only touch a comment line; what is in `after` sees the block's variables.
"""

from __future__ import annotations

import re
from typing import Callable, NamedTuple

Check = Callable[[str, bool], None]


class Run(NamedTuple):
    """One run of a block in a child process.

    before, after: code around the block.
    edits: a comment line's text, without indentation, and the code that takes its place.
    only: numbers of the alternatives (statements of the block's last level) to keep; all of them if empty.
    check: is given what was printed, and whether the C extension samples.
    native, pure: whether it is run with the extension, and with SPPROF_PURE_PYTHON=1.
    lossy: samples are lost on purpose, and stop() warns of it.
    """

    name: str = "as it is"
    before: str = ""
    after: str = ""
    edits: tuple[tuple[str, str], ...] = ()
    only: tuple[int, ...] = ()
    check: Check = lambda out, native: None
    native: bool = True
    pure: bool = True
    lossy: bool = False


#: CPU time of the calling thread, so that a busy machine does not matter. The fallback promises no rate (a look of it
#: waits for the GIL, or for all threads to stop): there, until it has looked some times.
WORK = """
import time
import spprof

def work(seconds=0.2):
    fallback = spprof.is_active() and not spprof._HAS_NATIVE
    enough = spprof.stats().collected + 12 if fallback else 0
    cpu = time.thread_time()
    while time.thread_time() - cpu < seconds or (fallback and spprof.stats().collected < enough):
        sum(i * i for i in range(1000))

do_work = work
"""
STARTED = "import spprof\n" + WORK + "spprof.start(interval_ms=1)\nwork()\n"
#: From here on no memory can be had: whatever the profile would have to grow for is dropped.
LOSE_ALL = "spprof._native._fail_allocations(1)\nwork(0.5)\nspprof._native._fail_allocations(0)"
SAVED = "import json, pathlib\nsaved = lambda name: json.loads(pathlib.Path(name).read_text('utf-8'))\n"
START_JOIN = "for t in threads:\n    t.start()\nfor t in threads:\n    t.join()\n"
ACTIVE = "import spprof\nspprof.start(interval_ms=7)\n"
STOP = "assert spprof.is_active()\nspprof.stop()"


def prints(*patterns: str) -> Check:
    """Each pattern is a whole line of the output."""

    def check(out: str, native: bool) -> None:
        lines = out.splitlines()
        for pattern in patterns:
            assert any(re.fullmatch(pattern, line) for line in lines), f"no line {pattern!r} in:\n{out}"

    return check


def silent(out: str, native: bool) -> None:
    assert out == ""


def number(out: str, pattern: str) -> float:
    match = re.search(pattern, out)
    assert match, f"no {pattern!r} in:\n{out}"
    return float(match[1])


def _samples(out: str, native: bool) -> None:
    # 200 ms, asked for every ms: the kernel's tick (100 Hz at least) may be the limit
    assert number(out, r"(?m)^Samples: (\d+)$") >= 10


def _sleeper(out: str, native: bool) -> None:
    samples = number(out, r"(?m)^Samples: (\d+)$")
    if native:
        # The CPU time around the sleep is far below an interval; the first tick comes within a random part of one.
        assert samples <= 2
    else:
        assert samples >= 10  # the wall clock: sleeping counts


def _working(out: str, native: bool) -> None:
    assert number(out, r"(?m)^Samples collected: (\d+)$") > 0
    prints(rf"Native extension: {native}", r"Dropped samples: 0", r"✅ spprof is working correctly!?")(out, native)


def _diagnosis(out: str, native: bool) -> None:
    _working(out, native)
    prints(r"Native unwinding available: (True|False)", "Currently active: False", r"Duration: \d+ms")(out, native)
    top = out.partition("Top functions:\n")[2].splitlines()
    assert top and re.fullmatch(r"  cpu_work: \d+ samples", top[0]), out


def _overhead(out: str, native: bool) -> None:
    # what it is, depends on what else the machine does; that it is said, does not
    number(out, r"(?m)^Measured overhead: (-?\d+\.\d\d)%$")


def _flags(out: str, native: bool) -> None:
    import sysconfig

    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    if native:
        expected = f"Free-threaded build: {free_threaded}\nFree-threading safe: {free_threaded}\n"
        assert out == expected


THREADS = """
import collections
workers = [t for t in profile.threads if t.thread_id in ids]
assert len(workers) == 4, profile.threads
assert all(t.samples > 0 for t in workers), workers
seen = collections.Counter(s.thread_id for s in profile.samples if any(f.function_name == "worker" for f in s.frames))
assert set(seen) == ids, (seen, ids)
"""
IDS = f"""{WORK}
ids = set()

def do_work():
    import threading
    ids.add(threading.get_native_id())
    work()
"""

RECIPES: dict[str, list[Run]] = {
    "1.1 Workload Too Short": [Run(before=WORK + "fast_function = work\n", check=_samples)],
    "1.2 Code Running in C Extensions": [
        Run(
            before="""
import hashlib, time

def numpy_heavy_computation():
    cpu = time.thread_time()
    while time.thread_time() - cpu < 0.2:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 20_000)  # without the GIL
""",
            after="""
assert profile.sample_count >= (10 if spprof._HAS_NATIVE else 1)
def caller(sample):
    return [f.function_name for f in sample.frames if not f.is_native][-1:]
in_c = [s for s in profile.samples if caller(s) == ["numpy_heavy_computation"]]
if spprof.native_unwinding_available():
    in_c = [s for s in in_c if s.frames[-1].is_native]
assert len(in_c) > 0.8 * profile.sample_count, (len(in_c), profile.sample_count)
""",
        )
    ],
    "1.3 I/O-Bound or Sleeping Code": [Run(check=_sleeper)],
    "1.4 Native Extension Not Loaded": [
        Run(
            check=lambda out, native: prints(
                f"Native extension loaded: {native}",
                *(() if native else ("Running in pure Python fallback mode", r"Install with: .*")),
            )(out, native)
        )
    ],
    "2.1 Check Drop Count": [
        Run("nothing dropped", before=WORK, edits=(("# ... long workload ...", "work()"),), check=silent),
        Run(
            "all dropped",
            before=WORK,
            edits=(("# ... long workload ...", LOSE_ALL),),
            check=prints(r"⚠️ Dropped \d+ samples \(\d+\.\d%\)", "Consider increasing interval_ms or memory_limit_mb"),
            pure=False,
            lossy=True,
        ),
    ],
    "2.2 Increase Memory Limit": [Run(after="assert spprof.stats().memory_limit == 200 * 2**20\n" + STOP)],
    "2.3 Reduce Sampling Frequency": [
        Run(
            after="s = spprof.stats()\nassert s.interval_ms == 100 and s.memory_limit == 100 * 2**20\n" + STOP,
        )
    ],
    "2.4 Use Aggregation for Analysis": [
        Run(
            before=STARTED,
            after=SAVED + "assert 'speedscope' in saved('profile.json')['$schema']\n"
            "assert agg.total_samples == profile.sample_count > 0",
            check=prints(r"Captured \d+ samples across \d+ unique stacks"),
        )
    ],
    "2.5 Memory Usage Estimation": [
        Run(
            before="num_threads, interval_ms, duration_seconds = 4, 10, 60\n",
            check=prints("Expected memory usage: 94 MB"),
        )
    ],
    "3.1 Check Current Sampling Mode": [
        Run(
            after="""
assert stats.active and stats.tick_reason
if spprof._HAS_NATIVE:
    assert stats.mode == "cpu" and stats.tick_source in ("perf", "thread", "timer")
else:
    assert stats.mode == "wall"
"""
            + STOP
        )
    ],
    "3.6 Verify Container Works": [Run(check=_working)],
    "4.1 Register Worker Threads": [Run(before=IDS, after=THREADS)],
    "4.2 Use ThreadProfiler Context Manager": [
        Run(
            before=IDS,
            edits=(("# ...", START_JOIN + "profile = spprof.stop()"),),
            after=THREADS,
        )
    ],
    "4.3 Thread Pool Pattern": [
        Run(before="import threading\n", after="assert results == [x**2 for x in range(1000)]\nprofile.samples")
    ],
    "5.1 Check Before Starting": [
        Run("idle", after=STOP),
        Run("active", before=ACTIVE, after="assert spprof.stats().interval_ms == 7\n" + STOP),
    ],
    "5.2 Stop Existing Session": [
        Run("idle", after=STOP),
        Run("active", before=ACTIVE, after="assert spprof.stats().interval_ms == 10\n" + STOP),
    ],
    "5.3 Use Context Manager (Recommended)": [
        Run(
            before=WORK,
            after=SAVED + "assert saved('output.json')['profiles'] and not spprof.is_active()\n"
            "assert p.profile.sample_count > 0",
        )
    ],
    "Diagnostic": [
        Run(
            check=lambda out, native: prints(
                f"Native: {native}", r"Module: <module 'spprof\._native' from .*>" if native else "Module: None"
            )(out, native)
        )
    ],
    "6.4 Verify Import": [
        Run("there", check=prints("Native extension loaded successfully", r"\[.*'start'.*\]"), pure=False),
        Run(
            "missing",
            before="import sys\nsys.modules['spprof._native'] = None\n",
            after="import spprof\nassert not spprof._HAS_NATIVE and spprof._native is None",
            check=prints(r"Import failed: .+"),
        ),
    ],
    "7.1 Increase Sampling Interval": [
        Run(
            f"alternative {i + 1}",
            before="import spprof\n",
            only=(i,),
            after=f"assert spprof.stats().interval_ms == {interval}\n" + STOP,
        )
        for i, interval in enumerate((1, 10, 100))
    ],
    "7.2 Disable Native Unwinding": [
        Run(before="import spprof\n", after="assert not spprof.native_unwinding_enabled()\n" + STOP)
    ],
    "7.3 Measure Actual Overhead": [Run(after="assert not spprof.is_active()", check=_overhead)],
    "8.1 Ensure Sufficient Samples": [
        Run(
            "enough",
            before=STARTED + "work(0.8)\n",
            after="assert profile.sample_count >= 100 or not spprof._HAS_NATIVE",
            check=prints(r"Total samples: \d+", r"Duration: \d+ms", r"Effective rate: \d+\.\d Hz"),
        ),
        Run(
            "few",
            before="import spprof\nspprof.start(interval_ms=100)\n",
            check=prints(r"Total samples: \d", "Warning: Few samples. Run longer or decrease interval_ms"),
        ),
    ],
    "8.2 Profile Representative Workload": [
        Run(
            "both",
            before="import spprof\n" + WORK + "process_real_dataset = work\ndef process_one_item(): pass\n",
            after="assert p.profile.sample_count <= 1",
        ),
        Run(
            "the good one",
            before="import spprof\n" + WORK + "process_real_dataset = work\n",
            only=(0,),
            after="assert p.profile.sample_count > 1",
        ),
    ],
    "8.3 Check for Dropped Samples": [
        Run("nothing dropped", before=STARTED, check=silent),
        Run(
            "dropped",
            before=STARTED + LOSE_ALL + "\n",
            check=prints(r"Lost \d+/\d+ samples", "Increase memory_limit_mb or interval_ms"),
            pure=False,
            lossy=True,
        ),
    ],
    "8.4 Filter to Relevant Code": [
        Run(
            before=STARTED + "exec(compile('work()', '/srv/myproject/mine.py', 'exec'))\n",
            after="assert 0 < len(my_samples) < profile.sample_count",
            check=prints(r"Samples in your code: \d+/\d+"),
        )
    ],
    "Checking Free-Threading Status": [Run(check=_flags)],
    "Validation Drops (Linux Free-Threading)": [
        Run(
            before=WORK + "import threading\n",
            edits=(
                (
                    "# ... workload with many threads ...",
                    "threads = [threading.Thread(target=work) for _ in range(8)]\n" + START_JOIN,
                ),
            ),
            after="assert profile.sample_count > 0 and stats.validation_drops == 0",
            check=prints(r"Collected samples: \d+", r"Dropped \(buffer\): 0"),
        )
    ],
    "Best Practices for Free-Threaded Python": [
        Run(
            before=WORK + "import threading\n",
            edits=(
                (
                    "# 3. Use aggregation to minimize impact of dropped samples",
                    "thread = threading.Thread(target=worker)\nthread.start()\nthread.join()",
                ),
            ),
            after=SAVED + "assert agg.total_samples > 0 and saved('profile.json')['profiles']",
        )
    ],
    "Quick Diagnostic Script": [Run(check=_diagnosis)],
}

#: Run in full with the fallback as well as with each source of ticks.
SCRIPTS = ("3.6 Verify Container Works", "Quick Diagnostic Script")
