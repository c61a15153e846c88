"""`Profile.diff`: noise is not reported as change, and change is; by simulation with known truth."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from statistics import NormalDist
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from profiles import MS, example, make_profile
from test_export_spprof import elapsed

from spprof._analysis.evidence import Tally, _share, quantile, share_change

if TYPE_CHECKING:
    from pathlib import Path

    from spprof import Profile, ProfileDiff

# Sixty functions, the hottest with a quarter of the time, many with next to none: what profiles look like.
SHARES = [1 / (rank + 1) for rank in range(60)]


def simulated(chance: random.Random, shares: list[float], samples: int) -> Profile:
    """A profile of independent samples: leaves by *shares*, callers by chance, weights that differ as merged ticks do."""
    names = [f"{'abcdefghij'[rank % 10]}{rank}" for rank in range(len(shares))]
    limits = [*itertools.accumulate(shares)]
    rows = []
    for leaf in chance.choices(range(len(shares)), cum_weights=limits, k=samples):
        caller = chance.choice(("run:1", "run:2", "serve:1"))
        weight = MS * chance.choice((1, 1, 1, 1, 2, 2, 3, 10)) + chance.randint(0, 99)
        rows.append((0, (caller, f"{names[leaf]}:{1 + leaf % 3}"), weight))
    return make_profile(rows)


def false_alarms(runs: int, samples: tuple[int, int], confidence: float, seed: int) -> tuple[int, int, int]:
    """Of *runs* pairs of one program: how many had a function reported, how many a line, how many a function uncorrected."""
    chance = random.Random(seed)
    functions = lines = uncorrected = 0
    for _ in range(runs):
        diff = simulated(chance, SHARES, samples[0]).diff(simulated(chance, SHARES, samples[1]), confidence=confidence)
        functions += bool(diff.changed_functions)
        lines += bool(diff.changed_lines)
        uncorrected += any(is_outside(diff, f.self_change, quantile(confidence, 1)) for f in diff.functions)
    return functions, lines, uncorrected


def is_outside(diff: ProfileDiff, change: Any, z: float) -> bool:
    """Whether an interval of its own would exclude 0, weights taken as equal."""
    counts = change.before_samples, change.after_samples
    wholes = diff.before.sample_count, diff.after.sample_count
    parts = [Tally(n, n, n) for n in counts]
    alone = share_change(parts[0], Tally(*[wholes[0]] * 3), parts[1], Tally(*[wholes[1]] * 3), z)
    return alone.is_significant


def most_by_chance(runs: int, level: float) -> float:
    """More than this happens once in a thousand times, if *level* is right."""
    return runs * level + 3.1 * math.sqrt(runs * level * (1 - level))


def test_two_profiles_of_one_program_show_nothing() -> None:
    functions, lines, uncorrected = false_alarms(40, (600, 600), 0.9, seed=1)
    assert functions <= most_by_chance(40, 0.1) and lines <= most_by_chance(40, 0.1)
    assert uncorrected > 30  # looked at one by one, nearly every pair shows some difference


@pytest.mark.slow
@pytest.mark.parametrize("samples", [(300, 300), (2000, 2000), (200, 5000), (60, 60)])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_false_alarms_are_as_rare_as_stated(samples: tuple[int, int], confidence: float) -> None:
    functions, lines, _ = false_alarms(150, samples, confidence, seed=sum(samples))
    level = 1 - confidence
    assert functions <= most_by_chance(150, level) and lines <= most_by_chance(150, level)


def test_a_true_change_of_known_size_is_found() -> None:
    chance = random.Random(7)
    changed = list(SHARES)
    changed[2] *= 2.2  # one of sixty functions takes 120 % longer; all others take a little less of the whole
    true = changed[2] / sum(changed) - SHARES[2] / sum(SHARES)
    found = covered = 0
    for _ in range(12):
        diff = simulated(chance, SHARES, 3000).diff(simulated(chance, changed, 3000))
        (function,) = [f for f in diff.functions if f.function_name == "c2"]
        found += function.self_change.is_significant and function in diff.changed_functions
        covered += function.self_change.low <= true <= function.self_change.high
        assert diff.functions[0].function_name == "c2" or not function.is_significant
        assert all(f.function_name == "c2" for f in diff.changed_functions)
        assert {line.function_name for line in diff.changed_lines} <= {"c2"}
    assert found == 12 and covered == 12


def test_intervals_alone_are_right_as_often_as_stated() -> None:
    chance = random.Random(3)
    for p1, p2, n1, n2 in ((0.3, 0.3, 80, 80), (0.05, 0.12, 200, 120), (0.5, 0.9, 40, 300), (0.02, 0.0, 150, 150)):
        hits = 0
        for _ in range(400):
            tallies = []
            for p, n in ((p1, n1), (p2, n2)):
                weights = [(chance.choice((1, 1, 2, 5)), chance.random() < p) for _ in range(n)]
                part = [w for w, inside in weights if inside]
                tallies += [
                    Tally(len(part), sum(part), sum(w * w for w in part)),
                    Tally(n, sum(w for w, _ in weights), sum(w * w for w, _ in weights)),
                ]
            change = share_change(*tallies, quantile(0.95, 1))
            hits += change.low <= p2 - p1 <= change.high
        assert hits >= 400 * 0.95 - 3.1 * math.sqrt(400 * 0.05 * 0.95), (p1, p2)


def at_least(k: int, n: int, p: float) -> float:
    """The probability of *k* or more of *n*."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize("z", [1.5, 1.96, 3.0, 4.5])
