"""Places of native frames in profiles and files: names are looked up when someone looks, also elsewhere and later."""

from __future__ import annotations

import pickle
import shutil
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from objects import build_c, build_id, functions_by_nm, run
from profiles import MS, frame, make_profile, raw_profile

from spprof import Profile, ProfileFileError
from spprof._build import profile_from
from spprof.export._container import SIGNATURE, chunk, chunks, json_chunk, json_of
from spprof.export._protobuf import fields
from spprof.export.pprof import render

if TYPE_CHECKING:
    from pathlib import Path

BIAS = 0x7F0000000000
NATIVE = ("", "", 0, None, None, None, True, 0)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_c(tmp_path_factory.mktemp("machine"), "-g", "-O1")


def addresses(library: Path, *names: str) -> list[int]:
    """A little into these functions."""
    found = {name: start for name, start, _ in functions_by_nm(library)}
    return [found[name] + 1 for name in names]


def native_profile(
    path: Path, wanted: list[int], *, build: bytes | None = None, role: int = 0, fold: bool = True
) -> Profile:
    """main() calls one native function at each of these addresses, each calling the next one."""
    raw = raw_profile([(0, ("main:1",), 10 * MS)])
    object_ = (str(path), build_id(path) if build is None else build, BIAS, role, ((BIAS, BIAS + 0x100000, 0),))
    for address in wanted:
        index = len(raw["frames"])
        raw["frames"].append(NATIVE)
        raw["node_frame"].append(index)
        raw["node_parent"].append(len(raw["node_parent"]) - 1)
        raw.setdefault("native_frames", []).append((index, 0, address, None))
    raw["nodes"] = array("I", [len(raw["node_parent"]) - 1])
    raw["objects"] = [object_]
    raw["native"] = "folded" if fold else "all"
    return profile_from(raw)


def shown(profile: Profile) -> list[str]:
    [sample] = profile.samples
    assert sample.frames[0].function_name == frame("main")[0]
    assert all(f.is_native for f in sample.frames[1:])
    return [f.function_name for f in sample.frames[1:]]


def test_named_when_looked_at(library: Path, tmp_path: Path) -> None:
    copy = tmp_path / library.name
    shutil.copy(library, copy)
    wanted = addresses(library, "work", "visible", "hidden")
    early, late = native_profile(copy, wanted), native_profile(copy, wanted)
    assert shown(early) == ["work", "visible", "hidden"]
    copy.unlink()  # nobody has looked at the other one so far
    assert shown(late) == [f"{copy.name}+{address:#x}" for address in wanted]
    assert shown(early) == ["work", "visible", "hidden"]


