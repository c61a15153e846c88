"""Parts and sums of profiles: `Profile.filter`, `Profile.merge`."""

from __future__ import annotations

from typing import Any

import pytest
from profiles import MS, example, make_profile
from test_analysis import PROFILES, every_profile, many, whole
from test_export_spprof import elapsed

import spprof
from spprof import Profile


def check(profile: Profile) -> None:
    """A profile's sums are those of its samples."""
    rows = [*profile.samples]
    assert [s.timestamp_ns for s in rows] == sorted(s.timestamp_ns for s in rows)
    by_thread = [0] * len(profile.threads)
    for thread, weight in zip(profile._rows.thread_index, profile._rows.weights):
        by_thread[thread] += weight
    assert by_thread == [thread.sampled_ns for thread in profile.threads]
    assert sum(thread.samples for thread in profile.threads) == len(rows) == profile.stats.collected
    assert profile.cpu_time_ns == sum(thread.cpu_ns for thread in profile.threads)
    for index, thread in enumerate(profile.threads):
        for kind, total in (("dropped", thread.dropped_ns), ("unsampled", thread.unsampled_ns)):
            dated = sum(each.weight_ns for each in profile.losses if (each.thread_index, each.kind) == (index, kind))
            assert dated <= total
        if profile.mode == "cpu":
            assert thread.cpu_ns == thread.time_ns
        elif profile._rows.states is not None:
            assert thread.running_ns + thread.gil_wait_ns + thread.sleeping_ns == thread.sampled_ns
    assert profile.tree().total_ns == whole(profile)


def state_of(profile: Profile) -> Any:
    return profile.threads, sorted(profile.losses), [*profile.samples], profile.cpu_time_ns


@every_profile
def test_no_condition_keeps_everything(profile: Profile) -> None:
    for same in (profile.filter(), profile.filter(time=(None, None)), profile.filter(time=(0, 1e9))):
        assert state_of(same) == state_of(profile)
        check(same)


@every_profile
@pytest.mark.parametrize("seconds", [0.0001, 0.0255, 0.02, 0.027, 1.2345])
def test_ranges_that_touch_are_the_whole(profile: Profile, seconds: float) -> None:
    before, after = profile.filter(time=(None, seconds)), profile.filter(time=(seconds, None))
    check(before)
    check(after)
    assert whole(before) + whole(after) == whole(profile)
    assert before.cpu_time_ns + after.cpu_time_ns == profile.cpu_time_ns
    assert before.dropped_count + after.dropped_count == sum(thread.dropped for thread in profile.threads)
    if profile.mode == "cpu":
        assert before.sample_count + after.sample_count == profile.sample_count
        assert all(sample.timestamp_ns < seconds * 1e9 for sample in before.samples)
    again = before.merge(after)
    check(again)
    assert whole(again) == whole(profile)


