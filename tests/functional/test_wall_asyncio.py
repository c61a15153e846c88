"""asyncio in mode "wall": which task waits on what, by the program's own clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from children import spprof
from life import in_child

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_native

PROGRAM = """
import asyncio
EXPECTED = ("sleeper", "locker", "reader", "joiner")
truth = {}
async def leaf(s): await asyncio.sleep(s)
async def sleeps():
    await leaf(0.3)
async def locks(lock):
    async with lock: pass
async def reads(reader):
    await reader.read(1)
async def joins(task):
    await task
def computes(s):
    end = time.monotonic() + s
    while time.monotonic() < end: pass
async def main():
    lock, reader = asyncio.Lock(), asyncio.StreamReader()
    await lock.acquire()
    begin = time.monotonic_ns()
    tasks = {}
    async def timed(name, what):
        begin = time.monotonic_ns()
        await what
        truth[name] = time.monotonic_ns() - begin
    for name, what in (("sleeper", sleeps()), ("locker", locks(lock)), ("reader", reads(reader))):
        tasks[name] = asyncio.get_running_loop().create_task(timed(name, what))
        tasks[name].set_name(name)
    tasks["joiner"] = asyncio.get_running_loop().create_task(timed("joiner", joins(tasks["sleeper"])))
    tasks["joiner"].set_name("joiner")
    await asyncio.sleep(0.1)
    computes(0.1)  # nobody goes on meanwhile
    await asyncio.sleep(0.2)
    lock.release()
    reader.feed_eof()
    await asyncio.gather(*tasks.values())
def report(profile):
    found = {}
    for s in profile.samples:
        if s.task and s.frames[-1].is_suspended:
            entry = found.setdefault(s.task, {})
            key = f"{s.state}/{s.waiting_for}/" + ">".join(f.function_name.rpartition(".")[2] for f in s.frames)
            entry[key] = entry.get(key, 0) + s.weight_ns
            assert all(f.is_suspended for f in s.frames) and s.cpu_ns == 0
        else:
            assert s.task in ("", *EXPECTED) or s.task.startswith("Task-"), s.task
            assert not any(f.is_suspended for f in s.frames)
    return found
"""

EXPECTED = {
    "sleeper": ("sleeping", "sleep", ["timed", "sleeps", "leaf", "sleep"]),
    "locker": ("sleeping", "lock", ["timed", "locks", "__aenter__", "acquire"]),
    "reader": ("sleeping", "I/O", ["timed", "reads", "read", "_wait_for_data"]),
    "joiner": ("sleeping", "task", ["timed", "joins"]),
}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tasks_wait_where_they_say_and_as_long(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    run = "asyncio.run(main())" if loop == "asyncio" else "import uvloop; uvloop.install(); asyncio.run(main())"
    told = in_child(
        PROGRAM
        + f"""
import warnings
warnings.simplefilter("ignore")
spprof.start(interval_ms=3, mode="wall")
{run}
profile = spprof.stop()
threads = [[t.thread_id, t.name, t.time_ns, sum(s.weight_ns for s in profile.samples if s.thread_name == t.name)]
           for t in profile.threads if t.name.startswith("MainThread") or "tasks" in t.name]
tell([truth, report(profile), threads, [t.name for t in profile.threads],
      sorted(profile.samples, key=lambda s: s.timestamp_ns) == list(profile.samples)])
"""
    )
    truth, found, threads, names, in_order = told
    for name, (state, waiting_for, chain) in EXPECTED.items():
        weight = sum(found[name].values())
        # A look every 3 ms or so; the loop was busy for 0.1 s, in which nobody could look but by the GIL's switches.
        assert abs(weight - truth[name]) < 0.03e9 + 0.1 * truth[name], (name, weight, truth[name])
        best = max(found[name], key=found[name].get)
        got_state, got_for, stack = best.split("/", 1)[0], best.split("/")[1], best.rpartition("/")[2]
        if waiting_for == "I/O":
            got_for, stack = "I/O", best.rpartition("/")[2]
            assert "/I/O/" in best
        assert (got_state, got_for, stack.split(">")) == (state, waiting_for, chain), best
        assert found[name][best] > 0.7 * weight
    assert in_order
    tasks = [t for t in threads if "tasks" in t[1]]
    assert len(tasks) == 1 and tasks[0][2] == tasks[0][3] > 0
    (main,) = [t for t in threads if t[1] == "MainThread"]
    assert main[2] == main[3]
    assert len(names) <= 3, names  # spprof's own threads are not among them


def test_it_can_be_switched_off_and_is_off_in_other_modes() -> None:
    told = in_child(
        PROGRAM
        + """
