"""Too little memory: bounded, counted, dated, weighed; never a crash, and the next session works."""

from __future__ import annotations

import pytest
from life import in_child

pytestmark = pytest.mark.needs_native


@pytest.mark.parametrize("interval_ms", [0.1, 1])
def test_one_megabyte_is_never_exceeded_and_what_is_lost_is_said(interval_ms: float) -> None:
    # Hazards 14, 27: deep stacks of which no two are equal
    told = in_child(
        f"""
import warnings
def down(n):
    return down(n - 1) + 1 if n else spin(30)
def work(seconds):
    begin = time.thread_time_ns()
    end = time.thread_time() + seconds
    depth = 0
    while time.thread_time() < end:
        namespace = {{"down": down}}
        exec(compile("def f_%d(n): return down(n)" % depth, "made", "exec"), namespace)
        namespace["f_%d" % depth](200 + depth % 700)
        depth += 1
    used[threading.get_native_id()] = time.thread_time_ns() - begin
used, memory = {{}}, []
sys.setrecursionlimit(3000)
spprof.start(interval_ms={interval_ms}, memory_limit_mb=1)
threads = [threading.Thread(target=work, args=(0.5,)) for _ in range(3)]
for t in threads:
    t.start()
while any(t.is_alive() for t in threads):
    stats = spprof.stats()
    memory.append(stats.memory_bytes)
    time.sleep(0.002)
for t in threads:
    t.join()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    profile = spprof.stop()
threads = [[used[t.thread_id], t.cpu_ns, t.sampled_ns + t.unsampled_ns + t.dropped_ns, t.dropped_ns, t.dropped]
           for t in profile.threads if t.thread_id in used]
weights = {{}}
for s in profile.samples:
    weights[s.thread_id] = weights.get(s.thread_id, 0) + s.weight_ns
dated = [l for l in profile.losses if l.kind == "dropped"]
tell({{
    "memory": [max(memory), profile.stats.memory_bytes, profile.stats.memory_limit], "threads": threads,
    "dropped": [profile.dropped_count, sum(l.count for l in dated), sum(t.dropped for t in profile.threads)],
    "dropped_ns": [profile.stats.dropped_ns, sum(l.weight_ns for l in dated),
                   sum(t.dropped_ns for t in profile.threads)],
    "dates": all(0 <= l.start_ns <= l.end_ns <= profile.stats.duration_ns for l in dated),
    "weights": all(weights.get(t.thread_id, 0) == t.sampled_ns for t in profile.threads),
    "warning": [str(w.message) for w in caught], "collapsed": "[dropped]" in profile.to_collapsed(),
    "samples": profile.sample_count,
}})
"""
    )
    highest, after, limit = told["memory"]
    assert limit == 2**20 and highest <= limit and after <= limit
    assert len(told["threads"]) == 3
    for used, cpu, parts, dropped_ns, dropped in told["threads"]:
        assert cpu == parts
        assert used <= cpu <= used * 1.02 + 3e6
        assert (dropped_ns > 0) == (dropped > 0)
    assert len(set(told["dropped"])) == 1 and told["dropped"][0] > 0, told["dropped"]
    assert len(set(told["dropped_ns"])) == 1 and told["dropped_ns"][0] > 0, told["dropped_ns"]
    assert told["dates"]
    assert told["weights"]
    assert told["collapsed"]
    assert len(told["warning"]) == 1
    assert "dropped" in told["warning"][0] and "memory_limit_mb (now 1)" in told["warning"][0]


@pytest.mark.parametrize("where", ["start", "run", "stop"])
def test_every_allocation_that_can_fail_fails_once(where: str) -> None:
    # Hazard 23: a MemoryError or counted losses, and the session after it is whole.
    told = in_child(
        f"""
import warnings
warnings.simplefilter("ignore")
where = {where!r}
native = spprof._native
def names(profile): return {{f.function_name for s in profile.samples for f in s.frames}}
def work():
    exec(compile("def made(): return spin(3000)\\nmade()", "made", "exec"), {{"spin": spin}})
    t = threading.Thread(target=spin, args=(2000,))
    t.start()
    t.join()
    spin(3000)
clean = None
errors, wrong = {{}}, []
for n in range(1, 201):
    native._fail_allocations(n if where == "start" else 0)
    try:
        spprof.start(interval_ms=0.1)
        native._fail_allocations(n if where == "run" else 0)
        work()
        native._fail_allocations(n if where == "stop" else 0)
        profile = spprof.stop()
        for t in profile.threads:
            if t.cpu_ns != t.sampled_ns + t.unsampled_ns + t.dropped_ns:
                wrong.append([n, "parts"])
        names(profile)
        profile.to_speedscope()
    except MemoryError as error:
        errors[str(error)] = errors.get(str(error), 0) + 1
    except Exception as error:
        wrong.append([n, repr(error)])
    native._fail_allocations(0)
    if spprof.is_active() or native.is_pending():
        try:
            spprof.stop()
        except Exception as error:
            wrong.append([n, "again: " + repr(error)])
    spprof.start(interval_ms=0.1)
    burn(0.01)
    # ticks, not samples: a machine that stands still for milliseconds merges them
    if spprof.stop().stats.ticks < 20:
        wrong.append([n, "the next one is not whole"])
    if n == 10:
        clean = state()
tell([wrong[:5], len(errors), wait_for_tasks(clean["tasks"]) and state() == clean])
""",
        timeout=100,
    )
    wrong, kinds, clean = told
    assert wrong == [] and clean
    assert kinds <= 1


