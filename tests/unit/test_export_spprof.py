"""The .spprof file: everything comes back, a damaged file says so, and nothing of it is believed."""

from __future__ import annotations

import pickle
import random
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import MS, example, make_profile, raw_profile

import spprof
from spprof import Profile, ProfileFileError
from spprof._build import profile_from
from spprof.export._columns import packed, unpacked
from spprof.export._container import SIGNATURE, chunk, chunks, json_chunk, json_of

if TYPE_CHECKING:
    from pathlib import Path


def file_of(profile: Profile) -> bytes:
    from spprof.export.spprof import render

    return b"".join(render(profile))


def assert_same(loaded: Profile, profile: Profile) -> None:
    assert list(loaded.samples) == list(profile.samples)
    assert (loaded.threads, loaded.losses, loaded.stats) == (profile.threads, profile.losses, profile.stats)
    for name in (
        "mode",
        "cpu_time_ns",
        "start_time",
        "total_duration_ms",
        "interval_ms",
        "python_version",
        "platform",
        "program",
    ):
        assert getattr(loaded, name) == getattr(profile, name), name
    assert loaded.to_speedscope() == profile.to_speedscope()
    assert loaded.functions() == profile.functions()
    assert pickle.dumps(pickle.loads(pickle.dumps(loaded)).stats) == pickle.dumps(profile.stats)


def elapsed() -> Profile:
    """A profile of elapsed time, with states and tasks."""
    raw: dict[str, Any] = raw_profile(
        [(0, ("main:1", "wait:2"), 10 * MS), (0, ("main:1",), 5 * MS), (1, ("coro:3",), 7 * MS)],
        threads=("a", "a (tasks)"),
    )
    from array import array

    raw["walls"] = raw["weights"]
    raw["weights"] = array("q", (1 * MS, 4 * MS, 0))
    raw["states"] = array("B", (4, 0, 3))
    raw["tasks"] = array("I", (0, 1, 2))
    raw["task_names"] = ["", "Task-1", "löng\udcff\n"]
    raw["frames"] = [(*f, f[0] == "coro") for f in raw["frames"]]
    raw["threads"][1]["thread_id"] = 0  # as the entries of loops have it
    raw["stats"]["mode"] = "wall"
    return profile_from(raw)


def test_everything_comes_back(tmp_path: Path) -> None:
    for number, profile in enumerate((example(), elapsed(), make_profile([]))):
        path = tmp_path / f"{number}.spprof"
        profile.save(path)
        assert_same(Profile.load(path), profile)
        profile.save(tmp_path / "again.spprof")
        assert (tmp_path / "again.spprof").read_bytes() == path.read_bytes()
        profile.save(tmp_path / "packed.spprof.gz")
        assert_same(Profile.load(tmp_path / "packed.spprof.gz"), profile)
    with pytest.raises(ValueError, match="aggregated"):
        example().aggregate().save(tmp_path / "a.spprof")


def test_a_real_profile_comes_back(tmp_path: Path) -> None:
    with spprof.Profiler(1) as block:
        sum(sum(range(500)) for _ in range(3000))
    assert block.profile is not None
    block.profile.save(tmp_path / "a.spprof")
    assert_same(Profile.load(tmp_path / "a.spprof"), block.profile)


def test_a_few_bytes_a_sample() -> None:
    pick = random.Random(1)
    count = 100_000  # more than one part
    stacks = [tuple(f"f{pick.randrange(40)}:{pick.randrange(9)}" for _ in range(12)) for _ in range(60)]
    raw = raw_profile([(pick.randrange(4), stacks[pick.randrange(60)], 1) for _ in range(count)], threads=tuple("abcd"))
    for row in range(count):  # as a sampler has them: jittered times, weights of a window are nearly equal
        raw["times"][row] = 10 * MS * row + pick.randrange(5 * MS)
        raw["weights"][row] = 10 * MS + pick.randrange(2)
    profile = profile_from(raw)
    data = file_of(profile)
    assert len(data) / count < 6
    from spprof.reading.spprof import read

    assert list(read(data).samples[99_990:]) == list(profile.samples[99_990:])


@pytest.mark.parametrize("make", [example, elapsed])
def test_cut_off_anywhere(make: Any, tmp_path: Path) -> None:
    profile = make()
    data = file_of(profile)
    path = tmp_path / "cut.spprof"
    partial = 0
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(ProfileFileError, match=r"cut off|empty") as caught:
            Profile.load(path)
        assert str(path) in str(caught.value)
        if caught.value.partial is not None:
            partial += 1
            saved = caught.value.partial
            assert len(saved.samples) in (0, len(profile.samples))
            # What is missing was dropped: each thread's time is what it was.
            assert [t.time_ns for t in saved.threads] == [t.time_ns for t in profile.threads]
            saved.to_speedscope()
    assert partial > 0


def test_damaged_anywhere(tmp_path: Path) -> None:
    profile = example()
    data = file_of(profile)
    path = tmp_path / "damaged.spprof"
    pick = random.Random(2)
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(pick.choice((1, 1, 3))):
            damaged[pick.randrange(len(damaged))] ^= 1 << pick.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ProfileFileError):
            Profile.load(path)