spprof.start(interval_ms=3, mode="wall", asyncio=False)
asyncio.run(main())
off = report(spprof.stop())
spprof.start(interval_ms=3)
asyncio.run(main())
cpu = report(spprof.stop())
with spprof.Profiler(3, mode="wall", asyncio=False) as block:
    asyncio.run(main())
decorated = spprof.profile(interval_ms=3, mode="wall", asyncio=False)(main)
asyncio.run(decorated())
with spprof.Profiler(3, mode="wall") as on:
    asyncio.run(main())
tell([off, cpu, report(block.profile), report(decorated.last_profile), sorted(report(on.profile)),
      threading.active_count(), len(tasks())])
"""
    )
    off, cpu, block, decorated, on, threads, system_threads = told
    assert off == cpu == block == decorated == {}
    assert set(EXPECTED) <= set(on)
    assert threads == 1 and system_threads == 1


def test_many_tasks_cost_little_and_none_is_left_out() -> None:
    """A thousand tasks: the looks get rarer, as the machine is slower; the sums stay right."""
    told = in_child(
        """
import asyncio
from spprof import _session
async def request(event): await event.wait()
async def main():
    event = asyncio.Event()
    begin = time.monotonic_ns()
    tasks = [asyncio.get_running_loop().create_task(request(event)) for _ in range(1000)]
    await asyncio.sleep(1)
    weights = _session._current.tasks._rows.weights
    before = sum(weights)
    while sum(weights) == before:  # until the next look, however long that takes here
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # all of it
    elapsed = time.monotonic_ns() - begin
    event.set()
    await asyncio.gather(*tasks)
    return elapsed
spprof.start(interval_ms=1, mode="wall")
elapsed = asyncio.run(main())
profile = spprof.stop()
waits = [s for s in profile.samples if s.frames[-1].is_suspended and s.frames[0].function_name == "request"]
tell([elapsed, sum(s.weight_ns for s in waits), len(waits), len({s.task for s in waits})])
"""
    )
    elapsed, weight, rows, tasks = told
    assert tasks == 1000 and rows < 8000  # a wait is a row, however often it was looked at
    # Not in it: what came before the first look, and after the last.
    assert 0.75 * 1000 * elapsed < weight < 1.1 * 1000 * elapsed


def test_the_memory_limit_holds_and_what_is_lost_is_told() -> None:
    told = in_child(
        """
import asyncio, warnings
warnings.simplefilter("ignore")
async def main(): await asyncio.gather(*[asyncio.sleep(0.3) for _ in range(6000)])
spprof.start(interval_ms=1, memory_limit_mb=1, mode="wall")
asyncio.run(main())
profile = spprof.stop()
(tasks,) = [t for t in profile.threads if "tasks" in t.name]
waits = [s.weight_ns for s in profile.samples if s.thread_name == tasks.name]
tell([tasks._asdict(), tasks.time_ns, sum(waits), profile.dropped_count,
      [l._asdict() for l in profile.losses if profile.threads[l.thread_index] is tasks]])
"""
    )
    tasks, time_ns, weight, dropped, losses = told
    assert tasks["dropped"] > 0 and dropped >= tasks["dropped"]
    assert time_ns == tasks["wall_ns"] == weight + tasks["dropped_ns"]
    (loss,) = losses
    assert (loss["kind"], loss["count"], loss["weight_ns"]) == ("dropped", tasks["dropped"], tasks["dropped_ns"])


BUSY = """
import asyncio
from spprof import _session
def computes(s):
    end = time.thread_time() + s
    while time.thread_time() < end: spin(300)
def worker(name):
    # coroutines and functions whose names say whose they are
    space = {"asyncio": asyncio, "computes": computes, "blocks": blocks}
    exec(f'''
async def inner_{name}(s): computes_{name}(s)
def computes_{name}(s): computes(s)
async def work_{name}(pieces, s, begin):
    await begin.wait()
    for _ in range(pieces):
        await inner_{name}(s)
        await asyncio.sleep(0)
    blocks()
async def short_{name}(s): computes_{name}(s)
''', space)
    return space
def blocks():
    # the loop too, until that was seen, however busy the machine is
    before = spprof.stats().outside_reads
    for n in range(500):
        time.sleep(0.02)
        if n >= 3 and spprof.stats().outside_reads > before + 3:
            break