def test_the_interval_of_a_share_is_right_in_its_tails(z: float) -> None:
    """Close to the exact interval (Clopper, Pearson), however far out; never much less wide."""
    tail = 1 - NormalDist().cdf(z)
    nothing = Tally(0, 0, 0)
    for n, k in ((1, 0), (1, 1), (10, 3), (50, 1), (50, 25), (400, 0), (400, 7), (400, 400), (150, 149)):
        _, low, high = _share(Tally(k, k, k), Tally(n, n, n), z)
        assert 0 <= low <= k / n <= high <= 1
        tails = [at_least(k, n, low) if low > 0 else 0, at_least(n - k, n, 1 - high) if high < 1 else 0]
        assert all(probability < 1.6 * tail for probability in tails), (n, k)
        if 3 <= k <= n - 3:
            assert all(probability > tail / 6 for probability in tails), (n, k)
        change = share_change(nothing, nothing, Tally(k, k, k), Tally(n, n, n), z)
        assert not change.is_significant


def test_a_few_heavy_samples_are_few_samples() -> None:
    """A sleep of nine seconds is one look at a thread: it says nothing of the next run."""
    z = quantile(0.95, 1)
    many = Tally(1000, 1000, 1000)
    one = share_change(Tally(0, 0, 0), many, Tally(1, 9000, 9000**2), Tally(1001, 10000, 9000**2 + 1000), z)
    assert one.change == 0.9 and not one.is_significant
    few = share_change(Tally(2, 2, 2), many, Tally(3, 9000, 3 * 3000**2), Tally(1003, 10000, 3 * 3000**2 + 1000), z)
    assert not few.is_significant
    nothing = share_change(Tally(0, 0, 0), Tally(0, 0, 0), Tally(5, 5, 5), many, z)
    assert nothing.low < 0 < nothing.high and not nothing.is_significant


def test_sums_are_the_profiles() -> None:
    before, after = example(), simulated(random.Random(2), SHARES, 200)
    diff = before.diff(after)
    for rows in (diff.functions, diff.lines):
        for profile, field in ((before, "before_ns"), (after, "after_ns")):
            together = sum(getattr(row.self_change, field) for row in rows)
            lost = sum(t.dropped_ns + t.unsampled_ns for t in profile.threads)
            assert together + lost == sum(t.time_ns for t in profile.threads)
    totals = {f.function_name: f.total_ns for f in before.functions()}
    assert {
        f.function_name: f.total_change.before_ns for f in diff.functions if f.total_change.before_samples
    } == totals
    document = json.loads(json.dumps(diff.to_dict()))
    assert document["functions"][0]["self_change"]["change"] == diff.functions[0].self_change.change
    assert document["before"]["time_ns"] == 51 * MS and document["confidence"] == 0.95


def moved(profile: Profile, *, file: str = "/src", lines: int = 0) -> Profile:
    """The same profile after an edit: other folder, everything some lines below."""
    profile._tree.frames = tuple([
        f._replace(filename=f.filename.replace("/src", file), lineno=f.lineno + lines, firstlineno=f.firstlineno + lines)
        if f.filename else f for f in profile._tree.frames
    ])  # fmt: skip
    return profile


