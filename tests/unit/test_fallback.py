"""The pure-Python sampler, run on its own whatever the backend is."""

from __future__ import annotations

import _thread
import collections
import sys
import threading
import time
from types import ModuleType
from typing import Any

import pytest
from children import python
from life import processor_wait_ns, tasks
from profiles import burn, names

from spprof import Frame, Profile, _fallback
from spprof._build import profile_from
from spprof._fallback_store import MAX_DEPTH


def sampled(work: Any, interval_ms: float = 1, memory_limit: int = 10 * 2**20) -> Profile:
    _fallback.start(interval_ns=int(interval_ms * 1e6), memory_limit=memory_limit)
    try:
        work()
    finally:
        _fallback.halt()
    return profile_from(_fallback.collect({threading.get_native_id(): "MainThread"}, None))


def mine(profile: Profile) -> list[Any]:
    return [sample for sample in profile.samples if sample.thread_id == threading.get_native_id()]


def check_sums(profile: Profile) -> None:
    """What the extension promises as well."""
    weights = dict.fromkeys(range(len(profile.threads)), 0)
    for sample in profile.samples:
        (index,) = [
            i for i, t in enumerate(profile.threads)
            if t.thread_id == sample.thread_id and t.start_ns <= sample.timestamp_ns <= (t.end_ns or 10**18)
        ]  # fmt: skip
        weights[index] += sample.weight_ns
    for index, thread in enumerate(profile.threads):
        assert thread.sampled_ns + thread.unsampled_ns + thread.dropped_ns == thread.time_ns == thread.wall_ns
        assert weights[index] == thread.sampled_ns
        for kind, total in (("dropped", thread.dropped_ns), ("unsampled", thread.unsampled_ns)):
            assert sum(x.weight_ns for x in profile.losses if x.thread_index == index and x.kind == kind) == total
    times = [sample.timestamp_ns for sample in profile.samples]
    assert times == sorted(times)


