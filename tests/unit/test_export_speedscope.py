"""The speedscope output, against the rows it is made of and the rules of the format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from profiles import EXAMPLE, MS, example, make_profile

from spprof import __version__
from spprof.export.speedscope import render


def check(document: dict[str, Any]) -> None:
    """What the format's schema asks for, and what it forgets: indices, lengths, sums."""
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = document["shared"]["frames"]
    for frame in frames:
        assert set(frame) <= {"name", "file", "line", "col"}
        assert isinstance(frame["name"], str)
        assert isinstance(frame.get("file", ""), str)
        for number in ("line", "col"):
            assert isinstance(frame.get(number, 1), int)
            assert frame.get(number, 1) >= 1
    assert len({json.dumps(frame, sort_keys=True) for frame in frames}) == len(frames)
    assert document["profiles"]
    assert 0 <= document["activeProfileIndex"] < len(document["profiles"])
    used = set()
    for profile in document["profiles"]:
        assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
        assert (profile["type"], profile["unit"], profile["startValue"]) == ("sampled", "nanoseconds", 0)
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(weight >= 0 for weight in profile["weights"])
        assert profile["endValue"] == sum(profile["weights"])
        for stack in profile["samples"]:
            used.update(stack)
    assert used == set(range(len(frames)))


def stacks(document: dict[str, Any], index: int) -> list[tuple[str, int]]:
    """(names joined by ";", weight) per sample of one of the profiles."""
    frames = document["shared"]["frames"]
    profile = document["profiles"][index]
    return [
        (";".join(f"{frames[number]['name']}:{frames[number].get('line', '')}" for number in stack), weight)
        for stack, weight in zip(profile["samples"], profile["weights"])
    ]


def test_rows_root_first_in_order_of_time_with_losses_where_they_happened() -> None:
    document = example().to_speedscope()
    check(document)
    assert [profile["name"] for profile in document["profiles"]] == ["MainThread", "worker"]
    assert stacks(document, 0) == [
        ("main:10;load:3;parse:7", 10 * MS),
        ("main:10;load:3;parse:7", 11 * MS),
        ("[dropped]:", 3 * MS),
        ("main:11;load:3", 4 * MS),
        ("main:12", 1 * MS),
        ("main:10;load:3;parse:8", 5 * MS),
        ("[unsampled]:", 2 * MS),
    ]
    assert stacks(document, 1) == [("run:2;fib:5;fib:5;fib:4", 9 * MS), ("run:2;fib:5;fib:4", 6 * MS)]


def test_total_is_the_cpu_time() -> None:
    profile = example()
    for document in (profile.to_speedscope(), profile.aggregate().to_speedscope()):
        assert sum(each["endValue"] for each in document["profiles"]) == profile.cpu_time_ns


def test_head() -> None:
    document = example().to_speedscope()
    assert document["exporter"] == f"spprof@{__version__}"
    assert document["name"].endswith("(CPU time, every 10 ms)")
    assert document["activeProfileIndex"] == 0
    assert example(threads=("a", "b"), dropped_ns={1: 99 * MS}).to_speedscope()["activeProfileIndex"] == 1


@pytest.mark.parametrize("aggregate", [False, True])
def test_text_is_the_document(aggregate: bool) -> None:
    profile = example()
    for made in (profile, make_profile([]), make_profile(EXAMPLE * 5000, threads="ab")):
        each = made.aggregate() if aggregate else made
        assert json.loads("".join(render(each))) == each.to_speedscope()
        check(each.to_speedscope())


def test_aggregate_is_the_sum_of_the_rows() -> None:
    document = example().aggregate().to_speedscope()
    check(document)
    assert stacks(document, 0) == [
        ("main:10;load:3;parse:7", 21 * MS),
        ("main:10;load:3;parse:8", 5 * MS),
        ("main:11;load:3", 4 * MS),
        ("main:12", 1 * MS),
        ("[dropped]:", 3 * MS),
        ("[unsampled]:", 2 * MS),
    ]


def test_one_frame_per_line_and_a_column_only_where_there_is_one() -> None:
    profile = make_profile([(0, ("f:1:4",), 1), (0, ("f:1:8",), 1), (0, ("f:2:3",), 1), (0, ("g:5",), 1)])
    frames = profile.to_speedscope()["shared"]["frames"]
    assert frames == [
        {"name": "f", "file": "/src/f.py", "line": 1},
        {"name": "f", "file": "/src/f.py", "line": 2, "col": 4},
        {"name": "g", "file": "/src/g.py", "line": 5},
    ]


def test_odd_names_survive() -> None:
    name = 'q"\\\n\x00é\u2028\U0001f600\udcff'
    profile = make_profile([(0, (name,), 1)], threads=(name,))
    document = json.loads("".join(render(profile)).encode("ascii"))
    assert document["shared"]["frames"][0]["name"] == name
    assert document["profiles"][0]["name"] == name


def test_equal_thread_names_are_told_apart_without_ids() -> None:
    rows = [(0, ("a",), 1), (1, ("a",), 1), (2, ("a",), 1), (3, ("a",), 1)]
    first = make_profile(rows, threads=("w", "w", "w #2", ""), first_id=1)
    second = make_profile(rows, threads=("w", "w", "w #2", ""), first_id=900)
    assert "".join(render(first)) == "".join(render(second))
    labels = [profile["name"] for profile in first.to_speedscope()["profiles"]]
    assert len(set(labels)) == 4
    assert labels[0] == "w"


def test_losses_that_do_not_add_up_give_way_to_the_threads_sums() -> None:
    profile = example(losses=[("dropped", 0, 0, 1, 1, 50 * MS)])
    assert sum(each["endValue"] for each in profile.to_speedscope()["profiles"]) == profile.cpu_time_ns


def test_order_of_first_sight_does_not_matter_when_aggregated() -> None:
    rows = [row for row in EXAMPLE if row[0] == 0]
    assert "".join(render(make_profile(rows).aggregate())) == "".join(render(make_profile(rows[::-1]).aggregate()))


@pytest.mark.slow
def test_a_million_samples() -> None:
    """In time and in little memory; the limits are wide, bench/ measures."""
    import time

    profile = make_profile(EXAMPLE * 150_000, threads=("a", "b"))
    start = time.process_time()
    assert profile.aggregate().total_samples == 1_050_000
    assert time.process_time() - start < 3
    start = time.process_time()
    size = sum(map(len, render(profile)))
    assert time.process_time() - start < 10
    assert size < 60_000_000
