"""pprof's format, by its own tool and read back: the figures are the profile's."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import MS, example, make_profile
from test_export_spprof import elapsed

from spprof.export import _protobuf as pb

if TYPE_CHECKING:
    from pathlib import Path

    from spprof import Profile


def read(data: bytes) -> dict[str, Any]:
    """Values by (thread label, functions from root to leaf), and the value types."""
    strings: list[str] = []
    functions: dict[int, str] = {}
    locations: dict[int, tuple[int, int]] = {}
    samples, types, mappings = [], [], 0
    for field, value in pb.fields(data):
        parts = list(pb.fields(value)) if isinstance(value, bytes) and field != 6 and field != 13 else []
        named = dict(parts)
        if field == 6:
            assert isinstance(value, bytes)
            strings.append(value.decode())
        elif field == 5:
            functions[named[1]] = named[2]  # type: ignore[index]
        elif field == 4:
            line = dict(pb.fields(named[4]))  # type: ignore[arg-type]
            locations[named[1]] = line[1], line.get(2, 0)  # type: ignore[index,assignment]
            assert named[2] == 1
        elif field == 3:
            mappings += 1
        elif field == 1:
            types.append((named[1], named[2]))
        elif field == 2:
            labels = [dict(pb.fields(v)) for f, v in parts if f == 3]  # type: ignore[arg-type]
            samples.append((pb.numbers(named.get(1, b"")), [pb.signed(n) for n in pb.numbers(named[2])], labels))
    assert strings[0] == "" and mappings == 1
    result: dict[str, Any] = {"types": [(strings[a], strings[b]) for a, b in types], "samples": []}
    for stack, values, labels in samples:
        names = [f"{strings[functions[locations[n][0]]]}:{locations[n][1]}" for n in reversed(stack)]
        result["samples"].append(({strings[x[1]]: strings[x[2]] for x in labels}, names, values))
    return result


def rendered(profile: Any) -> dict[str, Any]:
    from spprof.export.pprof import render

    return read(b"".join(render(profile)))


def test_values_labels_and_stacks() -> None:
    found = rendered(example())
    assert found["types"] == [("samples", "count"), ("cpu", "nanoseconds")]
    by_stack = {(labels["thread"], tuple(stack)): values for labels, stack, values in found["samples"]}
    assert by_stack["MainThread", ("main:10", "load:3", "parse:7")] == [2, 21 * MS]
    assert by_stack["worker", ("run:2", "fib:5", "fib:5", "fib:4")] == [1, 9 * MS]
    assert by_stack["MainThread", ("[dropped]:0",)] == [0, 3 * MS]
    assert sum(values[1] for values in by_stack.values()) == sum(t.time_ns for t in example().threads)
    aggregated = rendered(example().aggregate())
    assert sorted(map(str, aggregated["samples"])) == sorted(map(str, found["samples"]))


def test_elapsed_time_has_both_times_states_and_tasks() -> None:
    found = rendered(elapsed())
    assert found["types"] == [("samples", "count"), ("wall", "nanoseconds"), ("cpu", "nanoseconds")]
    entries = [(labels, stack, values) for labels, stack, values in found["samples"]]
    assert (
        {"thread": "a", "state": "sleeping", "waiting_for": "sleep"},
        ["main:1", "wait:2"],
        [1, 10 * MS, 1 * MS],
    ) in entries
    assert ({"thread": "a", "state": "running", "task": "Task-1"}, ["main:1"], [1, 5 * MS, 4 * MS]) in entries
    tasks = [labels["task"] for labels, _, _ in entries if labels["thread"] == "a (tasks)"]
    assert tasks == ["löng\\udcff\n"]


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
def test_go_tool_pprof_reads_it_and_shows_the_same(tmp_path: Path) -> None:
    profile: Profile = example()
    profile.save(tmp_path / "p.pb.gz")
    assert gzip.decompress((tmp_path / "p.pb.gz").read_bytes())[:1] == b"\x0a"
    result = subprocess.run(
        ["go", "tool", "pprof", "-top", "-unit=us", "-nodefraction=0", str(tmp_path / "p.pb.gz")],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    row = r"^ *([\d.]+)(?:us)? +\S+ +\S+ +([\d.]+)(?:us)? +\S+ +(.+)$"
    found = {name: (float(own), float(total)) for own, total, name in re.findall(row, result.stdout, re.MULTILINE)}
    for function in profile.functions():
        assert found[function.function_name] == (function.self_ns / 1000, function.total_ns / 1000), result.stdout
    assert found["[dropped]"] == (3000, 3000)
    tags = subprocess.run(
        ["go", "tool", "pprof", "-tags", str(tmp_path / "p.pb.gz")],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert "worker" in tags.stdout and tags.returncode == 0


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(-(2**63), 2**64 - 1), st.integers(1, 2**20))
def test_numbers_come_back(value: int, field: int) -> None:
    encoded = pb.number(field, value)
    if value == 0:
        assert encoded == b""
    else:
        ((got, number),) = pb.fields(encoded)
        assert got == field and isinstance(number, int)
        assert number == value % 2**64 and pb.signed(number) == (value if value < 2**63 else value - 2**64)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=40))
def test_rubbish_is_an_error_or_a_message(data: bytes) -> None:
    try:
        list(pb.fields(data))
    except ValueError:
        pass


def test_deep_and_odd_profiles() -> None:
    deep = make_profile([(0, tuple(f"f{i}" for i in range(1024)), 5)])
    ((_, stack, values),) = rendered(deep)["samples"]
    assert len(stack) == 1024 and values == [1, 5]
    assert rendered(make_profile([]))["samples"] == []
    odd = make_profile([(0, ("\x00\n\udcff",), 0)])
    assert rendered(odd)["samples"][0][1] == ["\x00\n\\udcff:1"]
