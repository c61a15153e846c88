"""Files of pprof, speedscope and collapsed stacks, spprof's own and those of others, read as profiles."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import MS, example, make_profile
from test_export_spprof import ROW, elapsed

from spprof import Profile, ProfileFileError
from spprof.export import _protobuf as pb

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = (".spprof", ".pb.gz", ".speedscope.json", ".collapsed")


def stacks(profile: Profile) -> dict[Any, int]:
    """What each stack of each thread weighs, and the losses."""
    result: dict[Any, int] = {}
    for sample in profile.samples:
        key = sample.thread_name, tuple([(f.function_name, f.filename, f.lineno) for f in sample.frames])
        result[key] = result.get(key, 0) + sample.weight_ns
    for thread in profile.threads:
        result[thread.name, "dropped"], result[thread.name, "unsampled"] = thread.dropped_ns, thread.unsampled_ns
    return {key: weight for key, weight in result.items() if weight}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("make", [example, elapsed])
def test_there_and_back(make: Any, ending: str, tmp_path: Path) -> None:
    profile = make()
    profile.save(tmp_path / f"p{ending}")
    (tmp_path / "other name").write_bytes((tmp_path / f"p{ending}").read_bytes())  # the contents say what it is
    loaded = Profile.load(tmp_path / "other name", mode=profile.mode)
    if ending == ".collapsed":  # characters that would end a name are escaped there
        assert sorted(stacks(loaded).values()) == sorted(stacks(profile).values())
    else:
        assert stacks(loaded) == stacks(profile)
    assert loaded.mode == profile.mode
    assert {t.name: t.time_ns for t in loaded.threads} == {t.name: t.time_ns for t in profile.threads}
    assert {f.function_name: (f.self_ns, f.total_ns) for f in loaded.functions()} == {
        f.function_name: (f.self_ns, f.total_ns) for f in profile.functions()
    }
    loaded.save(tmp_path / f"again{ending}")
    if (make, ending) != (elapsed, ".speedscope.json"):  # whose second half, the CPU time, is not read
        assert (tmp_path / f"again{ending}").read_bytes() == (tmp_path / f"p{ending}").read_bytes()
    for other in (".spprof", ".trace.json", ".firefox.json", ".pstats", ".otlp.pb", ".md", ".svg"):
        loaded.save(tmp_path / f"other{other}")


def test_pprof_keeps_states_tasks_and_numbers(tmp_path: Path) -> None:
    elapsed().save(tmp_path / "p.pb.gz")
    loaded = Profile.load(tmp_path / "p.pb.gz")
    assert sorted((s.state, s.waiting_for, s.task, s.cpu_ns) for s in loaded.samples) == sorted(
        (s.state, s.waiting_for, s.task.encode("utf-8", "backslashreplace").decode(), s.cpu_ns)
        for s in elapsed().samples
    )
    merged = make_profile([(0, ("a:1", "b:2"), 7)] * 3 + [(0, ("a:1",), 5)])
    merged.save(tmp_path / "m.pb")
    loaded = Profile.load(tmp_path / "m.pb")
    assert [s.weight_ns for s in loaded.samples] == [5, 7, 7, 7] and loaded.functions() == [
        f._replace() for f in merged.functions()
    ]
    assert (loaded.interval_ms, loaded.total_duration_ms, loaded.start_time) == (
        merged.interval_ms, merged.total_duration_ms, merged.start_time,
    )  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, max_size=10))
def test_any_profile_there_and_back(tmp_path: Path, rows: list[tuple[int, list[str], int]]) -> None:
    named = [(thread, tuple(name or "x" for name in stack), weight) for thread, stack, weight in rows]
    profile = make_profile(named, threads=("a", "b", "c"))
    totals = {t.name: t.time_ns for t in profile.threads if t.time_ns}
    for ending in ENDINGS[1:]:
        path = tmp_path / f"p{ending}"
        profile.save(path)
        if ending == ".collapsed" and not totals:
            continue  # an empty file
        loaded = Profile.load(path)
        assert {t.name: t.time_ns for t in loaded.threads if t.time_ns} == totals
        if ending == ".speedscope.json":
            assert stacks(loaded) == stacks(profile)
        elif ending == ".pb.gz":  # where what UTF-8 can't hold is escaped
            assert sorted(stacks(loaded).values()) == sorted(stacks(profile).values())


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_what_pprof_itself_has_written(tmp_path: Path) -> None:
    for number, make in enumerate((example, elapsed)):
        profile = make()
        profile.save(tmp_path / "p.pb.gz")
        command = [
            "go",
            "tool",
            "pprof",
            "-proto",
            "-output",
            str(tmp_path / f"{number}.gz"),
            str(tmp_path / "p.pb.gz"),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=100, cwd=tmp_path)
        assert (
            stacks(Profile.load(tmp_path / f"{number}.gz"))
            == stacks(Profile.load(tmp_path / "p.pb.gz"))
            == stacks(profile)
        )


def other_pprof(
    kinds: list[tuple[str, str]], samples: list[tuple[list[int], list[int], list[bytes]]], more: bytes = b""
) -> bytes:
    """Go's way: a location has an inlined function, ids are any numbers."""
    strings = ["", "main.work", "main.inlined", "/go/main.go", "thread_id", *[each for kind in kinds for each in kind]]
    parts = [pb.data(1, pb.number(1, strings.index(kind)) + pb.number(2, strings.index(unit))) for kind, unit in kinds]
    for stack, values, labels in samples:
        body = pb.packed(1, stack) + b"".join([pb.varint(2 << 3) + pb.varint(value) for value in values])  # not packed
        parts.append(pb.data(2, body + b"".join([pb.data(3, label) for label in labels])))
    inlined = pb.data(4, pb.number(1, 91) + pb.number(2, 20)) + pb.data(4, pb.number(1, 90) + pb.number(2, 10))
    parts.append(pb.data(4, pb.number(1, 70) + pb.number(3, 0x1234) + inlined))
    parts.append(pb.data(4, pb.number(1, 71) + pb.number(3, 0xBEEF)))
    parts.append(pb.data(5, pb.number(1, 90) + pb.number(2, 1) + pb.number(4, 3) + pb.number(5, 8)))
    parts.append(pb.data(5, pb.number(1, 91) + pb.number(2, 2) + pb.number(4, 3)))
    parts.extend([pb.text(6, each) for each in strings])
    return b"".join(parts) + more


