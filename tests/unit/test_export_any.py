"""Every format, of any profile: totals are the profile's, names are harmless, equal profiles give equal files."""

from __future__ import annotations

import io
import json
import marshal
import pstats
import tracemalloc
import xml.etree.ElementTree as ET
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import MS, make_profile, raw_profile
from report import any_page
from test_export_others import check_firefox
from test_export_pprof import rendered

from spprof._build import profile_from
from spprof._model import STATES
from spprof.export import FORMATS, renderer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spprof import Profile

__all__ = ["any_page"]
pytestmark = pytest.mark.usefixtures("any_page")

NAME = st.one_of(
    st.sampled_from(
        ["</script><b>", "a;b", "x|y", "`", "\x00\x1b[31m", "\udcff", "\u2028\r\n", "é漢🙂", "]]>", "&amp;"]
    ),
    st.text(st.characters(), min_size=1, max_size=6),
).filter(lambda name: ":" not in name and not name.startswith("["))
STACK = st.lists(NAME, min_size=1, max_size=5)
ROW = st.tuples(st.integers(0, 2), STACK, st.sampled_from([0, 1, 999, MS, 2**40]), st.integers(0, len(STATES) - 1))
LOSS = st.integers(0, 2**40)


def generated(rows: Sequence[tuple[int, list[str], int, int]], dropped: int, unsampled: int, mode: str) -> Profile:
    """In three threads, two of them of the same name, with losses in the second."""
    threads = ("MainThread", "\x1b<i>\udc80", "MainThread")
    raw = raw_profile(
        [(thread, tuple(stack), weight) for thread, stack, weight, _ in rows],
        threads=threads,
        losses=[("dropped", 1, 5 * MS, 7 * MS, 3, dropped)],
        dropped_ns={1: dropped},
        unsampled_ns={1: unsampled},
    )
    raw["stats"]["mode"] = mode
    if mode == "wall":
        raw["walls"] = raw["weights"]
        raw["weights"] = array("q", [weight // 2 for weight in raw["walls"]])
        raw["states"] = array("B", [state for _, _, _, state in rows])
        raw["tasks"] = array("I", [number % 3 for number in range(len(rows))])
        raw["task_names"] = ["", "Task-1", "\udc80\n"]
        for index, thread in enumerate(raw["threads"]):
            thread["cpu_ns"] = sum(w for w, t in zip(raw["weights"], raw["thread_index"]) if t == index)
    return profile_from(raw)


def times(profile: Any) -> dict[str, int]:
    """By the threads' labels, as UTF-8 has them."""
    return {
        label.encode("utf-8", "backslashreplace").decode(): thread.time_ns
        for label, thread in zip(profile._thread_labels(), profile.threads)
        if thread.time_ns
    }


def content(profile: Any, format: str) -> bytes:
    pieces = [p.encode("utf-8", "backslashreplace") if isinstance(p, str) else p for p in renderer(format)(profile)]
    return b"".join(pieces)


def check_pprof(profile: Any) -> None:
    document = rendered(profile)
    assert document["types"][1] == (profile.mode, "nanoseconds")
    sums: dict[str, int] = {}
    for labels, stack, values in document["samples"]:
        assert len(values) == len(document["types"]) and stack
        sums[labels["thread"]] = sums.get(labels["thread"], 0) + values[1]
    assert {name: ns for name, ns in sums.items() if ns} == times(profile)
    if profile.mode == "wall":
        assert sum(values[2] for _, _, values in document["samples"]) == profile.cpu_time_ns


def check_pstats(profile: Any) -> None:
    table = marshal.loads(content(profile, "pstats"))
    stats: Any = pstats.Stats(stream=io.StringIO())
    stats.stats = table
    stats.get_top_level_stats()
    stats.sort_stats("cumulative").print_stats().print_callers()
    assert round(sum(entry[2] for entry in table.values()) * 1e9) == pytest.approx(
        sum(times(profile).values()), abs=2000
    )


def check_text(profile: Any) -> None:
    collapsed = content(profile, "collapsed").decode().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in collapsed) == sum(times(profile).values())
    markdown = content(profile, "markdown").decode()
    assert all(each.isprintable() or each == "\n" for each in markdown)
    picture = ET.fromstring(content(profile, "svg"))
    assert not [each for each in picture.iter() if each.tag.endswith("script")]
    speedscope = json.loads(content(profile, "speedscope"))
    assert {each["name"] for each in speedscope["profiles"]} >= {
        label for label, thread in zip(profile._thread_labels(), profile.threads) if thread.time_ns
    }


def check_chrome(profile: Profile) -> None:
    document = json.loads(content(profile, "chrome"))
    tracks: dict[Any, list[tuple[int, int]]] = {}
    for event in document["traceEvents"]:
        if event["ph"] == "X":
            start, length = round(event["ts"] * 1000), round(event["dur"] * 1000)  # nanoseconds
            assert start >= 0 and length >= 0
            tracks.setdefault((event["pid"], event["tid"]), []).append((start, start + length))
    for slices in tracks.values():
        waiting: list[int] = []  # ends of the slices that are open
        for begin, end in sorted(slices, key=lambda each: (each[0], -each[1])):
            while waiting and waiting[-1] <= begin:
                waiting.pop()
            assert not waiting or end <= waiting[-1], "slices of one track cross"
            waiting.append(end)


def check_otlp(profile: Any) -> None:
    data = content(profile, "otlp")
    pb = pytest.importorskip("opentelemetry.proto.profiles.v1development.profiles_pb2")
    document = pb.ProfilesData.FromString(data)
    tables = document.dictionary
    values = [
        sum(sum(sample.values) for sample in one.samples)
        for resource in document.resource_profiles
        for scope in resource.scope_profiles
        for one in scope.profiles
    ]
    assert values[0] == sum(times(profile).values())
    assert values[1:] == ([profile.cpu_time_ns] if profile.mode == "wall" else [])
    for table in (tables.stack_table, tables.location_table, tables.function_table, tables.string_table):
        entries = [each if isinstance(each, str) else each.SerializeToString(deterministic=True) for each in table]
        assert len(set(entries)) == len(entries) and not entries[0], "an entry twice"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, max_size=8), LOSS, LOSS, st.sampled_from(["cpu", "wall"]))
