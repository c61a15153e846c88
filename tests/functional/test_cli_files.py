"""`spprof report` and `spprof convert`: what was saved, shown again and in other formats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from children import spprof

from spprof import Profile

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import threading
def burn(n):
    total = 0
    for i in range(n):
        total += i * i
    return total
def main():
    thread = threading.Thread(target=burn, args=(200_000,), name="helper")
    thread.start()
    burn(2_000_000)
    thread.join()
main()
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    (folder / "app.py").write_text(PROGRAM)
    result = spprof("run", "--interval-ms", "1", "-o", "p.spprof", "-q", "app.py", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    return folder / "p.spprof"


def test_report_shows_what_the_profile_has(saved: Path) -> None:
    profile = Profile.load(saved)
    result = spprof("report", saved)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("spprof: app.py: ")
    hottest = profile.functions()[0]
    (row,) = [line for line in lines if " burn " in line][:1]
    assert row.split()[0] == f"{hottest.self_ns / 1e9:.2f}" and hottest.function_name == "burn"
    assert any("helper" in line for line in lines)
    assert max(map(len, lines)) <= 80 and "\x1b" not in result.stdout
    assert f"total    {profile.cpu_time_ns / 1e9:.2f} s of CPU" in result.stdout


def test_report_for_programs(saved: Path) -> None:
    profile = Profile.load(saved)
    document = json.loads(spprof("report", "--json", saved).stdout)
    assert document["schema"] == 1 and document["samples"] == profile.sample_count
    assert document["functions"] == [f._asdict() for f in profile.functions()]
    assert sum(t["time_ns"] for t in document["threads"]) == document["time_ns"] == profile.cpu_time_ns
    text = spprof("report", "--markdown", saved).stdout
    assert text.startswith("# Profile of `app.py`") and "| `burn` |" in text


def test_convert_writes_what_save_writes(saved: Path, tmp_path: Path) -> None:
    profile = Profile.load(saved)
    names = [
        "a.speedscope.json",
        "a.collapsed",
        "a.svg",
        "a.pb.gz",
        "a.trace.json",
        "a.firefox.json.gz",
        "a.pstats",
        "a.md",
    ]
    result = spprof("convert", saved, *[tmp_path / name for name in names])
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    for name in names:
        profile.save(tmp_path / f"other-{name}")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"other-{name}").read_bytes(), name
    assert spprof("convert", "--format", "collapsed", saved, tmp_path / "b").returncode == 0
    assert (tmp_path / "b").read_text() == profile.to_collapsed()


@pytest.mark.parametrize("command", [["report"], ["convert"]])
def test_what_can_not_be_read_is_one_line(command: list[str], saved: Path, tmp_path: Path) -> None:
    out = [tmp_path / "out.svg"] if command == ["convert"] else []
    (tmp_path / "text.spprof").write_text("hello")
    data = saved.read_bytes()
    (tmp_path / "cut.spprof").write_bytes(data[:-10])
    for name, message in (
        ("none.spprof", "can't read"), ("text.spprof", "it is not a .spprof file"), ("cut.spprof", "it is cut off; "),
    ):  # fmt: skip
        result = spprof(*command, tmp_path / name, *out)
        assert result.returncode == 2 and result.stdout == ""
        assert result.stderr.startswith(f"spprof {command[0]}: ") and message in result.stderr
        assert result.stderr.count("\n") == 1
        assert not out or not out[0].exists()
    result = spprof(*command, "--damaged", tmp_path / "cut.spprof", *out)
    assert result.returncode == 0 and "warning" in result.stderr
    assert not out or out[0].exists()


def test_files_of_other_formats(saved: Path, tmp_path: Path) -> None:
    profile = Profile.load(saved)
    assert spprof("convert", saved, tmp_path / "a.pb.gz", tmp_path / "a.collapsed", tmp_path / "a.json").returncode == 0
    for name in ("a.pb.gz", "a.collapsed", "a.json"):
        result = spprof("report", "--json", tmp_path / name)
        document = json.loads(result.stdout)
        assert document["time_ns"] == profile.cpu_time_ns and result.stderr == ""
        hottest = profile.functions()[0]
        assert document["functions"][0]["self_ns"] == hottest.self_ns, name
    text = spprof("report", tmp_path / "a.pb.gz").stdout
    assert "source   a file of another format" in text and "own cost" not in text
    (tmp_path / "py-spy.txt").write_text("main (a.py:3);work (a.py:7) 30\n")
    assert spprof("convert", "--interval-ms", "2", tmp_path / "py-spy.txt", tmp_path / "b.spprof").returncode == 0
    converted = Profile.load(tmp_path / "b.spprof")
    assert (converted.sample_count, converted.cpu_time_ns) == (30, 60_000_000)
    result = spprof("convert", "--interval-ms", "0", tmp_path / "py-spy.txt", tmp_path / "c.svg")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1) and "--interval-ms must be" in result.stderr


def test_bad_requests(saved: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["convert", saved], "required: OUT"),
        (["convert", saved, tmp_path / "a.pdf"], "known formats"),
        (["convert", saved, tmp_path / "no" / "a.svg"], "can't write"),
        (["report", "--json", "--markdown", saved], "not allowed with"),
        (["report"], "required: FILE"),
    ):
        result = spprof(*arguments)
        assert result.returncode == 2 and message in result.stderr and result.stderr.count("\n") == 1, result.stderr
