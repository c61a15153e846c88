"""Chrome's trace, the Firefox Profiler, pstats, Markdown: what they hold is the profile."""

from __future__ import annotations

import io
import json
import os
import pstats
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from profiles import MS, example, make_profile
from test_export_spprof import elapsed

if TYPE_CHECKING:
    from pathlib import Path


def saved(profile: Any, path: Path) -> Any:
    profile.save(path)
    return json.loads(path.read_text())


def test_pstats(tmp_path: Path) -> None:
    profile = example()
    profile.save(tmp_path / "p.pstats")
    stats: Any = pstats.Stats(str(tmp_path / "p.pstats"), stream=io.StringIO())
    by_name = {
        name: (calls, own, total, callers) for (_, _, name), (calls, _, own, total, callers) in stats.stats.items()
    }
    for function in profile.functions():
        calls, own, total, _ = by_name[function.function_name]
        assert (calls, own, total) == (function.total_samples, function.self_ns / 1e9, function.total_ns / 1e9)
    assert by_name["[dropped]"][1] == 0.003
    assert round(stats.total_tt * 1e9) == sum(t.time_ns for t in profile.threads)
    callers = {name: entry for (_, _, name), entry in by_name["fib"][3].items()}
    assert callers["run"] == (2, 2, 0.0, 0.015) and callers["fib"] == (2, 2, 0.015, 0.015)
    stats.sort_stats("cumulative").print_stats().print_callers().print_callees()


def test_chrome_slices_nest_and_add_up(tmp_path: Path) -> None:
    rows = [
        (0, ("a:1", "b:2"), 10 * MS),
        (0, ("a:1", "c:3"), 10 * MS),
        (0, ("a:2", "c:3"), 10 * MS),
        (1, ("d",), 5 * MS),
    ]
    profile = make_profile(rows, threads=("main", "other"))
    document = saved(profile, tmp_path / "t.trace.json")
    events = document["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert sorted(names.values()) == ["main", "other"]
    slices = {(names[e["tid"]], e["name"]): (e["ts"], e["dur"]) for e in events if e["ph"] == "X"}
    assert slices == {
        ("main", "a"): (0, 30_000), ("main", "b"): (0, 10_000), ("main", "c"): (10_000, 20_000), ("other", "d"): (35_000, 5_000),
    }  # fmt: skip
    with pytest.raises(ValueError, match="aggregated"):
        profile.aggregate().save(tmp_path / "a.trace.json")


def test_chrome_a_track_for_each_task_and_sleeps_from_their_beginning(tmp_path: Path) -> None:
    document = saved(elapsed(), tmp_path / "t.trace.json")
    tracks = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "thread_name"]
    assert tracks == ["a", "a (tasks): löng\udcff\n"]
    slices = {e["name"]: (e["ts"], e["dur"]) for e in document["traceEvents"] if e["ph"] == "X"}
    assert slices["wait"] == (10_000, 10_000)  # asleep at 10 ms, for 10 ms


def check_firefox(document: dict[str, Any], profile: Any) -> None:
    """Every index leads somewhere, stacks and sums are the profile's."""
    assert [t["name"] for t in document["threads"]] == profile._thread_labels()
    for thread, info in zip(document["threads"], profile.threads):
        strings, samples = thread["stringArray"], thread["samples"]
        for table in ("frameTable", "funcTable", "stackTable", "samples", "markers", "nativeSymbols", "resourceTable"):
            for name, column in thread[table].items():
                assert not isinstance(column, list) or len(column) == thread[table]["length"], (table, name)
        stacks, frames, functions = thread["stackTable"], thread["frameTable"], thread["funcTable"]
        assert all(prefix is None or prefix < index for index, prefix in enumerate(stacks["prefix"]))
        assert samples["time"] == sorted(samples["time"])
        assert abs(sum(samples["weight"]) - info.time_ns / 1e6) < 1e-6
        found: dict[str, float] = {}
        for stack, weight in zip(samples["stack"], samples["weight"]):
            name = strings[functions["name"][frames["func"][stacks["frame"][stack]]]]
            found[name] = found.get(name, 0) + weight
        expected: dict[str, float] = {"[dropped]": info.dropped_ns / 1e6, "[unsampled]": info.unsampled_ns / 1e6}
        for sample in profile.samples:
            if sample.thread_id == info.thread_id:
                leaf = sample.frames[-1].function_name
                expected[leaf] = expected.get(leaf, 0) + sample.weight_ns / 1e6
        assert {k: round(v, 6) for k, v in found.items() if v} == {k: round(v, 6) for k, v in expected.items() if v}