def test_any_profile(rows: list[tuple[int, list[str], int, int]], dropped: int, unsampled: int, mode: str) -> None:
    profile = generated(rows, dropped, unsampled, mode)
    for each in (profile, profile.aggregate()):
        check_pprof(each)
        check_pstats(each)
        check_text(each)
    check_chrome(profile)
    check_firefox(json.loads(content(profile, "firefox")), profile)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, max_size=8), LOSS, LOSS, st.sampled_from(["cpu", "wall"]))
def test_otlp_of_any_profile(
    rows: list[tuple[int, list[str], int, int]], dropped: int, unsampled: int, mode: str
) -> None:
    profile = generated(rows, dropped, unsampled, mode)
    check_otlp(profile)
    check_otlp(profile.aggregate())


@pytest.mark.parametrize("format", list(FORMATS))
def test_equal_profiles_give_equal_files(format: str) -> None:
    def made() -> Profile:
        rows = [(n % 3, [f"f{n % 5}", f"g{n % 7}"], MS + n, n % len(STATES)) for n in range(40)]
        return generated(rows, 5, 6, "wall")

    assert content(made(), format) == content(made(), format)


@pytest.mark.parametrize("format", list(FORMATS))
def test_deep_stacks_and_nothing_at_all(format: str, tmp_path: Path) -> None:
    for number, profile in enumerate((make_profile([]), make_profile([(0, tuple(f"f{i}" for i in range(1024)), MS)]))):
        path = tmp_path / f"{number}{FORMATS[format][0]}"
        profile.save(path)
        assert path.stat().st_size > (0 if (format, number) == ("collapsed", 0) else 1) or format == "collapsed"
        if number and format != "markdown":
            assert b"f1023" in path.read_bytes() or format in ("spprof", "svg")


@pytest.mark.parametrize("format", ["speedscope", "chrome", "firefox"])
def test_what_has_every_sample_is_not_built_in_memory(format: str) -> None:
    def peak(count: int) -> int:
        profile = make_profile([(0, (f"f{n % 5}", f"g{n % 7}"), MS + n % 3) for n in range(count)])
        profile._tree.canonical()
        tracemalloc.start()
        try:
            for _ in renderer(format)(profile):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is imported then
    first, second = 10_000, 25_000  # both more than a piece
    growth = (peak(second) - peak(first)) / (second - first)
    # Columns of numbers (25 to 55), not objects of Python, of which there would be five a sample.
    assert growth < 80, "bytes a sample"