def test_same_functions_as_the_stub() -> None:
    import ast
    import os

    with open(os.path.join(os.path.dirname(_fallback.__file__), "_native.pyi"), encoding="utf-8") as file:
        stub = ast.parse(file.read())
    expected = {
        node.name for node in stub.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"
    } | {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    assert expected <= set(dir(_fallback))


def test_where_the_time_goes() -> None:
    truth: list[int] = []

    def starved_ns() -> int:
        return sum(processor_wait_ns(task) for task in tasks())

    def work() -> None:
        times = [time.monotonic_ns()]
        burn(0.15)
        times.append(time.monotonic_ns())
        time.sleep(0.15)
        times.append(time.monotonic_ns())
        truth.extend([times[1] - times[0], times[2] - times[1], starved_ns() - starved_before])

    starved_before = starved_ns()
    profile = sampled(work)
    assert profile.mode == "wall"
    burnt, slept, starved = truth
    check_sums(profile)
    by_name = {function.function_name.rpartition(".")[2]: function for function in profile.functions()}
    # Looks come late while other programs have the processors.
    assert by_name["burn"].total_ns == pytest.approx(burnt, abs=60e6 + starved)
    assert by_name["work"].total_ns == pytest.approx(burnt + slept, abs=75e6 + starved)
    assert by_name["work"].self_ns == pytest.approx(slept, abs=60e6 + starved)
    assert by_name["work"].hottest_line == work.__code__.co_firstlineno + 4
    total_ns = profile.total_duration_ms * 1e6
    assert sum(s.weight_ns for s in mine(profile)) == pytest.approx(total_ns, abs=0.2 * total_ns + starved)


def test_lines_and_columns() -> None:
    lines: list[int] = []

    def work() -> None:
        lines.append(sys._getframe().f_lineno + 1)
        time.sleep(0.15); time.sleep(0.15)  # noqa: E702  # fmt: skip

    profile = sampled(work)
    leaves = [sample.frames[-1] for sample in mine(profile) if sample.frames[-1].function_name.endswith("work")]
    assert {frame.lineno for frame in leaves} == set(lines)
    columns = {frame.column for frame in leaves}
    assert columns == ({8, 26} if sys.version_info >= (3, 11) else {None})


def test_threads_of_all_kinds() -> None:
    stop = threading.Event()
    raw_ready = threading.Event()

    def raw() -> None:
        raw_ready.set()
        stop.wait()

    def work() -> None:
        _thread.start_new_thread(raw, ())
        threads = [threading.Thread(target=stop.wait, name=f"waiter {n}") for n in range(3)]
        for thread in threads:
            thread.start()
        short = threading.Thread(target=time.sleep, args=(0.3,), name="short")
        short.start()
        short.join()
        time.sleep(0.3)
        stop.set()
        for thread in threads:
            thread.join()

    profile = sampled(work)
    check_sums(profile)
    by_name = {thread.name: thread for thread in profile.threads}
    assert {"MainThread", "waiter 0", "waiter 1", "waiter 2", "short"} <= set(by_name)
    assert by_name["short"].end_ns is not None
    assert by_name["short"].wall_ns == pytest.approx(300e6, rel=0.5)
    assert any(names(sample.frames)[0].endswith("raw") for sample in profile.samples)
    assert "spprof sampler" not in by_name


def test_deep_stacks_keep_root_and_leaf() -> None:
    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        else:
            time.sleep(0.4)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(3000)
    try:
        profile = sampled(lambda: deep(1500))
    finally:
        sys.setrecursionlimit(limit)
    # Cut to the same depth are also the looks of the way down and up again; it is the sleep that took the time.
    seen: collections.Counter[tuple[Frame, ...]] = collections.Counter()
    for sample in mine(profile):
        assert len(sample.frames) <= MAX_DEPTH
        seen[tuple(sample.frames)] += sample.weight_ns
    ((stack, _),) = seen.most_common(1)
    assert len(stack) == MAX_DEPTH
    assert stack[-1].function_name.endswith("deep")
    assert stack[-1].lineno == deep.__code__.co_firstlineno + 4
    (cut,) = [frame for frame in stack if frame.function_name == "[truncated]"]
    assert cut.is_native
    assert cut.filename == ""
    root: Any = sys._getframe()
    while root.f_back is not None:
        root = root.f_back
    assert (stack[0].function_name, stack[0].filename) == (root.f_code.co_name, root.f_code.co_filename)
    check_sums(profile)


def test_code_that_dies_keeps_its_name() -> None:
    """Functions made by exec, each freed before the next is made at its address."""
    truth: dict[str, float] = {}

    def work() -> None:
        for number in range(8):
            namespace: dict[str, Any] = {"sleep": time.sleep}
            exec(f"def made_{number}(): sleep({0.1 if number % 2 else 0.2})", namespace)
            start = time.perf_counter()
            namespace[f"made_{number}"]()
            truth[f"made_{number}"] = time.perf_counter() - start

    profile = sampled(work)
    found = {f.function_name: f.total_ns / 1e9 for f in profile.functions() if f.function_name.startswith("made_")}
    assert set(found) == set(truth)
    for name, seconds in truth.items():
        assert found[name] == pytest.approx(seconds, abs=0.08)


def test_memory_limit_drops_and_counts() -> None:
    def other(n: int) -> None:
        if n:
            other(n - 1)
        else:
            time.sleep(0.003)

    def work() -> None:
        for n in range(60):
            other(n % 40)

    profile = sampled(work, memory_limit=20_000)
    stats = profile.stats
    assert stats.memory_bytes <= stats.memory_limit == 20_000
    assert stats.dropped == profile.dropped_count > 10
    assert sum(thread.dropped for thread in profile.threads) == stats.dropped
    assert stats.collected == profile.sample_count
    assert sum(loss.count for loss in profile.losses) == stats.dropped
    check_sums(profile)
    assert "[dropped]" in profile.to_collapsed()


def test_life_cycle() -> None:
    with pytest.raises(RuntimeError, match=r"^Profiler not running$"):
        _fallback.collect({}, None)
    _fallback.start(interval_ns=10**6, memory_limit=2**20)
    assert _fallback.is_active()
    assert not _fallback.is_pending()
    with pytest.raises(RuntimeError, match=r"^Profiler already running$"):
        _fallback.start(interval_ns=10**6, memory_limit=2**20)
    with pytest.raises(RuntimeError):
        _fallback.collect({}, None)
    assert _fallback.register_thread()
    assert _fallback.sample_now()
    _fallback.halt()
    _fallback.halt()
    assert not _fallback.is_active()
    assert _fallback.is_pending()
    assert not _fallback.sample_now()
    assert not _fallback.register_thread()
    raw = _fallback.collect({}, None)
    assert not _fallback.is_pending()
    with pytest.raises(RuntimeError, match=r"^Profiler not running$"):
        _fallback.halt()
    stats = _fallback.stats()
    assert stats is not None
    assert stats["collected"] == len(raw["times"])
    assert stats["tick_source"] == "wall (pure Python)"
    assert threading.active_count() == 1


def test_start_discards_what_is_pending() -> None:
    _fallback.start(interval_ns=10**6, memory_limit=2**20)
    time.sleep(0.02)
    _fallback.halt()
    _fallback.start(interval_ns=10**6, memory_limit=2**20)
    _fallback.halt()
    assert _fallback.collect({}, None)["duration_ns"] < 20e6


def test_sample_now_shows_the_callers_stack() -> None:
    _fallback.start(interval_ns=10**10, memory_limit=2**20)
    expected = []
    frame: Any = sys._getframe()
    _fallback.sample_now()
    expected = [(frame.f_code.co_filename, frame.f_code.co_name)]
    while frame.f_back is not None:
        frame = frame.f_back
        expected.append((frame.f_code.co_filename, frame.f_code.co_name))
    _fallback.halt()
    profile = profile_from(_fallback.collect({}, None))
    (sample,) = profile.samples
    assert [(f.filename, f.function_name.rpartition(".")[2]) for f in sample.frames] == expected[::-1]


def test_objects_live_no_longer_than_without() -> None:
    import weakref

    class Thing:
        pass

    def work() -> None:
        for _ in range(20):
            thing = Thing()
            reference = weakref.ref(thing)
            time.sleep(0.002)
            del thing
            deadline = time.perf_counter() + 5
            while reference() is not None and time.perf_counter() < deadline:
                time.sleep(0.0001)  # the sampler is looking right now
            assert reference() is None

    sampled(work)


def test_without_a_look_the_time_is_unsampled() -> None:
    profile = sampled(lambda: time.sleep(0.02), interval_ms=100_000)
    assert profile.sample_count == 0
    check_sums(profile)
    assert profile.to_collapsed().startswith("MainThread;[unsampled] ")


def test_a_missing_extension_is_announced_once_at_the_first_start() -> None:
    code = (
        "import sys, warnings\n"
        "sys.modules['spprof._native'] = None\n"
        "warnings.simplefilter('always')\n"
        "import spprof\n"
        "print(spprof._HAS_NATIVE, spprof._native)\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    for _ in range(2): spprof.start(); spprof.stop()\n"
        "print(len(caught), caught[0].category.__name__, caught[0].filename, caught[0].message)\n"
        "print(spprof.stats())\n"
    )
    result = python("-W", "error", "-c", code, env={"SPPROF_PURE_PYTHON": None})
    assert result.returncode == 0, result.stderr
    first, second, *rest = result.stdout.splitlines()
    assert first == "False None"
    assert second.startswith("1 RuntimeWarning <string> spprof's C extension is not in use (")
    assert "_native" in second
    assert "wall (pure Python)" in "\n".join(rest)


def test_asked_for_by_name() -> None:
    code = "from spprof import _backend as b; print(b.has_native, b.native, b.backend.__name__, b.reason)"
    result = python("-c", code, env={"SPPROF_PURE_PYTHON": "1"})
    assert result.stdout.strip() == "False None spprof._fallback SPPROF_PURE_PYTHON is set", result.stderr


def test_is_a_module() -> None:
    assert isinstance(_fallback, ModuleType)
    assert _fallback.self_check() is None
    assert all(not usable for usable, _ in _fallback.tick_sources().values())
    assert _fallback.ThreadStart(burn) is burn
    assert isinstance(_fallback.free_threaded_build, bool)