async def start(name, coroutine):
    task = asyncio.get_running_loop().create_task(coroutine)
    task.set_name(f"task {name}")
    return task
async def main():
    workers = {name: worker(name) for name in ("one", "two", "three")}
    begin = asyncio.Event()
    tasks = [await start(name, workers[name][f"work_{name}"](pieces, 0.005, begin))
             for name, pieces in (("one", 20), ("two", 40), ("three", 60))]
    async def churn():
        # each gets the memory that the one before it has left, and is another function's
        for n in range(300):
            name = ("one", "two", "three")[n % 3]
            await (await start(name, workers[name][f"short_{name}"](0.00002 if n % 10 else 0.004)))
    tasks.append(await start("churn", churn()))
    looks = _session._current.tasks
    while not {f"task {name}" for name in workers} <= {looks._rows.names[life.name] for life in list(looks._runs._lives)}:
        await asyncio.sleep(0.01)  # until a look has met them: before, samples have no name
    begin.set()
    await asyncio.gather(*tasks)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_running_tasks_have_their_names_and_never_another_ones(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    run = "asyncio.run(main())" if loop == "asyncio" else "import uvloop; uvloop.install(); asyncio.run(main())"
    told = in_child(
        BUSY
        + f"""
import warnings
warnings.simplefilter("ignore")
spprof.start(interval_ms=2, mode="wall")
{run}
profile = spprof.stop()
wrong, cpu, blocked, unnamed, named = [], {{}}, {{}}, 0, 0
for s in profile.samples:
    if any(f.is_suspended for f in s.frames):
        continue
    functions = [f.function_name for f in s.frames]
    (whose,) = {{n.rpartition("_")[2] for n in functions if n.startswith(("inner_", "work_", "computes_", "short_"))}} or {{""}}
    if s.task == "Task-1":
        right = "main" in functions
    elif s.task == "task churn":
        right = any(n.endswith("churn") for n in functions)
    else:
        right = s.task == "" or s.task == f"task {{whose}}"
    if not right:
        wrong.append([s.task, functions])
    named += bool(s.task and whose)
    if any(n.startswith("work_") for n in functions):
        if s.task:
            cpu.setdefault(whose, []).append(s.cpu_ns)
        else:
            unnamed += s.cpu_ns
        if s.waiting_for == "sleep":
            blocked[whose] = blocked.get(whose, 0) + bool(s.task)
tell([wrong, cpu, blocked, unnamed, named])
"""
    )
    wrong, cpu, blocked, unnamed, named = told
    assert wrong == [] and named > 10
    assert unnamed == 0  # each of them was met before it began
    values = [ns for each in cpu.values() for ns in each]
    whole = sum(values)
    # As many samples as would say as much if each stood for the same time: fewer where the sampler was let in late.
    count = whole**2 / sum(ns**2 for ns in values)
    for name, part in (("one", 1 / 6), ("two", 2 / 6), ("three", 3 / 6)):
        bound = 4 * (part * (1 - part) / count) ** 0.5 + 1 / count
        assert abs(sum(cpu[name]) / whole - part) < bound, (name, sum(cpu[name]) / whole, bound)
        assert blocked[name] > 0, blocked


def test_a_task_that_was_there_at_the_start_lives_no_longer_for_it() -> None:
    told = in_child(
        """
import asyncio, gc, weakref
from spprof import _session
async def early(event): await event.wait()
async def main():
    event = asyncio.Event()
    tasks = [asyncio.get_running_loop().create_task(early(event)) for _ in range(3)]
    await asyncio.sleep(0)
    gone = [weakref.ref(task) for task in tasks] + [weakref.ref(task.get_coro()) for task in tasks]
    spprof.start(interval_ms=2, mode="wall")
    while len(_session._current.tasks._runs._lives) < 4:
        await asyncio.sleep(0.002)
    event.set()
    await asyncio.gather(*tasks)
    del tasks
    for _ in range(500):  # a look may be at them for a moment
        gc.collect()
        if not any(ref() for ref in gone):
            break
        await asyncio.sleep(0.01)
    return [ref() is None for ref in gone]
gone = asyncio.run(main())
spprof.stop()
tell(gone)
"""
    )
    assert told == [True] * 6


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_loop_that_was_started_without_a_runner(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    told = in_child(
        f"""
import asyncio, {loop}
async def chore(): await asyncio.sleep(0.3)
def program():
    loop = {loop}.new_event_loop()
    loop.run_until_complete(chore())
    loop.close()
spprof.start(interval_ms=5, mode="wall")
program()
profile = spprof.stop()
tell([[t.function_name, t.waiting_ns, [w.waiting_for for w in t.waits]] for t in profile.tasks()])
"""
    )
    ((name, waiting, kinds),) = told
    assert name == "chore" and kinds == ["sleep"] and 0.15e9 < waiting < 0.5e9


def test_tasks_by_function() -> None:
    told = in_child(
        BUSY
        + """
async def waits(event): await event.wait()
async def naps(): await asyncio.sleep(0.2)
async def blocks():
    await asyncio.sleep(0.05)
    time.sleep(0.1)
async def everything():
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(waits(event)) for _ in range(3)] + [loop.create_task(naps()), loop.create_task(blocks())]
    await asyncio.sleep(0.25)
    event.set()
    await asyncio.gather(*tasks)
spprof.start(interval_ms=2, mode="wall")
asyncio.run(everything())
profile = spprof.stop()
cpu = spprof.Profiler(5)
with cpu:
    burn(0.02)
tell([[[t.function_name, t.filename, t.firstlineno, len(t.names), t.waiting_ns, t.ready_ns, t.running_ns, t.blocking_ns,
        [[w.waiting_for, w.frame.function_name, w.frame.lineno] for w in t.waits]] for t in profile.tasks()],
      [f.__code__.co_firstlineno for f in (waits, naps, blocks)], cpu.profile.tasks(),
      sum(s.weight_ns for s in profile.samples if s.task)])
"""
    )
    summaries, (waits_line, naps_line, blocks_line), nothing, whole = told
    assert nothing == []
    by_name = {row[0]: row[1:] for row in summaries}
    assert [row[4] for row in summaries] == sorted((row[4] for row in summaries), reverse=True)
    assert sum(sum(row[4:8]) for row in summaries) == whole
    _, line, count, waiting, _, running, _, waits = by_name["waits"]
    assert (line, count, running) == (waits_line, 3, 0)
    assert 3 * 0.15e9 < waiting < 3 * 0.4e9 and waits[0] == ["lock", "waits", waits_line]
    assert by_name["naps"][7][0] == ["sleep", "naps", naps_line]
    # blocks() kept the loop for 0.1 s, in which naps() could not go on either
    _, line, count, waiting, _, _, blocking, waits = by_name["blocks"]
    assert (line, count) == (blocks_line, 1)
    assert 0.03e9 < waiting and 0.05e9 < blocking < 0.2e9


@pytest.mark.parametrize("switch", [[], ["--no-asyncio"]])
def test_from_the_command_line(tmp_path: Path, switch: list[str]) -> None:
    (tmp_path / "waiter.py").write_text(
        "import asyncio, time\n"
        "async def chore():\n"
        "    begin = time.monotonic()\n"
        "    await asyncio.sleep(0.5)\n"
        "    print(time.monotonic() - begin)\n"
        "asyncio.run(chore())\n"
    )
    command = ["run", "--mode", "wall", "--interval-ms", "5", *switch, "-o", "out.speedscope.json", "-m", "waiter"]
    result = spprof(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    document = json.loads((tmp_path / "out.speedscope.json").read_text())
    frames = [frame["name"] for frame in document["shared"]["frames"]]
    stacks: dict[str, dict[str, float]] = {}
    for profile in document["profiles"]:
        entry = stacks.setdefault(profile["name"], {})
        for sample, weight in zip(profile["samples"], profile["weights"]):
            stack = ">".join(frames[index] for index in sample)
            entry[stack] = entry.get(stack, 0) + weight
    waits = [weight for entry in stacks.values() for stack, weight in entry.items() if stack == "chore>sleep"]
    if switch:
        assert waits == [] and "(tasks)" not in "".join(stacks)
    else:
        # It came at an unknown moment between two looks, at most 0.1 s apart; on a busy machine a little more.
        true = float(result.stdout)
        assert len(waits) == 1 and abs(waits[0] / 1e9 - true) < 0.1, (true, stacks)
    # Both clocks are there: what is cut off at runpy takes nothing else along.
    assert [name for name in stacks if "CPU time" in name], list(stacks)
    assert ("asyncio tasks" in result.stderr) == (not switch)
    if not switch:
        (row,) = [text for text in result.stderr.splitlines() if " chore " in text and "sleep at" in text]
        assert row.endswith("sleep at waiter.py:4") and abs(float(row.split()[0]) - true) < 0.11
    assert not any("_run_module_as_main>_run_code>" in stack for entry in stacks.values() for stack in entry)