def test_firefox(tmp_path: Path) -> None:
    for profile in (example(), elapsed(), make_profile([])):
        check_firefox(saved(profile, tmp_path / "p.firefox.json"), profile)
    document = saved(example(), tmp_path / "p.firefox.json")
    assert document["threads"][0]["markers"]["data"] == [{"type": "Loss", "kind": "dropped", "weight": 3.0, "count": 2}]
    waiting = document["meta"]["categories"].index(
        next(c for c in document["meta"]["categories"] if c["name"] == "Waiting")
    )
    assert saved(elapsed(), tmp_path / "w.firefox.json")["threads"][0]["stackTable"]["category"].count(waiting) == 1


@pytest.mark.slow
@pytest.mark.skipif(
    "SPPROF_FIREFOX_CLI" not in os.environ, reason="SPPROF_FIREFOX_CLI does not name Firefox' profiler-cli.js"
)
def test_firefoxs_own_loader_opens_it(tmp_path: Path) -> None:
    # npm install @firefox-devtools/profiler-cli, with a node of version 24 or later on the PATH
    example().save(tmp_path / "p.firefox.json.gz")

    def tell(*arguments: str) -> str:
        command = [shutil.which("node") or "node", os.environ["SPPROF_FIREFOX_CLI"], *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    tell("load", str(tmp_path / "p.firefox.json.gz"))
    try:
        told = tell("thread", "functions")
    finally:
        tell("stop", "--all")
    assert "parse - self: 26ms" in told and "main - self: 1ms" in told, told


def test_otlp_by_the_published_schema(tmp_path: Path) -> None:
    pb = pytest.importorskip("opentelemetry.proto.profiles.v1development.profiles_pb2")
    for profile in (example(), elapsed(), example().aggregate(), make_profile([])):
        profile.save(tmp_path / "p.otlp.pb")
        document = pb.ProfilesData.FromString((tmp_path / "p.otlp.pb").read_bytes())
        tables = document.dictionary
        strings = tables.string_table
        assert strings[0] == "" and tables.stack_table[0] == pb.Stack() and tables.location_table[0] == pb.Location()
        ((scope,),) = [resource.scope_profiles for resource in document.resource_profiles]
        assert len(scope.profiles) == (1 if profile.mode == "cpu" else 2)
        sums: dict[str, dict[str, int]] = {}
        for one in scope.profiles:
            assert len(one.profile_id) == 16 and strings[one.sample_type.unit_strindex] == "nanoseconds"
            assert (one.period, one.duration_nano) == (profile._facts.interval_ns, profile._facts.duration_ns)
            by_thread = sums.setdefault(strings[one.sample_type.type_strindex], {})
            for sample in one.samples:
                attributes = {
                    strings[tables.attribute_table[i].key_strindex]: tables.attribute_table[i].value.string_value
                    for i in sample.attribute_indices
                }
                (value,) = sample.values
                by_thread[attributes["thread.name"]] = by_thread.get(attributes["thread.name"], 0) + value
                lines = [
                    tables.location_table[i].lines[0] for i in tables.stack_table[sample.stack_index].location_indices
                ]
                names = [strings[tables.function_table[line.function_index].name_strindex] for line in lines]
                assert names, sample
                if names[-1] == "run":  # the root
                    assert names[0] == "fib" and attributes["thread.name"] == "worker"
        weights = {label: t.time_ns for label, t in zip(profile._thread_labels(), profile.threads) if t.time_ns}
        assert sums["cpu" if profile.mode == "cpu" else "wall"] == {name.encode("utf-8", "backslashreplace").decode(): ns
                                                                   for name, ns in weights.items()}  # fmt: skip


def test_markdown(tmp_path: Path) -> None:
    example().save(tmp_path / "p.md")
    text = (tmp_path / "p.md").read_text()
    assert "| 0.026 | 51.0 % | 0.026 | 51.0 % | `parse` | `/src/p.py:40` | 7 |" in text
    assert "Lost: 0.003 s dropped, 0.002 s unsampled." in text
    assert "- 70.6 % `MainThread`\n  - 60.8 % `main`\n    - 58.8 % `load`\n      - 51.0 % `parse`\n" in text
    example().aggregate().save(tmp_path / "a.md")
    assert (tmp_path / "a.md").read_text() == text
    make_profile([]).save(tmp_path / "e.md")
    odd = make_profile([(0, ("a|b`c\n<i>",), 5)], threads=("*x*|\x1b[31m",))
    odd.save(tmp_path / "o.md")
    text = (tmp_path / "o.md").read_text()
    assert "`` a\\|b`c\\n<i> ``" in text and "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8, 6}