def test_a_file_named_elsewhere(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's machine has a stripped library, and another one its debug file: names, lines, what is folded."""
    stripped = tmp_path / "lib" / library.name
    stripped.parent.mkdir()
    run("strip", "-o", stripped, library)
    wanted = addresses(library, "work", "hidden")
    hidden = f"{stripped.name}+{wanted[1]:#x}"
    saved, packed = tmp_path / "p.spprof", tmp_path / "p.pb.gz"
    profile = native_profile(stripped, wanted)
    assert shown(profile) == ["work", hidden]  # exported functions have names in any case
    profile.save(saved)
    profile.save(packed)
    pickled = pickle.dumps(profile)

    stripped.unlink()
    loaded = Profile.load(saved)
    assert shown(loaded) == ["work", hidden]
    assert list(loaded.samples) == list(profile.samples)
    loaded.save(tmp_path / "again.spprof")
    assert (tmp_path / "again.spprof").read_bytes() == saved.read_bytes()

    text = build_id(library).hex()
    debug = tmp_path / "debug" / ".build-id" / text[:2] / f"{text[2:]}.debug"
    debug.parent.mkdir(parents=True)
    shutil.copy(library, debug)
    monkeypatch.setenv("SPPROF_DEBUG_PATH", str(tmp_path / "debug"))
    for source in (Profile.load(saved), pickle.loads(pickled), Profile.load(tmp_path / "again.spprof")):
        assert shown(source) == ["work", "hidden"]
        [sample] = source.samples
        assert [f.filename.rpartition("/")[2] for f in sample.frames[1:]] == ["object.c"] * 2
        assert all(f.lineno for f in sample.frames[1:])
    # Of pprof's addresses only the object itself tells what they are in the file.
    shutil.copy(library, stripped)
    assert shown(Profile.load(packed)) == ["work", "hidden"]

    # A file of another build is not used, wherever it is.
    other = build_c(tmp_path / "other", "-g", "-O3", name=library.name)
    assert build_id(other) != build_id(library)
    shutil.copy(other, stripped)
    shutil.copy(other, debug)
    for path in (saved, packed):
        assert shown(Profile.load(path)) == ["work", hidden]


def test_merged_and_filtered_profiles_are_named_elsewhere_too(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripped = tmp_path / "lib" / library.name
    stripped.parent.mkdir()
    run("strip", "-o", stripped, library)
    hidden, work = addresses(library, "hidden", "work")
    merged = native_profile(stripped, [work]).merge(native_profile(stripped, [work, hidden]), make_profile([]))
    part = merged.filter(time=(0, None))
    debug = tmp_path / "debug" / ".build-id" / build_id(library).hex()[:2] / f"{build_id(library).hex()[2:]}.debug"
    debug.parent.mkdir(parents=True)
    for number, profile in enumerate((merged, part)):
        stacks = [[f.function_name for f in sample.frames] for sample in profile.samples]
        assert stacks == [["main", "work"], ["main", "work", f"{stripped.name}+{hidden:#x}"]]
        profile.save(tmp_path / f"{number}.spprof")
    shutil.copy(library, debug)
    monkeypatch.setenv("SPPROF_DEBUG_PATH", str(tmp_path / "debug"))
    for number in range(2):
        loaded = Profile.load(tmp_path / f"{number}.spprof")
        assert [[f.function_name for f in s.frames] for s in loaded.samples] == [
            ["main", "work"],
            ["main", "work", "hidden"],
        ]


def test_without_a_build_id_only_here(tmp_path: Path) -> None:
    made = build_c(tmp_path, "-g", "-O1", "-Wl,--build-id=none")
    wanted = addresses(made, "hidden")
    profile = native_profile(made, wanted, build=b"")
    untouched = native_profile(made, wanted, build=b"")
    assert shown(profile) == ["hidden"]
    profile.save(tmp_path / "p.spprof")
    made.rename(tmp_path / "gone")
    assert shown(untouched) != ["hidden"]
    untouched.save(tmp_path / "u.spprof")
    (tmp_path / "gone").rename(made)
    assert shown(Profile.load(tmp_path / "p.spprof")) == ["hidden"]
    assert shown(Profile.load(tmp_path / "u.spprof")) == [
        f"{made.name}+{wanted[0]:#x}"
    ]  # nobody can tell that it is the same


@pytest.mark.parametrize(("fold", "expected"), [(True, ["work"]), (False, ["work", "_PyObject_Call"])])
def test_plumbing_named_later_is_folded_then(fold: bool, expected: list[str], tmp_path: Path) -> None:
    source = "int work(int x) { return x + 1; }\nint _PyObject_Call(int x) { return x * 3; }\n"
    made = build_c(tmp_path / "made", "-O1", source=source)
    profile = native_profile(made, addresses(made, "work", "_PyObject_Call"), role=1, fold=fold)
    hidden = made.rename(tmp_path / "hidden")
    assert len(shown(profile)) == 2
    profile.save(tmp_path / "p.spprof")
    hidden.rename(made)
    loaded = Profile.load(tmp_path / "p.spprof")
    assert shown(loaded) == expected
    assert sum(f.self_ns for f in loaded.functions()) == 10 * MS
    loaded.save(tmp_path / "again.spprof")
    assert shown(Profile.load(tmp_path / "again.spprof")) == expected


def test_mappings_of_pprof(library: Path, tmp_path: Path) -> None:
    wanted = addresses(library, "work", "hidden")
    profile = native_profile(library, [*wanted, 0x99000])
    data = b"".join(render(profile))
    strings = [value.decode() for field, value in fields(data) if field == 6 and isinstance(value, bytes)]
    mappings = [dict(fields(value)) for field, value in fields(data) if field == 3 and isinstance(value, bytes)]
    assert len(mappings) == 2
    first, second = mappings
    assert {field: first[field] for field in (7, 8, 9)} == {7: 1, 8: 1, 9: 1}
    assert (second[2], second[3]) == (BIAS, BIAS + 0x100000)
    assert (strings[int(second[5])], strings[int(second[6])]) == (str(library), build_id(library).hex())
    assert 7 not in second  # one function has no name: pprof is to look for it
    locations = [dict(fields(value)) for field, value in fields(data) if field == 4 and isinstance(value, bytes)]
    assert sorted(int(each[3]) for each in locations if each[2] == 2) == sorted(BIAS + a for a in (*wanted, 0x99000))
    path = tmp_path / "p.pb"
    path.write_bytes(data)
    loaded = Profile.load(path)
    assert shown(loaded) == shown(profile)
    loaded.save(tmp_path / "again.pb")
    assert (tmp_path / "again.pb").read_bytes() == data


def with_code(path: Path, change: Any) -> Path:
    """The same file with other contents of CODE, and a right checksum."""
    parts = []
    for kind, body in chunks(path.read_bytes()):
        assert body is not None
        if kind == b"CODE":
            document = json_of(body)
            change(document)
            parts.append(json_chunk(kind, document))
        else:
            parts.append(chunk(kind, body))
    changed = path.with_name("changed.spprof")
    changed.write_bytes(SIGNATURE + b"".join(parts))
    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["object"].__setitem__(0, 5),
        lambda d: d["object"].__setitem__(0, -1),
        lambda d: d["frame"].__setitem__(0, 99),
        lambda d: d["frame"].__setitem__(0, 0),  # a Python frame
        lambda d: d["address"].__setitem__(0, -1),
        lambda d: d["address"].__setitem__(0, 2**64),
        lambda d: d["address"].append(1),
        lambda d: d["function"].__setitem__(0, "x"),
        lambda d: d["objects"][0].update(build_id="xyz"),
        lambda d: d["objects"][0].update(path=7),
        lambda d: d["objects"][0].update(bias=-3),
        lambda d: d["objects"][0].update(segments=[[5, 1, 0]]),
        lambda d: d.update(objects=[]),
        lambda d: d.pop("named"),
    ],
)
def test_damaged_places(library: Path, tmp_path: Path, change: Any) -> None:
    native_profile(library, addresses(library, "work", "hidden")).save(tmp_path / "p.spprof")
    with pytest.raises(ProfileFileError, match="CODE") as caught:
        Profile.load(with_code(tmp_path / "p.spprof", change))
    # Everything else is of use without them.
    assert caught.value.partial is not None
    assert shown(caught.value.partial) == ["work", "hidden"]


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/", "relative", "", "/proc/self/mem", "\0", "x" * 9999])
def test_what_a_file_names_is_not_trusted(library: Path, tmp_path: Path, path: str) -> None:
    def change(document: Any) -> None:
        document["objects"][0]["path"] = path
        document["named"] = [0, 0]

    native_profile(library, addresses(library, "work", "hidden")).save(tmp_path / "p.spprof")
    assert shown(Profile.load(with_code(tmp_path / "p.spprof", change))) == ["work", "hidden"]
