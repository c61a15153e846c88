"""Stacks that are swapped under the interpreter: greenlet, gevent, and asyncio's tasks."""

from __future__ import annotations

import pytest
from life import in_child

pytestmark = pytest.mark.needs_native

# Every function is made for one number, which is in its name, so that a stack says whose it is.
MADE = r"""
import functools, re
sys.setrecursionlimit(5000)
def made(number, template):
    namespace = dict(globals())
    exec(compile(template.replace("NN", str(number)), f"green-{number}.py", "exec"), namespace)
    return namespace
@functools.lru_cache(maxsize=None)  # equal stacks share one tuple
def look(frames):
    owned = [(re.search(r"_g(\d+)", f.function_name), f.function_name) for f in frames]
    owned = [(int(m[1]), re.sub(r"\d+", "N", name)) for m, name in owned if m]
    return sorted({number for number, _ in owned}), tuple(name for _, name in owned)
def owners(sample):
    return look(sample.frames)[0]
def judge(profile):
    mixed = [[f.function_name for f in s.frames] for s in profile.samples if len(owners(s)) > 1]
    seen = {o for s in profile.samples for o in owners(s)}
    return mixed[:3], seen, sorted({look(s.frames)[1] for s in profile.samples})
"""

# Where stacks are being swapped there are moments at which none can be read: such a sample says so ([invalid stack])
# and is counted. They must stay the exception.
MOST_REFUSED = 0.01


def check_shapes(shapes: list[list[str]], root: str, inner: str, leaf: str) -> None:
    """A stack is root, inner, inner, ..., leaf, cut at any point."""
    for shape in shapes:
        if shape:
            assert shape[0] == root, shape
            assert all(name == inner for name in shape[1:-1]), shape
            assert shape[-1] in (root, inner, leaf), shape


@pytest.mark.parametrize("depth", [0, 30, 300])
def test_greenlets_that_switch_at_every_depth(depth: int) -> None:
    # Hazard 32
    pytest.importorskip("greenlet")
    told = in_child(
        MADE
        + f"""
import greenlet
template = '''
def root_gNN(): return down_gNN({depth})
def down_gNN(n):
    if n:
        hub.switch() if n % 50 == 49 else None
        return down_gNN(n - 1) + 1
    return leaf_gNN()
def leaf_gNN():
    while True:
        spin(8)
        hub.switch()
'''
hub = greenlet.getcurrent()
green = []
for number in range(12):
    green.append(greenlet.greenlet(made(number, template)[f"root_g{{number}}"]))
spprof.start(interval_ms=0.1)
end = time.thread_time() + 1
switches = 0
while time.thread_time() < end:
    for g in green:
        g.switch()
        switches += 1
profile = spprof.stop()
mixed, seen, shapes = judge(profile)
tell([mixed, len(seen), shapes, switches, profile.sample_count, profile.stats.validation_drops])
"""
    )
    mixed, seen, shapes, switches, samples, invalid = told
    assert mixed == []
    assert seen == 12 and switches > 5000 and samples > 1000
    check_shapes(shapes, "root_gN", "down_gN", "leaf_gN")
    assert invalid <= samples * MOST_REFUSED, f"{invalid} of {samples}"


def test_greenlets_that_come_and_go_in_threads() -> None:
    # Hazards 2, 32
    pytest.importorskip("greenlet")
    told = in_child(
        MADE
        + """
import greenlet
template = '''
def root_gNN(): return down_gNN(20)
def down_gNN(n):
    return down_gNN(n - 1) + 1 if n else leaf_gNN()
def leaf_gNN():
    for _ in range(5):
        spin(20)
        greenlet.getcurrent().parent.switch()
    return 0
'''
def work(thread):
    end = time.monotonic() + 2
    number = thread * 1_000_000
    while time.monotonic() < end:
        green = []
        for _ in range(5):
            number += 1
            green.append(greenlet.greenlet(made(number, template)[f"root_g{number}"]))
        for _ in range(3):  # some end, some are thrown away in the middle
            for g in green:
                g.switch()
        while green[0]:
            green[0].switch()
spprof.start(interval_ms=0.1)
threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3)]
for t in threads:
    t.start()
for t in threads:
    t.join()
profile = spprof.stop()
mixed, seen, shapes = judge(profile)
wrong_thread = [s.thread_name for s in profile.samples
                if owners(s) and f"Thread-{owners(s)[0] // 1_000_000}" not in s.thread_name.split(" ")[0]]
tell([mixed, len(seen), shapes, profile.sample_count, profile.stats.validation_drops, len(wrong_thread)])
"""
    )
    mixed, seen, shapes, samples, invalid, wrong_thread = told
    assert mixed == [] and wrong_thread == 0
    assert seen > 50
    check_shapes(shapes, "root_gN", "down_gN", "leaf_gN")
    assert invalid <= samples * MOST_REFUSED, f"{invalid} of {samples}"


def test_gevent() -> None:
    # Hazards 31, 32
    pytest.importorskip("gevent")
    told = in_child(
        "from gevent import monkey; monkey.patch_all()\n"
        + MADE
        + """
import gevent
template = '''
def root_gNN():
    while time.monotonic() < end: down_gNN(10)
def down_gNN(n):
    return down_gNN(n - 1) + 1 if n else leaf_gNN()
def leaf_gNN():
    spin(30)
    time.sleep(0)
    return 0
'''
spprof.start(interval_ms=0.1)
end = time.monotonic() + 1.5
green = [gevent.spawn(made(n, template.replace("end", repr(end)))[f"root_g{n}"]) for n in range(10)]
gevent.joinall(green)
profile = spprof.stop()
mixed, seen, shapes = judge(profile)
errors = [repr(g.exception) for g in green if g.exception]
tell([mixed, len(seen), shapes, profile.sample_count, profile.stats.validation_drops, errors])
"""
    )
    mixed, seen, shapes, samples, invalid, errors = told
    assert errors == [] and mixed == []
    assert seen == 10 and samples > 1000
    check_shapes(shapes, "root_gN", "down_gN", "leaf_gN")
    assert invalid <= samples * MOST_REFUSED, f"{invalid} of {samples}"


def test_asyncio_tasks_are_never_mixed_and_are_whole() -> None:
    # Hazards 15, 32
    told = in_child(
        MADE
        + """
import asyncio
template = '''
async def root_gNN():
    while time.monotonic() < end: await down_gNN(10)
async def down_gNN(n):
    return await down_gNN(n - 1) + 1 if n else await leaf_gNN()
async def leaf_gNN():
    spin(30)
    await asyncio.sleep(0)
    return 0
'''
async def main():
    await asyncio.gather(*[made(n, template.replace("end", repr(end)))[f"root_g{n}"]() for n in range(10)])
spprof.start(interval_ms=0.1)
end = time.monotonic() + 1.5
asyncio.run(main())
profile = spprof.stop()
mixed, seen, shapes = judge(profile)
tell([mixed, len(seen), shapes, profile.sample_count, profile.stats.validation_drops])
"""
    )
    mixed, seen, shapes, samples, invalid = told
    assert mixed == []
    assert seen == 10 and samples > 1000 and invalid == 0
    check_shapes(shapes, "root_gN", "down_gN", "leaf_gN")
    assert any(len(shape) == 13 for shape in shapes), shapes  # root, 11 times down, leaf