def reassembled(data: bytes, kind: bytes, change: Any) -> bytes:
    """The same file with one part changed, and right checksums."""
    parts = []
    for name, body in chunks(data):
        assert body is not None
        parts.append(chunk(name, change(body) if name == kind else body))
    return SIGNATURE + b"".join(parts)


def changed_json(**changes: Any) -> Any:
    def change(body: bytes) -> bytes:
        document = json_of(body)
        for path, value in changes.items():
            at = document
            *way, last = path.split("__")
            for step in way:
                at = at[int(step) if step.isdigit() else step]
            at[int(last) if last.isdigit() else last] = value
        return json_chunk(b"XXXX", document)[12:-4]

    return change


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (b"META", changed_json(facts__duration_ns=-1)),
        (b"META", changed_json(facts__mode=5)),
        (b"META", changed_json(threads__0__name=None)),
        (b"META", changed_json(threads__0__cpu_ns="x")),
        (b"LOSS", changed_json(thread_index__0=9)),
        (b"LOSS", changed_json(kind=["dropped", "dropped"])),
        (b"LOSS", changed_json(weight_ns="1")),
        (b"META", changed_json(losses=2)),
        (b"META", changed_json(losses="x")),
        (b"META", changed_json(columns=["times"])),
        (b"META", changed_json(rows=10**9)),
        (b"META", lambda body: body[:-3]),
        (b"FRMS", changed_json(lineno__0=2**70)),
        (b"FRMS", changed_json(function_name__0=99)),
        (b"FRMS", changed_json(function_name=[0])),
        (b"FRMS", changed_json(texts=[])),
        (b"FRMS", lambda _: zlib.compress(b"[" * 100_000)),
        (b"TREE", lambda body: (2**31).to_bytes(4, "little") + body[4:]),
        (b"TREE", lambda body: body[:-1]),
        (b"TREE", lambda _: (1).to_bytes(4, "little") + packed([5]) + packed([0])),
        (b"TREE", lambda _: (1).to_bytes(4, "little") + packed([1]) + packed([77])),
        (b"ROWS", lambda body: (2**31).to_bytes(4, "little") + body[4:]),
        (b"ROWS", lambda _: (1).to_bytes(4, "little") + packed([1]) + packed([1]) + packed([999]) + packed([0])),
        (b"ROWS", lambda _: (1).to_bytes(4, "little") + packed([1]) + packed([1]) + packed([0]) + packed([7])),
        (b"ROWS", lambda _: b""),
    ],
)
def test_what_it_says_is_checked(kind: bytes, change: Any, tmp_path: Path) -> None:
    # Written on purpose: checksums are right, the contents are not.
    (tmp_path / "a.spprof").write_bytes(reassembled(file_of(example()), kind, change))
    with pytest.raises(ProfileFileError):
        Profile.load(tmp_path / "a.spprof")


def test_versions_and_other_files(tmp_path: Path) -> None:
    data = file_of(example())
    path = tmp_path / "a.spprof"
    path.write_bytes(reassembled(data, b"HEAD", changed_json(format=2, spprof="9.9")))
    with pytest.raises(ProfileFileError, match=r"format 2, by spprof 9\.9.*install a newer one"):
        Profile.load(path)
    # What a later version adds is skipped.
    path.write_bytes(data.replace(chunk(b"END ", (1).to_bytes(4, "little")), chunk(b"NEW ", b"x") + data[-20:]))
    assert len(Profile.load(path).samples) == 7
    for other in (b"{}", b"\x1f\x8b\x08rubbish", b"", b"\x89PNG\r\n\x1a\n1234"):
        path.write_bytes(other)
        with pytest.raises(ProfileFileError, match=r"a\.spprof: it is"):
            Profile.load(path)
    with pytest.raises(FileNotFoundError):
        Profile.load(tmp_path / "none.spprof")


def grown(profile: Profile) -> list[list[bytes]]:
    """The same file as one that grows with each sample would be: its first part, one for each sample, its end."""
    parts = {kind: body for kind, body in chunks(file_of(profile)) if body is not None}
    tree, rows, meta = profile._tree, profile._rows, json_of(parts[b"META"])
    document, losses = json_of(parts[b"FRMS"]), json_of(parts[b"LOSS"])
    meta.update(rows=0, losses=0)
    for thread in meta["threads"]:
        thread.update(sampled_ns=0, dropped_ns=0, unsampled_ns=0, samples=0, cpu_ns=0)
    told_frames, told_nodes = 0, 1
    steps = [[SIGNATURE + chunk(b"HEAD", parts[b"HEAD"]), json_chunk(b"META", meta)]]
    for row, node in enumerate(rows.nodes):
        frames = max([told_frames, *[index + 1 for index in tree.frame_of[1 : node + 1]]])
        some = {k: column if k == "texts" else column[told_frames:frames] for k, column in document.items()}
        nodes = range(told_nodes, max(node + 1, told_nodes))
        columns = packed([n - tree.parent_of[n] for n in nodes]) + packed([tree.frame_of[n] for n in nodes])
        sample = b"".join(
            [packed([column[row]]) for column in (rows.times, rows.weights, rows.nodes, rows.thread_index)]
        )
        thread = meta["threads"][rows.thread_index[row]]
        thread["sampled_ns"] += rows.weights[row]
        thread["cpu_ns"] += rows.weights[row]
        thread["samples"] += 1
        meta["rows"] = row + 1
        told_frames, told_nodes = frames, max(node + 1, told_nodes)
        steps.append([
            json_chunk(b"FRMS", some), chunk(b"TREE", len(nodes).to_bytes(4, "little") + columns),
            chunk(b"ROWS", (1).to_bytes(4, "little") + sample), json_chunk(b"META", meta),
        ])  # fmt: skip
    steps.append([json_chunk(b"LOSS", losses), chunk(b"META", parts[b"META"]), chunk(b"END ", b"1234")])
    return steps


