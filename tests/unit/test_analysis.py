"""What can be asked of a profile: every answer is the profile's own time, divided in another way."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import pytest
from profiles import EXAMPLE, MS, example, make_profile
from test_export_spprof import elapsed

import spprof
from spprof import Profile


def many(seed: int, samples: int = 400) -> Profile:
    """A profile of random stacks with recursion, losses and two threads of one name."""
    chance = random.Random(seed)
    rows = []
    for _ in range(samples):
        stack = [f"{chance.choice('abcde')}:{chance.randint(1, 4)}" for _ in range(chance.randint(0, 6))]
        rows.append((chance.randint(0, 2), tuple(stack), chance.choice((0, 1, 7 * MS, 10 * MS + chance.randint(0, 9)))))
    return make_profile(
        rows,
        threads=("MainThread", "worker", "worker"),
        losses=[("dropped", 1, 20 * MS, 400 * MS, 7, 31 * MS + 1), ("unsampled", 0, 5 * MS, 6 * MS, 0, 5)],
        dropped_ns={1: 40 * MS, 2: 3},
        unsampled_ns={0: 2 * MS},
    )


def settled(profile: Profile) -> Profile:
    """*profile* with threads that say of themselves what its rows and losses say, as a sampler's do."""
    rows = profile._rows
    threads = []
    for index, thread in enumerate(profile.threads):
        mine = [row for row in range(len(rows)) if rows.thread_index[row] == index]
        lost = sum(loss.count for loss in profile.losses if loss.thread_index == index)
        changed = thread._replace(dropped=lost)
        if rows.cpu is not None and rows.states is not None:
            sums = [0, 0, 0]
            for row in mine:
                sums[{0: 0, 1: 1}.get(rows.states[row], 2)] += rows.weights[row]
            cpu = sum(rows.cpu[row] for row in mine)
            changed = changed._replace(
                cpu_ns=cpu + 3, cpu_unsampled_ns=3, wall_ns=thread.time_ns, running_ns=sums[0], gil_wait_ns=sums[1],
                sleeping_ns=sums[2],
            )  # fmt: skip
        threads.append(changed)
    profile._facts.threads = tuple(threads)
    profile._facts.cpu_time_ns = sum(thread.cpu_ns for thread in threads)
    return profile


PROFILES = [settled(each) for each in (example(), many(1), many(2), make_profile([]), elapsed())]
PROFILE_IDS = ["example", "many", "many2", "empty", "elapsed"]
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=PROFILE_IDS)


def whole(profile: Any) -> int:
    return sum(thread.time_ns for thread in profile.threads)


def by_hand(profile: Profile, key: Any) -> dict[Any, list[int]]:
    """Own and total time by what *key* makes of frames, sample by sample."""
    sums: dict[Any, list[int]] = {}
    for sample in profile.samples:
        keys = [key(frame) for frame in sample.frames]
        for each in set(keys):
            sums.setdefault(each, [0, 0])[1] += sample.weight_ns
        if keys:
            sums[keys[-1]][0] += sample.weight_ns
    return sums


@every_profile
def test_top_adds_up_to_all_time(profile: Profile) -> None:
    everything = profile.functions()
    for n in (0, 1, 3, len(everything), 1000):
        for by in ("self", "total"):
            top = profile.top(n, by)
            assert len(top) == min(n, len(everything)) and top.rest_count == len(everything) - len(top)
            rootless = sum(s.weight_ns for s in profile.samples if not s.frames)
            together = sum(f.self_ns for f in top) + top.rest_ns + top.dropped_ns + top.unsampled_ns
            assert together + rootless == top.time_ns == whole(profile)
    assert [*profile.top(3)] == everything[:3]
    totals = [f.total_ns for f in profile.top(1000, "total")]
    assert totals == sorted(totals, reverse=True)


@every_profile
def test_lines_are_counted_once_a_sample(profile: Profile) -> None:
    truth = by_hand(profile, lambda f: (f.filename, f.lineno) if f.filename else (f.function_name, 0))
    table = profile.lines()
    assert {
        (line.filename or line.function_name, line.lineno): [line.self_ns, line.total_ns] for line in table
    } == truth
    assert table.self_ns + table.elsewhere_ns + table.dropped_ns + table.unsampled_ns == table.time_ns == whole(profile)
    for file in {f.filename for s in profile.samples for f in s.frames} - {""}:
        one = profile.lines(file)
        assert [line.lineno for line in one] == sorted({line.lineno for line in one})
        assert one.self_ns == sum(line.self_ns for line in table if line.filename == file)
        assert one.total_ns == sum(s.weight_ns for s in profile.samples if file in {f.filename for f in s.frames})
        assert one.self_ns + one.elsewhere_ns + one.dropped_ns + one.unsampled_ns == whole(profile)


