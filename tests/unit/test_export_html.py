"""The HTML report as a document: what it holds is the profile, and nothing of it can do anything."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import MS, example, make_profile, raw_profile
from report import STAND_IN, Document, any_page, data_of, is_built, page_of
from test_export_spprof import elapsed

from spprof._build import profile_from
from spprof.cli import _output
from spprof.export import html
from spprof.export._report_data import head

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["any_page"]
ROOT = Path(__file__).resolve().parents[2]
NASTY = (
    "</script><script>alert(1)</script>", "<!--<script>", "-->", "]]>", "&lt;img src=x onerror=alert(1)>", "\udcff", "\0\n\u2028",
    "\u202egnp.exe", "a\\u003cb", "'\"`${x}",
)  # fmt: skip


def sums(data: dict[str, Any]) -> dict[tuple[str, str, int], list[int]]:
    """By function own and total time, from the columns alone."""
    columns, texts, functions = data["columns"], data["texts"], data["functions"]
    result: dict[tuple[str, str, int], list[int]] = {}
    for node, weight in zip(columns["sample_node"], columns["sample_weight"]):
        leaf, seen, at = True, set(), node
        while at:
            function = columns["frame_function"][columns["node_frame"][at]]
            key = texts[functions["name"][function]], texts[functions["file"][function]], functions["line"][function]
            entry = result.setdefault(key, [0, 0])
            entry[0] += weight if leaf else 0
            entry[1] += 0 if key in seen else weight
            seen.add(key)
            leaf, at = False, columns["node_parent"][at]
    return result


@pytest.mark.usefixtures("any_page")
@pytest.mark.parametrize("make", [example, elapsed, lambda: example().aggregate(), lambda: make_profile([])])
def test_sums_are_the_profiles(make: Callable[[], Any]) -> None:
    profile = make()
    data = data_of(profile)
    found = sums(data)
    for function in profile.functions():
        key = function.function_name, function.filename, function.firstlineno
        assert found.pop(key) == [function.self_ns, function.total_ns]
    assert set(found) <= {("[dropped]", "", 0), ("[unsampled]", "", 0)}
    columns = data["columns"]
    by_thread = [0] * len(profile.threads)
    for thread, weight in zip(columns["sample_thread"], columns["sample_weight"]):
        by_thread[thread] += weight
    assert by_thread == [thread.time_ns for thread in profile.threads] == [t["time_ns"] for t in data["threads"]]
    assert sum(columns["sample_count"]) == sum(thread.samples for thread in profile.threads) == data["facts"]["samples"]
    if "sample_cpu" in columns:
        unsampled = sum(thread.cpu_unsampled_ns for thread in profile.threads)
        assert sum(columns["sample_cpu"]) == sum(sample.cpu_ns for sample in profile.samples) + unsampled


@pytest.mark.usefixtures("any_page")
def test_lines_threads_states_and_times() -> None:
    data = data_of(elapsed())
    columns = data["columns"]
    assert columns["sample_time_us"] == [10_000, 20_000, 30_000]
    assert columns["sample_state"] == [4, 0, 3]
    assert columns["sample_cpu"] == [1 * MS, 4 * MS, 0]
    assert [t["name"] for t in data["threads"]] == ["a", "a (tasks)"]
    assert data["functions"]["kind"][:3] == [1, 1, 3]  # the last one is a coroutine that waits
    lost = data_of(example())
    rows = list(zip(*(lost["columns"][f"sample_{name}"] for name in ("time_us", "weight", "thread", "count"))))
    end = lost["facts"]["duration_ns"] + 1
    assert rows[-2:] == [(25_000, 3 * MS, 0, 0), (end // 1000, 2 * MS, 0, 0)]


@pytest.mark.usefixtures("any_page")
def test_nodes_that_look_the_same_are_one() -> None:
    rows = [(0, ("f:1:4", "g:2"), MS), (0, ("f:1:9", "g:2"), MS), (0, ("f:2", "g:2"), MS)]
    data = data_of(make_profile(rows, merge_nodes=False))
    assert data["columns"]["sample_node"] == [2, 2, 4]
    assert data["columns"]["node_parent"] == [0, 0, 1, 0, 3]


@pytest.mark.usefixtures("any_page")
def test_equal_profiles_give_equal_files(tmp_path: Path) -> None:
    example().save(tmp_path / "a.html")
    example(first_id=7).save(tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def nasty(names: tuple[str, ...]) -> Any:
    raw = raw_profile([(0, ("f",), MS)], threads=names[:1])
    raw["frames"] = [(names[0], f"/tmp/{names[1]}", *raw["frames"][0][2:])]
    profile = profile_from(raw)
    profile._facts.program = names[2]
    return profile


def assert_inert(profile: Any, page: str) -> None:
    document = Document(page)
    tags = "html head meta meta meta meta meta link title style body noscript script script"
    assert document.tags == tags.split()
    assert not any(name.startswith("on") or name == "src" for _, found in document.elements for name in found)
    assert document.texts["script"] == STAND_IN[0]
    assert set(document.texts["scriptprofile"]).isdisjoint("<>&")
    assert {frame.function_name for frame in profile._tree.frames} <= set(document.data["texts"])


@pytest.mark.usefixtures("any_page")
@pytest.mark.parametrize("turn", range(len(NASTY)))
def test_names_are_never_markup(turn: int) -> None:
    profile = nasty((*NASTY[turn:], *NASTY[:turn]))
    assert_inert(profile, page_of(profile))


@settings(max_examples=40, deadline=None)
@given(names=st.tuples(*[st.text(st.characters(), max_size=20)] * 3))
def test_no_name_is_ever_markup(names: tuple[str, ...]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html, "bundle", lambda: STAND_IN)
        profile = nasty(names)
        assert_inert(profile, page_of(profile))


@pytest.mark.usefixtures("any_page")
def test_the_policy_allows_its_own_script_and_style_only() -> None:
    document = Document(page_of(example()))
    policy = next(found["content"] for tag, found in document.elements if found.get("http-equiv"))

    def digest(text: str) -> str:
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    assert rules == {
        "default-src": "'none'", "script-src": digest(STAND_IN[0]), "style-src": digest(STAND_IN[1]), "img-src": "data:",
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert document.tags.index("meta") + 1 == document.tags.index("meta", document.tags.index("meta") + 1)
    # The policy counts from where it stands: nothing that it is about comes before.
    assert document.tags[:4] == ["html", "head", "meta", "meta"]


def test_without_the_page_saving_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "_BUNDLE", ("no such.js", "no such.css"))
    with pytest.raises(RuntimeError, match="make web"):
        example().save(tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(_output.RequestError, match="make web"):  # before a program runs for nothing
        _output.choose([str(tmp_path / "a.html")], None, "script", "x.py")
    with pytest.raises(_output.RequestError, match="make web"):
        _output.choose(None, "html", "script", "x.py")


@pytest.mark.skipif(not is_built(), reason="the page is not built (make web)")
def test_the_real_page() -> None:
    document = Document(page_of(example()))
    assert document.tags.count("script") == 2
    script, style = document.texts["script"], document.texts["style"]
    assert html.bundle() == (script, style)
    assert not re.search(
        r"https?:|fetch\(|XMLHttpRequest|WebSocket|EventSource|importScripts|sendBeacon|import\(", script
    )
    assert not re.search(r"url\(|@import", style)


def test_the_lock_file_names_no_registry() -> None:
    lock = ROOT / "web" / "package-lock.json"
    if not lock.exists():
        pytest.skip("not a checkout")
    assert '"resolved"' not in lock.read_text() and "://" not in re.sub(r'"url": "[^"]*"', "", lock.read_text())


# ---- source text


def at(path: str, line: int, first: int = 1, weight: int = MS) -> Any:
    """A profile with one sample in a file."""
    raw = raw_profile([(0, ("f",), weight)])
    raw["frames"] = [("f", path, line, None, None, None, False, first)]
    raw["start_time"] = 4e9  # no file is younger
    return profile_from(raw)


def source(profile: Any) -> Any:
    (entry,) = html.sources(profile)
    return entry


def test_source_text_around_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("".join(f"line {n} \u00e4\n" for n in range(1, 101)), encoding="utf-8")
    entry = source(at(str(path), 50, 20))
    assert [first for first, _ in entry["parts"]] == [20, 44]
    assert entry["parts"][0][1] == "line 20 \u00e4\nline 21 \u00e4"
    lines = entry["parts"][1][1].split("\n")
    assert lines[0] == "line 44 \u00e4" and lines[-1] == "line 56 \u00e4"
    assert "changed" not in entry
    assert source(at(str(path), 99, 98))["parts"][0][1].endswith("line 100 \u00e4")


def test_source_text_that_is_not_there_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def why(name: str, line: int = 3) -> str:
        return str(source(at(name, line))["missing"])

    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0\n" * 9)
    assert "not known to be a source file" in why(str(secret))
    assert "No such file" in why(str(tmp_path / "gone.py"))
    assert "did not come from a file" in why("<string>")
    assert "not a file name" in why("a\0.py")
    (tmp_path / "short.py").write_text("x\n")
    assert "fewer lines" in why(str(tmp_path / "short.py"), 90)
    os.mkfifo(tmp_path / "pipe.py")
    assert "not a regular file" in why(str(tmp_path / "pipe.py"))
    (tmp_path / "folder.py").mkdir()
    assert "not a regular file" in why(str(tmp_path / "folder.py"))
    (tmp_path / "script").write_text("#!/usr/bin/env python3\nx\ny\n")
    assert source(at(str(tmp_path / "script"), 3))["parts"] == [(1, "#!/usr/bin/env python3\nx\ny")]
    monkeypatch.setenv("SPPROF_REPORT_SOURCE", "0")
    assert "SPPROF_REPORT_SOURCE" in why(str(tmp_path / "script"))


def test_source_text_of_odd_encodings(tmp_path: Path) -> None:
    for number, (text, shown) in enumerate(
        [
            (b"# coding: latin-1\n# \xe4\n", "\u00e4"),
            (b"# coding: hex\n# \xe4\n", "\ufffd"),
            (b"# coding: nonsense\n# \xc3\xa4\n", "\u00e4"),
        ]
    ):
        path = tmp_path / f"{number}.py"
        path.write_bytes(text)
        assert source(at(str(path), 2))["parts"][0][1].endswith(shown)


def test_source_text_has_a_limit_and_hot_files_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spprof.export._sources.LIMIT", 60)
    raw = raw_profile([(0, ("a",), MS), (0, ("b",), 2 * MS)])
    raw["frames"] = []
    for name in "ab":
        (tmp_path / f"{name}.py").write_text("x" * 40 + "\n")
        raw["frames"].append((name, str(tmp_path / f"{name}.py"), 1, None, None, None, False, 1))
    first, second = html.sources(profile_from(raw))
    assert first["file"].endswith("b.py") and first["parts"] == [(1, "x" * 40)]
    assert "hotter files" in second["missing"]


def test_files_that_changed_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x\n")
    profile = at(str(path), 1)
    profile._facts.start_time = 1e9
    assert source(profile)["changed"] is True


def test_cells_of_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    import linecache

    monkeypatch.setitem(linecache.cache, "<cell 1>", (9, None, ["a\n", "b\n"], "<cell 1>"))
    assert source(at("<cell 1>", 2))["parts"] == [(1, "a\nb")]


def test_head_is_plain_json() -> None:
    import json

    json.dumps(head(elapsed()))