def test_a_file_that_grew(tmp_path: Path) -> None:
    profile = example()
    steps = grown(profile)
    path = tmp_path / "a.spprof"
    path.write_bytes(b"".join([part for step in steps for part in step]))
    assert_same(Profile.load(path), profile)
    written = b"".join(steps[0])
    for count, step in enumerate(steps[1:-1]):
        for done in range(len(step)):
            # Cut off in the middle of a part: what the last META accounts for is there, exactly.
            path.write_bytes(written + b"".join(step[:done]) + step[done][:-1])
            with pytest.raises(ProfileFileError, match="cut off") as caught:
                Profile.load(path)
            saved = caught.value.partial
            if count == 0 and done < 2:
                assert saved is None  # no stack yet
                continue
            assert saved is not None
            assert list(saved.samples) == list(profile.samples[:count])
            assert sum(t.time_ns for t in saved.threads) == sum(s.weight_ns for s in profile.samples[:count])
        written += b"".join(step)
    # A part that others count on is damaged: what comes after it is not shown as something else.
    damaged = [list(step) for step in steps]
    damaged[3][1] = damaged[3][1][:-1] + b"?"
    path.write_bytes(b"".join([part for step in damaged for part in step]))
    with pytest.raises(ProfileFileError, match="TREE is damaged") as caught:
        Profile.load(path)
    saved = caught.value.partial
    assert saved is not None and list(saved.samples) == list(profile.samples[:2])
    assert [t.time_ns for t in saved.threads] == [t.time_ns for t in profile.threads]


def zeros(count: int) -> bytes:
    """A column of as many zeros."""
    data = zlib.compress(bytes(count), 9)
    return struct.pack("<BBQI", 0, 1, 0, len(data)) + data


@pytest.mark.parametrize("kind", ["META", "FRMS", "TREE", "ROWS"])
def test_small_files_do_not_fill_memory(kind: str, tmp_path: Path) -> None:
    added = {
        "META": lambda: json_chunk(b"META", [[]] * 5_000_000),
        "FRMS": lambda: json_chunk(b"FRMS", {"texts": [[]] * 4_000_000}),
        "TREE": lambda: chunk(b"TREE", (20_000_000).to_bytes(4, "little") + zeros(20_000_000)),
        "ROWS": lambda: chunk(b"ROWS", (65536).to_bytes(4, "little") + zeros(65536) * 4) * 200,  # 310 MB
    }[kind]()
    start = {kind: body for kind, body in chunks(file_of(example())) if body is not None}
    data = SIGNATURE + b"".join([chunk(kind, start[kind]) for kind in (b"HEAD", b"META", b"FRMS", b"TREE")])
    path = tmp_path / "a.spprof"
    path.write_bytes(data + added)
    assert path.stat().st_size < 200_000
    del added
    tracemalloc.start()
    try:
        with pytest.raises(ProfileFileError):
            Profile.load(path)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1)), max_size=40))
def test_columns_come_back(values: list[int]) -> None:
    data = b"before" + packed(values) + b"after"
    column, at = unpacked(data, 6, len(values), "q")
    assert column.tolist() == values and data[at:] == b"after"
    if values:
        with pytest.raises(ValueError, match="column"):
            unpacked(data, 6, len(values) + 1, "q")
        with pytest.raises(ValueError, match="column"):
            unpacked(data[: at - 1], 6, len(values), "q")


NAME = st.text(st.characters(exclude_categories=()), max_size=8).filter(
    lambda t: not t.startswith("[") and ":" not in t
)
ROW = st.tuples(st.integers(0, 2), st.lists(NAME, min_size=1, max_size=6), st.integers(0, 2**40))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ROW, max_size=12))
def test_any_profile_comes_back(rows: list[tuple[int, list[str], int]]) -> None:
    from spprof.reading.spprof import read

    named = [(thread, tuple(name or "x" for name in stack), weight) for thread, stack, weight in rows]
    profile = make_profile(named, threads=("a", "b", "\udc80"))
    assert_same(read(file_of(profile)), profile)