def test_pprof_of_others(tmp_path: Path) -> None:
    path = tmp_path / "cpu.pprof"
    thread = pb.number(1, 4) + pb.number(3, 17)
    cpu = [("samples", "count"), ("cpu", "milliseconds")]
    path.write_bytes(gzip.compress(other_pprof(cpu, [([71, 70], [2, 30], [thread]), ([70], [1, 10], [])])))
    profile = Profile.load(path)
    assert (profile.mode, profile.sample_count, profile.cpu_time_ns) == ("cpu", 3, 40 * MS)
    assert [t.name for t in profile.threads] == ["thread 17", "all threads"]
    sample = next(s for s in profile.samples if s.thread_name == "thread 17")
    assert [(f.function_name, f.lineno, f.firstlineno, f.is_native) for f in sample.frames] == [
        ("main.work", 10, 8, False), ("main.inlined", 20, 0, False), ("0xbeef", 0, 0, True),
    ]  # fmt: skip
    assert sample.weight_ns == 15 * MS
    # Only numbers of samples, and what one stands for.
    period = pb.data(11, pb.number(1, 7) + pb.number(2, 8)) + pb.number(12, 5 * MS)
    more = pb.text(6, "wall") + pb.text(6, "nanoseconds") + period
    path.write_bytes(other_pprof([("samples", "count")], [([70], [4], [])], more))
    profile = Profile.load(path)
    assert (profile.mode, profile.sample_count, profile.threads[0].time_ns, profile.interval_ms) == (
        "wall",
        4,
        20 * MS,
        5,
    )
    path.write_bytes(other_pprof([("inuse_space", "bytes")], [([70], [4], [])]))
    with pytest.raises(ProfileFileError, match=r"no times \(inuse_space in bytes\)"):
        Profile.load(path)
    path.write_bytes(other_pprof(cpu, [([70], [1, -10], [])]))
    with pytest.raises(ProfileFileError, match="difference of two profiles"):
        Profile.load(path)
    path.write_bytes(other_pprof(cpu, [([99], [1, 10], [])]))
    with pytest.raises(ProfileFileError, match="damaged"):
        Profile.load(path)


def speedscope(*profiles: dict[str, Any]) -> str:
    frames = [{"name": "main", "file": "a.py", "line": 3, "col": 5}, {"name": "work"}]
    return json.dumps({"$schema": "x", "shared": {"frames": frames}, "profiles": profiles})