@pytest.mark.parametrize("edit", [{"lines": 7}, {"file": "/other/checkout"}, {"file": "/other", "lines": 3}])
def test_functions_are_known_again_after_an_edit(edit: dict[str, Any]) -> None:
    diff = example().diff(moved(example(), **edit))
    assert len(diff.functions) == len(example().functions())
    for function in diff.functions:
        assert function.self_change.change == function.total_change.change == 0
    assert all(line.self_change.change == 0 for line in diff.lines)
    shift = edit.get("lines", 0)
    assert {line.lineno - line.lineno_before for line in diff.lines} == {shift}


def with_lambdas(*lines: int) -> Profile:
    profile = make_profile([(0, ("main:1", f"f:{line}"), MS) for line in lines])
    profile._tree.frames = tuple([
        f._replace(function_name="<lambda>", firstlineno=f.lineno) if f.function_name == "f" else f for f in profile._tree.frames
    ])  # fmt: skip
    return profile


def test_functions_of_one_name_are_not_mistaken() -> None:
    """Two lambdas of one file in one profile, one in the other, elsewhere: nobody can say which it was."""
    diff = with_lambdas(10, 20).diff(with_lambdas(15))
    assert sorted(f.firstlineno for f in diff.functions if f.function_name == "<lambda>") == [10, 15, 20]
    diff = with_lambdas(10, 20).diff(with_lambdas(20))
    assert sorted(f.firstlineno for f in diff.functions if f.function_name == "<lambda>") == [10, 20]


def test_what_can_not_be_compared() -> None:
    with pytest.raises(ValueError, match="mode 'cpu' can't be compared with one of mode 'wall'"):
        example().diff(elapsed())
    with pytest.raises(TypeError, match="not str"):
        example().diff("other.spprof")  # type: ignore[arg-type]
    for confidence in (0, 1, -1, 95):
        with pytest.raises(ValueError, match="confidence must be between 0 and 1"):
            example().diff(example(), confidence=confidence)
    with pytest.raises(TypeError):
        example().diff(example(), confidence="0.9")  # type: ignore[arg-type]


def test_empty_profiles_can_be_compared() -> None:
    empty = make_profile([])
    for before, after in ((empty, empty), (empty, example()), (example(), empty)):
        diff = before.diff(after)
        assert diff.changed_functions == [] and "no function has changed by more than chance" in str(diff)


def grown() -> ProfileDiff:
    base = [(0, ("main:1", "a:1"), MS)] * 300 + [(0, ("main:1", "b:1"), MS)] * 300 + [(0, ("main:1", "g:1"), MS)] * 100
    return make_profile(base).diff(
        make_profile([*base, *[(0, ("main:1", "b:1", "new<&>:1"), MS)] * 400, (0, ("main:1", "a:1"), MS)])
    )


def test_the_picture_has_both_profiles(tmp_path: Path) -> None:
    diff = grown()
    diff.save(tmp_path / "diff.svg")
    text = (tmp_path / "diff.svg").read_text("utf-8")
    root = ElementTree.fromstring(text)
    boxes = {}
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        title, rect = group[0].text or "", group[1]
        boxes[title.split("\n")[0]] = (float(rect.get("width", "0")), rect.get("fill", ""), title)
    assert set(boxes) == {"all", "main", "a", "b", "g", "new<&>"}
    mean = (300 / 700 + 700 / 1101) / 2
    assert boxes["b"][0] == pytest.approx(mean * boxes["all"][0], abs=0.1)
    assert boxes["all"][1] == boxes["main"][1] == "#e2e0db"
    red, blue = (tuple(int(boxes[name][1][i : i + 2], 16) for i in (1, 3, 5)) for name in ("new<&>", "a"))
    assert red[0] > red[2] and blue[2] > blue[0]
    assert "0.0% \u2192 36.3% of the time: +36.3 points" in boxes["new<&>"][2]
    diff.save(tmp_path / "diff.svg.gz")
    with pytest.raises(ValueError, match=r"must end with \.svg, not"):
        diff.save(tmp_path / "diff.html")
    empty = make_profile([])
    empty.diff(empty).save(tmp_path / "empty.svg")
    assert "No samples." in (tmp_path / "empty.svg").read_text()


def test_the_text_names_what_changed() -> None:
    lines = str(grown()).splitlines()
    assert re.search(r"0\.0% +36\.3% +\+36\.3 .*new<&>", lines[1]), lines
    assert repr(grown()).startswith("<ProfileDiff: ")