def test_pythons_own_allocations_fail_in_stop() -> None:
    # Hazard 23: MemoryError from the middle of collecting; stop() again gives the profile, with all of its rows.
    told = in_child(
        """
try:
    import _testcapi
    _testcapi.set_nomemory
except (ImportError, AttributeError):
    tell(None)
    sys.exit()
native = spprof._native
wrong, failures = [], 0
for n in range(0, 250):
    native.start(interval_ns=100_000, memory_limit=1 << 24, tick="auto", mode="cpu", thread_names={})
    spin(3000)
    native.halt()
    collected = native.stats()["collected"]
    names = {}
    raw = None
    _testcapi.set_nomemory(n, 0)
    try:
        raw = native.collect(names, None)
    except MemoryError:
        failures += 1
    except Exception as error:
        _testcapi.remove_mem_hooks()
        wrong.append([n, repr(error)])
    finally:
        _testcapi.remove_mem_hooks()
    if raw is None:
        try:
            raw = native.collect(names, None)
        except Exception as error:
            wrong.append([n, "again " + repr(error)])
            continue
    lengths = {len(raw[name]) for name in ("times", "weights", "nodes", "thread_index")}
    if lengths != {collected}:
        wrong.append([n, sorted(lengths), collected])
tell([wrong[:5], failures])
"""
    )
    if told is None:
        pytest.skip("needs _testcapi")
    wrong, failures = told
    assert wrong == []
    assert failures > 20


def test_pythons_own_allocations_fail_in_start() -> None:
    # Hazard 23
    told = in_child(
        """
try:
    import _testcapi
    _testcapi.set_nomemory
except (ImportError, AttributeError):
    tell(None)
    sys.exit()
native = spprof._native
names = {threading.get_native_id(): "one"}
wrong, failures = [], 0
before = state()
for n in range(0, 20):
    _testcapi.set_nomemory(n, 0)
    try:
        native.start(interval_ns=100_000, memory_limit=1 << 24, tick="auto", mode="cpu", thread_names=names)
    except MemoryError:
        failures += 1
    except Exception as error:
        _testcapi.remove_mem_hooks()
        wrong.append([n, repr(error)])
    finally:
        _testcapi.remove_mem_hooks()
    if native.is_active():
        native.halt()
        native.collect({}, None)
wait_for_tasks(before["tasks"])
tell([wrong, state() == before])
"""
    )
    if told is None:
        pytest.skip("needs _testcapi")
    assert told == [[], True]


def test_an_address_space_that_is_used_up() -> None:
    # Hazard 26: RLIMIT_AS; the program's own MemoryError is the same as without, and the session ends well.
    told = in_child(
        """
import _thread, resource, warnings
warnings.simplefilter("ignore")  # loss is expected
spprof.start(interval_ms=1)
spprof.stop()
size = int(status("VmSize").split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + (320 << 20), resource.RLIM_INFINITY))
answers = []
for number in range(20):
    hoard = []
    try:
        spprof.start(interval_ms=0.2)
        try:
            while True:
                hoard.append(bytearray(1 << 20))
                spin(200)
        except MemoryError:
            answers.append("as without")
            spin(2000)
            try:
                # Not threading.Thread, whose start() waits for good if its thread gets no memory (cpython issue 140746).
                _thread.start_new_thread(spin, (100,))
            except (RuntimeError, MemoryError):
                pass
        try:
            profile = spprof.stop()
        except MemoryError:
            hoard.clear()
            profile = spprof.stop()
        answers.append(profile.sample_count + profile.dropped_count > 0)
    except (MemoryError, OSError):
        answers.append("refused")
        hoard.clear()
        if spprof.is_active():
            spprof.stop()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spprof.start(interval_ms=0.2)
burn(0.01)
tell([answers.count("as without"), spprof.stop().sample_count > 5])
"""
    )
    assert told[0] >= 10 and told[1]


@pytest.mark.parametrize("arguments", ["mode='wall'", "output_path='grows.spprof'"])
def test_a_thread_of_spprof_that_gets_no_memory(arguments: str) -> None:
    # It is started and dies before it runs anything: start() says so, and does not wait for it.
    told = in_child(
        f"""
import tempfile
os.chdir(tempfile.mkdtemp())
from spprof import _helper
start_new_thread = _helper.start_new_thread
_helper.start_new_thread = lambda function, arguments: start_new_thread(lambda *_: None, arguments)
try:
    spprof.start({arguments})
except MemoryError as error:
    tell([str(error), spprof.is_active(), os.listdir()])
""",
        timeout=20,
    )
    assert told == ["no memory is left to run a thread of spprof's in", False, []]