def test_a_sleep_across_an_edge_is_divided() -> None:
    profile = PROFILES[-1]
    sleeps = [s for s in profile.samples if s.state == "sleeping" and s.weight_ns > 1 * MS]
    assert sleeps
    sleep = sleeps[0]
    edge = (sleep.timestamp_ns + sleep.weight_ns // 2) / 1e9
    early, late = profile.filter(time=(None, edge)), profile.filter(time=(edge, None))
    parts = [
        s for part in (early, late) for s in part.samples
        if s.frames == sleep.frames and s.thread_id == sleep.thread_id and s.state == "sleeping"
        and sleep.timestamp_ns <= s.timestamp_ns < sleep.timestamp_ns + sleep.weight_ns
    ]  # fmt: skip
    assert sum(s.weight_ns for s in parts) == sleep.weight_ns and len(parts) == 2
    assert abs(parts[0].weight_ns - parts[1].weight_ns) <= 2


@every_profile
def test_threads_are_chosen_by_name_or_id(profile: Profile) -> None:
    names = [thread.name for thread in profile.threads]
    parts = [profile.filter(thread=name) for name in dict.fromkeys(names)]
    assert sum(map(whole, parts)) == whole(profile)
    for part in parts:
        check(part)
    if names:
        one = profile.filter(thread=profile.threads[-1].thread_id)
        assert [t.name for t in one.threads] == [names[-1]] and whole(one) == profile.threads[-1].time_ns
        assert whole(profile.filter(thread=[*names, 17])) == whole(profile.filter(thread="*")) == whole(profile)
    nothing = profile.filter(thread="nobody")
    assert (nothing.sample_count, nothing.threads, nothing.losses, whole(nothing)) == (0, (), (), 0)
    check(nothing)


def test_a_thread_is_also_chosen_by_its_label() -> None:
    part = many(1).filter(thread="worker #2")
    assert len(part.threads) == 1 and part.threads[0].thread_id == 1002


def test_stacks_are_chosen_by_what_is_on_them() -> None:
    profile = example()
    for part, wanted in (
        (profile.filter(function="load"), lambda names: "load" in names),
        (profile.filter(function="pa*"), lambda names: "parse" in names),
        (profile.filter(function=["fib", "parse"]), lambda names: {"fib", "parse"} & set(names)),
        (profile.filter(filename="f.py"), lambda names: "fib" in names),
        (profile.filter(filename="/src/f.py", function="run"), lambda names: "fib" in names),
        (profile.filter(filename="f.py", function="main"), lambda names: False),
    ):
        expected = [s for s in profile.samples if wanted([f.function_name for f in s.frames])]
        assert [*part.samples] == expected
        assert whole(part) == sum(s.weight_ns for s in expected)
        assert part.losses == () and part.dropped_count == 0
        check(part)


def test_modules_are_chosen_with_what_is_in_them() -> None:
    profile = example()
    modules = {
        "/src/m.py": "__main__",
        "/src/l.py": "pack.load",
        "/src/p.py": "packing",
        "/src/f.py": "pack",
        "/src/r.py": "",
    }
    frames = [f._replace(module=modules.get(f.filename, "")) for f in profile._tree.frames]
    profile._tree.frames = tuple(frames)
    for module, functions in (
        ("pack", {"load", "fib"}), ("pack.load", {"load"}), ("packing", {"parse"}), ("pack*", {"load", "fib", "parse"}),
        ("pac", set()), (["packing", "pack.load"], {"load", "parse"}),
    ):  # fmt: skip
        expected = [s for s in profile.samples if functions & {f.function_name for f in s.frames}]
        assert [*profile.filter(module=module).samples] == expected, module


def test_states_and_tasks() -> None:
    profile = PROFILES[-1]
    parts = [
        profile.filter(state=s) for s in ("running", "waiting for the GIL", "sleeping", "waiting for the event loop")
    ]
    assert sum(map(len, (part.samples for part in parts))) == profile.sample_count
    for part, state in zip(parts, ("running", "waiting for the GIL", "sleeping", "waiting for the event loop")):
        assert {s.state for s in part.samples} <= {state}
        check(part)
    tasks = {s.task for s in profile.samples}
    for task in tasks - {""}:
        part = profile.filter(task=task)
        assert [*part.samples] == [s for s in profile.samples if s.task == task]
        check(part)
    assert profile.filter(state="sleep*", time=(0, None)).sample_count == parts[2].sample_count
    assert example().filter(state="running").sample_count == example().sample_count
    assert example().filter(state="sleeping").sample_count == 0
    with pytest.raises(
        ValueError, match="unknown state 'asleep'; states are 'running', 'waiting for the GIL', 'sleeping'"
    ):
        profile.filter(state="asleep")


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ({"time": 3}, TypeError),
        ({"time": (1,)}, TypeError),
        ({"time": ("0", 1)}, TypeError),
        ({"time": (2, 1)}, ValueError),
        ({"time": (1, 1)}, ValueError),
        ({"time": (float("nan"), 1)}, ValueError),
        ({"thread": 1.5}, TypeError),
        ({"thread": []}, ValueError),
        ({"module": 3}, TypeError),
        ({"function": [None]}, TypeError),
        ({"filename": []}, ValueError),
    ],
)
def test_conditions_that_make_no_sense(condition: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        example().filter(**condition)


def test_merging_adds_everything_up() -> None:
    for first in (example(), many(1), many(2)):
        for second in (example(), many(3), make_profile([])):
            merged = first.merge(second)
            check(merged)
            assert whole(merged) == whole(first) + whole(second)
            assert merged.cpu_time_ns == first.cpu_time_ns + second.cpu_time_ns
            assert merged.sample_count == first.sample_count + second.sample_count
            assert merged.threads == first.threads + second.threads
            assert merged.dropped_count == first.dropped_count + second.dropped_count
            own: dict[Any, int] = {}
            for function in (*first.functions(), *second.functions()):
                own[function[:3]] = own.get(function[:3], 0) + function.self_ns
            assert {f[:3]: f.self_ns for f in merged.functions()} == own


def test_merged_elapsed_time_keeps_states_and_tasks() -> None:
    profile = PROFILES[-1]
    merged = spprof.merge_profiles([profile, profile, profile])
    check(merged)
    assert sorted(s[1:] for s in merged.samples) == sorted(s[1:] for s in [*profile.samples] * 3)
    assert merged.gil_contention == pytest.approx(profile.gil_contention)


def test_sessions_of_one_time_stay_beside_each_other(tmp_path: Any) -> None:
    profile = example()
    later = example()
    later._facts.start_time += 1 / 128  # 7,812,500 ns, without rounding
    merged = profile.merge(later)
    assert [s.timestamp_ns for s in merged.samples[:4]] == [10 * MS, 17_812_500, 20 * MS, 27_812_500]
    assert merged._facts.duration_ns == 87_812_500 and merged.losses[1].start_ns == 32_812_500
    later._facts.start_time += 1000
    assert profile.merge(later)._facts.duration_ns == 80 * MS
    merged.save(tmp_path / "merged.spprof")
    assert state_of(Profile.load(tmp_path / "merged.spprof")) == state_of(merged)


def test_what_can_not_be_merged() -> None:
    with pytest.raises(ValueError, match="there is no profile"):
        spprof.merge_profiles([])
    with pytest.raises(TypeError, match="not AggregatedProfile"):
        example().merge(example().aggregate())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="different modes can't be merged: 'cpu' and 'wall'"):
        example().merge(elapsed())
    assert example().merge().sample_count == example().sample_count


def test_parts_can_be_saved_and_exported(tmp_path: Any) -> None:
    for number, profile in enumerate(PROFILES):
        part = profile.filter(time=(0.01, 0.04))
        part.save(tmp_path / f"{number}.spprof")
        assert state_of(Profile.load(tmp_path / f"{number}.spprof")) == state_of(part)
        part.save(tmp_path / f"{number}.svg")
        weights = [int(line.rpartition(" ")[2]) for line in part.to_collapsed().splitlines()]
        assert sum(weights) == whole(part)