def test_files_are_named_by_their_last_parts() -> None:
    profile = make_profile([(0, ("aa:1", "ab:2", "b:3"), MS)])
    assert profile.lines("a.py").filename == profile.lines("src/a.py").filename == "/src/a.py"
    with pytest.raises(ValueError, match=r"no file 'c\.py' in this profile; it has /src/a\.py, /src/b\.py"):
        profile.lines("c.py")
    with pytest.raises(ValueError, match="no file '' in"):
        profile.lines("")
    with pytest.raises(ValueError, match="it has no files"):
        make_profile([]).lines("a.py")
    raw = [(0, ("a:1",), MS)]
    both = make_profile(raw)
    frame = both._tree.frames[0]
    both._tree.frames = (frame, frame._replace(filename="/lib/a.py"), *both._tree.frames[1:])
    with pytest.raises(ValueError, match=r"more than one file of this profile: /lib/a\.py, /src/a\.py; name more"):
        both.lines("a.py")


@every_profile
@pytest.mark.parametrize("threads", [True, False])
def test_tree_adds_up_at_every_node(profile: Profile, threads: bool) -> None:
    root = profile.tree(threads=threads)
    assert (root.name, root.kind, root.total_ns) == ("all", "all", whole(profile))
    assert root.total_samples == profile.sample_count
    for _, node in root.walk():
        assert node.total_ns == node.self_ns + sum(child.total_ns for child in node.children)
        assert node.total_samples == node.self_samples + sum(child.total_samples for child in node.children)
        assert [c.total_ns for c in node.children] == sorted((c.total_ns for c in node.children), reverse=True)
    if threads:
        assert {n.name for n in root.children} <= set(profile._thread_labels())
        assert {n.kind for n in root.children} <= {"thread"}
    document = root.to_dict()
    assert document["total_ns"] == whole(profile) and len(document["children"]) == len(root.children)  # type: ignore[arg-type]


def test_hot_path_ends_where_the_time_is() -> None:
    assert [node.name for node in example().tree().hot_path()] == ["all", "MainThread", "main", "load", "parse"]
    assert [node.name for node in make_profile([]).tree().hot_path()][:1] == ["all"]
    deep = make_profile([(0, tuple(f"f{i}:1" for i in range(1000)), MS)])
    path = deep.tree().hot_path()
    assert len(path) == 1002 and sum(1 for _ in deep.tree().walk()) == 1002


@every_profile
def test_callers_and_callees_add_up_to_the_function(profile: Profile) -> None:
    for function in profile.functions():
        for calls in (profile.callers(function.function_name), profile.callees(function.function_name)):
            if (calls.filename, calls.firstlineno) == (function.filename, function.firstlineno):
                assert calls.total_ns == sum(call.total_ns for call in calls) == function.total_ns


def test_callers_of_recursion_are_those_outside() -> None:
    profile = example()
    assert [(c.function_name, c.total_ns) for c in profile.callers("fib")] == [("run", 15 * MS)]
    assert [(c.function_name, c.total_ns) for c in profile.callees("fib")] == [("", 15 * MS)]
    assert [(c.function_name, c.total_ns) for c in profile.callers("main")] == [("", 31 * MS)]
    assert [(c.function_name, c.total_ns) for c in profile.callees("load")] == [("parse", 26 * MS), ("", 4 * MS)]
    method = make_profile([(0, ("A.run:1", "A.step:2"), MS)])
    assert method.callers("step").function_name == "A.step"
    with pytest.raises(ValueError, match=r"no function 'nope' in this profile; Profile\.functions\(\) lists"):
        profile.callers("nope")


def test_what_makes_no_sense_is_refused() -> None:
    profile = example()
    for error, call in (
        (ValueError, lambda: profile.top(-1)),
        (TypeError, lambda: profile.top(True)),
        (TypeError, lambda: profile.top("3")),  # type: ignore[arg-type]
        (ValueError, lambda: profile.top(3, "selfish")),
    ):
        with pytest.raises(error):
            call()


def test_answers_read_well() -> None:
    text = str(many(1).top(2))
    assert text.splitlines()[0].split() == ["self", "s", "self", "%", "total", "s", "total", "%", "function"]
    assert "[dropped]" in text and "(3 more)" in text
    evil = make_profile([(0, ("x\x1b[2J:1",), MS)])
    assert "\x1b" not in f"{evil.top()}{evil.lines()}{evil.callers(evil.functions()[0].function_name)}"
    assert str(make_profile([]).top()) and str(make_profile([]).lines())
    assert repr(example().top(2)) == "<TopFunctions by self: 2 of 5 functions>"
    assert example().top(2) == example().top(2) != example().top(3)
    assert pickle.loads(pickle.dumps(example().lines())) == copy.deepcopy(example().lines())


def test_answers_of_an_aggregated_profile_are_the_same() -> None:
    profile = many(1)
    merged = profile.aggregate()
    assert str(merged.top()) == str(profile.top()) and str(merged.lines()) == str(profile.lines())
    assert merged.tree().to_dict() == profile.tree().to_dict()


def test_names_are_public() -> None:
    for name in ("TopFunctions", "FileLines", "LineSummary", "Calls", "CallSummary", "CallNode", "merge_profiles"):
        assert name in spprof.__all__ and getattr(spprof, name).__doc__
    assert len(EXAMPLE) == example().sample_count