def test_speedscope_of_others(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    events = [("O", 0, 1.5), ("O", 1, 2), ("C", 1, 2.25), ("O", 1, 2.25), ("C", 1, 4), ("C", 0, 5)]
    evented = {
        "type": "evented", "name": "one", "unit": "seconds", "startValue": 1, "endValue": 5,
        "events": [{"type": kind, "frame": frame, "at": at} for kind, frame, at in events],
    }  # fmt: skip
    sampled = {
        "type": "sampled", "name": "two", "unit": "none", "startValue": 0, "endValue": 3, "samples": [[0], [0, 1]],
        "weights": [2, 1],
    }  # fmt: skip
    path.write_text(speedscope(evented, sampled))
    profile = Profile.load(path, interval_ms=20, mode="wall")
    assert stacks(profile) == {
        ("one", (("main", "a.py", 3),)): 1500 * MS, ("one", (("main", "a.py", 3), ("work", "", 0))): 2000 * MS,
        ("two", (("main", "a.py", 3),)): 40 * MS, ("two", (("main", "a.py", 3), ("work", "", 0))): 20 * MS,
    }  # fmt: skip
    assert profile.mode == "wall" and profile.threads[1].samples == 3
    assert Profile.load(path, unit="ms").threads[1].time_ns == 3 * MS
    for changed, message in (
        ({**sampled, "weights": [1]}, "number of weights"),
        ({**sampled, "samples": [[0], [2]]}, "no frame 2"),
        ({**sampled, "samples": [[0], [-1]]}, "no frame -1"),
        ({**sampled, "weights": [1, -1]}, "negative"),
        ({**sampled, "weights": [1, "x"]}, "'x'"),
        ({**sampled, "weights": [1, float("nan")]}, "damaged"),
        ({**sampled, "weights": [1, float("inf")]}, "damaged"),
        ({**sampled, "weights": [1, 2**70]}, "larger than any time"),
        ({**sampled, "unit": "bytes"}, "no times"),
        ({**sampled, "type": "odd"}, "unknown type"),
        ({**evented, "events": evented["events"][1:]}, "not the innermost"),
        ({**evented, "startValue": 9}, "earlier"),
        ({"type": "sampled"}, "damaged"),
    ):
        path.write_text(speedscope(changed))
        with pytest.raises(ProfileFileError, match=message):
            Profile.load(path)
    for text in ('{"traceEvents": []}', "[1, 2]", "{", "[" * 100_000, '{"profiles": [], "shared": 5}'):
        path.write_text(text)
        with pytest.raises(ProfileFileError):
            Profile.load(path)


def test_collapsed_of_others(tmp_path: Path) -> None:
    path = tmp_path / "stacks.txt"
    path.write_text(
        "# austin: 3.6\n\nmain (a.py:3);work (b c/d (1).py:7) 2\r\nmain (a.py:3) 1\nthread (0x7f): T;native one 3\n"
    )
    profile = Profile.load(path)
    assert stacks(profile) == {
        ("all threads", (("main", "a.py", 3),)): 10 * MS,
        ("all threads", (("main", "a.py", 3), ("work", "b c/d (1).py", 7))): 20 * MS,
        ("thread (0x7f): T", (("native one", "", 0),)): 30 * MS,
    }
    assert (profile.sample_count, profile.interval_ms) == (6, 10)
    assert Profile.load(path, unit="us", interval_ms=3).cpu_time_ns == 6000
    assert Profile.load(path, interval_ms=3).cpu_time_ns == 18 * MS
    path.write_text("main;work 1.5\nmain\n")
    with pytest.raises(ProfileFileError, match="line 2 is not a collapsed stack"):
        Profile.load(path)
    path.write_text("main;work 1.5\n")
    assert Profile.load(path, unit="ms").cpu_time_ns == 1_500_000
    for options in ({"unit": "h"}, {"mode": "x"}, {"interval_ms": 0}, {"interval_ms": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Profile.load(path, **options)
    path.write_text(" " * 3_000_000 + "x")  # in no time, whatever the line
    with pytest.raises(ProfileFileError, match="not a profile"):
        Profile.load(path)


def test_what_only_looks_like_a_mark_is_a_function(tmp_path: Path) -> None:
    path = tmp_path / "stacks.txt"
    path.write_text("[dropped];f 1\n[dropped] 2\n[unsampled];[dropped] 3\nmain;[unsampled] 4\n")
    profile = Profile.load(path, unit="ns", mode="wall")
    assert [(s.frames[0].function_name, s.frames[-1].function_name, s.weight_ns) for s in profile.samples] == [
        ("[dropped]", "f", 1), ("[unsampled]", "[dropped]", 3), ("main", "[unsampled]", 4),
    ]  # fmt: skip
    assert profile.threads[0].dropped_ns == 2 and profile.threads[0].time_ns == 10


def test_enormous_numbers_of_samples_stay_one(tmp_path: Path) -> None:
    path = tmp_path / "stacks.txt"
    path.write_text("a;b 3000000\na 1\n")
    profile = Profile.load(path)
    assert profile.sample_count == 2 and profile.cpu_time_ns == 3_000_001 * 10 * MS
    assert profile.threads[0].samples == 2


@pytest.mark.parametrize("ending", [".pb", ".pb.gz", ".speedscope.json", ".collapsed"])
def test_damage_is_an_error_or_another_profile(ending: str, tmp_path: Path) -> None:
    elapsed().save(tmp_path / f"p{ending}")
    data = (tmp_path / f"p{ending}").read_bytes()
    path = tmp_path / f"d{ending}"
    pick = random.Random(5)
    cases = [data[: pick.randrange(len(data))] for _ in range(80)]
    for _ in range(250):
        damaged = bytearray(data)
        for _ in range(pick.choice((1, 1, 4))):
            damaged[pick.randrange(len(damaged))] ^= 1 << pick.randrange(8)
        cases.append(bytes(damaged))
    refused = []
    for case in cases:
        path.write_bytes(case)
        try:
            Profile.load(path).to_speedscope()
        except ProfileFileError as error:  # and nothing else
            refused.append(str(error))
    assert all(message.startswith(str(path)) for message in refused)
    assert len(refused) > 20


def test_what_is_unpacked_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spprof.export import _container

    monkeypatch.setattr(_container, "_MOST_UNPACKED", 1 << 20)
    path = tmp_path / "bomb.pb.gz"
    path.write_bytes(gzip.compress(bytes(30 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(ProfileFileError, match="longer than 1 MiB"):
            Profile.load(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
