"""`spprof report --tree` and others, `diff`, `merge`, `annotate`, `view`, `completion`: what people see of saved profiles."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from children import environment, spprof

from spprof import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from profiles import MS, example, make_profile
from report import is_built

A = [(0, ("main:1", "a:5"), MS)] * 600 + [(0, ("main:2", "b:9"), MS)] * 400
B = [(0, ("main:1", "a:5"), MS)] * 600 + [(0, ("main:2", "b:9"), MS)] * 1200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Profiles: e.spprof, a.spprof, b.spprof (more of the function b), d.spprof (damaged)."""
    folder = tmp_path_factory.mktemp("profiles")
    example().save(folder / "e.spprof")
    make_profile(A).save(folder / "a.spprof")
    make_profile(B).save(folder / "b.spprof")
    (folder / "d.spprof").write_bytes((folder / "a.spprof").read_bytes()[:-9])
    return folder


def test_tree_marks_the_hot_path_and_adds_up(folder: Path) -> None:
    result = spprof("report", "--tree", "--min-percent", "15", folder / "e.spprof")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "call tree (CPU, seconds; * is the hot path)"
    marked = [line.split("*")[1].split()[0] for line in lines[2:] if " * " in line]
    assert marked == ["all", "MainThread", "main", "load", "parse"]
    assert re.search(r"^ +0\.01 +9\.8% +\(2 smaller\)$", lines[-1] if "smaller" in lines[-1] else lines[7])
    assert max(map(len, lines)) <= 80 and "\x1b" not in result.stdout


def test_lines_callers_and_callees(folder: Path) -> None:
    out = spprof("report", "--lines", "l.py", "--callers", "load", "--callees", "load", folder / "e.spprof").stdout
    lines, callers, callees = out.split("\n\n")
    assert lines.startswith("/src/l.py (CPU, seconds)") and "[dropped]" in lines and "(other files)" in lines
    assert "main" in callers.splitlines()[1] and "100.0%" in callers.splitlines()[1]
    assert "parse" in callees.splitlines()[1] and "(itself)" in callees.splitlines()[2]
    out = spprof("report", "--lines", "-n", "2", folder / "e.spprof").stdout
    assert "(7 more lines)" in out and out.splitlines()[2].endswith("p.py:7  parse")
    assert spprof("report", "--lines", folder / "e.spprof").stdout.startswith("lines by self time")
    document = json.loads(
        spprof("report", "--json", "--tree", "--lines", "l.py", "--callees", "fib", folder / "e.spprof").stdout
    )
    assert document["tree"]["total_ns"] == document["time_ns"] == 51 * MS
    assert [line["lineno"] for line in document["lines"]] == [3] and document["callees"][0]["total_ns"] == 15 * MS


def test_a_part_of_a_profile(folder: Path, tmp_path: Path) -> None:
    document = json.loads(spprof("report", "--json", "--thread", "work*", folder / "e.spprof").stdout)
    assert document["time_ns"] == 15 * MS and document["samples"] == 2
    document = json.loads(spprof("report", "--json", "--time", ",0.025", folder / "e.spprof").stdout)
    assert document["samples"] == 2
    assert spprof("convert", "--function", "fib", folder / "e.spprof", tmp_path / "f.spprof").returncode == 0
    assert Profile.load(tmp_path / "f.spprof").sample_count == 2


def test_diff_shows_what_changed(folder: Path, tmp_path: Path) -> None:
    result = spprof("diff", folder / "a.spprof", folder / "b.spprof", "-o", tmp_path / "d.svg")
    assert (result.returncode, result.stderr) == (0, "")
    rows = [line for line in result.stdout.splitlines() if re.match(r" +\d", line)]
    assert re.match(r"  40\.0%   66\.7%   \+26\.7  \+2\d\.\d to \+3\d\.\d +self +b +", rows[0])
    assert re.match(r"  60\.0%   33\.3%   -26\.7  -3\d\.\d to -2\d\.\d +self +a +", rows[1])
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert (tmp_path / "d.svg").read_text().startswith("<?xml")
    document = json.loads(spprof("diff", "--json", folder / "a.spprof", folder / "b.spprof").stdout)
    assert document["schema"] == 1 and document["functions"][0]["is_significant"]
    text = spprof("diff", "--markdown", folder / "a.spprof", folder / "b.spprof").stdout
    assert text.startswith("# `a.spprof` \u2192 `b.spprof`") and "| **+26.7** |" in text


def test_diff_of_one_program_shows_nothing(folder: Path) -> None:
    result = spprof("diff", folder / "a.spprof", folder / "a.spprof")
    assert "no function has changed by more than chance (3 compared)" in result.stdout
    assert "no line has changed by more than chance" in result.stdout


def test_merge_adds_up(folder: Path, tmp_path: Path) -> None:
    result = spprof(
        "merge", folder / "a.spprof", folder / "b.spprof", "-o", tmp_path / "m.spprof", "-o", tmp_path / "m.svg"
    )
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "spprof: 2 profiles merged: 2,800 samples, 2 threads, 2.80 s\n"
    merged = Profile.load(tmp_path / "m.spprof")
    assert merged.cpu_time_ns == 2800 * MS and (tmp_path / "m.svg").exists()


def test_annotate_shows_source_with_times(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text("".join(f"line{number} = '\t\x1b[2J'\n" for number in range(1, 31)))
    os.utime(source, (1, 1))
    result = spprof("annotate", folder / "a.spprof", "a.py", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "/src/a.py (CPU, seconds)" and lines[1].startswith("0.60 s (60.0%) in its lines, ")
    (hot,) = [line for line in lines if "| line5 =" in line]
    assert hot.split()[:5] == ["0.60", "60.0%", "0.60", "60.0%", "5"]
    shown = [int(line.split("|")[0].split()[-1]) for line in lines[3:] if "|" in line]
    assert shown == [*range(1, 11)] and "\x1b" not in result.stdout
    assert spprof("annotate", "--all", folder / "a.spprof", source).stdout.count("| line") == 30
    document = json.loads(spprof("annotate", "--json", folder / "a.spprof", source).stdout)
    assert document["lines"][0]["text"].startswith("line5 =") and document["self_ns"] == 600 * MS
    os.utime(source)
    assert "was changed after the profile was made" in spprof("annotate", folder / "a.spprof", source).stderr
    source.write_text("one\n")
    assert "it has 1 lines, the profile saw line 5" in spprof("annotate", folder / "a.spprof", source).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "--callers", "nope", "a.spprof"], "no function 'nope' in this profile"),
        (["report", "--lines", "nope.py", "a.spprof"], "no file 'nope.py' in this profile; it has /src/a.py"),
        (["report", "--thread", "nobody", "a.spprof"], "nothing in the profile fits --thread nobody"),
        (["report", "--state", "asleep", "a.spprof"], "unknown state 'asleep'; states are"),
        (["report", "--time", "1", "a.spprof"], "'1' is not two numbers of seconds with a comma between them"),
        (["report", "--time", "2,1", "a.spprof"], "time must end after it begins"),
        (["report", "--tree", "--markdown", "a.spprof"], "--markdown is a summary of its own"),
        (["report", "--min-percent", "101", "--tree", "a.spprof"], "--min-percent must be from 0 to 100"),
        (["report", "-n", "0", "--lines", "a.spprof"], "--rows must be at least 1"),
        (["diff", "a.spprof", "none"], "can't read 'none'"),
        (["diff", "a.spprof", "d.spprof"], "it is cut off"),
        (["diff", "a.spprof"], "the following arguments are required: AFTER"),
        (["diff", "a.spprof", "b.spprof", "-o", "x.html"], "must end with .svg"),
        (["diff", "a.spprof", "b.spprof", "-o", "none/x.svg"], "can't write 'none/x.svg'"),
        (["diff", "--confidence", "100", "a.spprof", "b.spprof"], "--confidence must be between 0 and 100"),
        (["merge", "a.spprof"], "the following arguments are required: -o/--output"),
        (["merge", "a.spprof", "-o", "x.unknown"], "can't tell the format"),
        (["annotate", "a.spprof", "c.py"], "no file 'c.py' in this profile"),
        (["annotate", "a.spprof", "/src/a.py"], "can't read the source '/src/a.py'"),
        (["view", "--port", "70000", "a.spprof"], "--port must be from 0 to 65535"),
        (["completion", "tcsh"], "invalid choice: 'tcsh'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(words: list[str], message: str, folder: Path) -> None:
    result = spprof(*words, cwd=folder)
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        message in result.stderr and result.stderr.startswith(f"spprof {words[0]}: ") and result.stderr.count("\n") == 1
    )


def on_terminal(*words: str, env: dict[str, str | None]) -> str:
    """What a command prints on a terminal."""
    leader, follower = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "spprof", *words], stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
        env=environment({"TERM": "xterm", **env}),
    )  # fmt: skip
    os.close(follower)
    data = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        data += piece
    os.close(leader)
    assert child.wait(60) == 0
    return data.decode()


def test_colours_are_for_terminals_that_want_them(folder: Path) -> None:
    words = ["diff", str(folder / "a.spprof"), str(folder / "b.spprof")]
    assert "\x1b[1;31m   +26.7\x1b[0m" in on_terminal(*words, env={})
    assert "\x1b" not in on_terminal(*words, env={"NO_COLOR": "1"})
    assert "\x1b" not in on_terminal(*words, env={"TERM": "dumb"})


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "spprof", "view", "--serve", str(folder / "e.spprof")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert child.stdout is not None
    yield child, child.stdout.readline().strip()
    if child.poll() is None:
        child.kill()
    child.communicate()


@pytest.mark.skipif(not is_built(), reason="the page is not built (make web)")
def test_view_serves_one_page_until_ctrl_c(served: tuple[subprocess.Popen[str], str]) -> None:
    import signal

    child, url = served
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", url)
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert b'id="profile"' in answer.read()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 0 and "Traceback" not in errors


def test_completion_in_bash(folder: Path) -> None:
    script = spprof("completion", "bash").stdout

    def completed(*words: str) -> set[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        code = f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _spprof; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        result = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, cwd=folder, check=True)
        assert result.stderr == ""
        return set(result.stdout.split())

    assert completed("spprof", "re") == {"report"}
    assert {"run", "diff", "view", "--help"} <= completed("spprof", "")
    assert completed("spprof", "diff", "--conf") == {"--confidence"}
    assert completed("spprof", "report", "--unit", "") == {"ns", "us", "ms", "s", "samples"}
    assert completed("spprof", "diff", "a.") == {"a.spprof"}
    assert completed("spprof", "completion", "f") == {"fish"}
    assert completed("spprof", "run", "-o", "x", "--inter") == {"--interval-ms"}
    assert completed("spprof", "run", "-o", "x", "app.py", "--inter") == set()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_of_other_shells_has_every_option(shell: str) -> None:
    from shutil import which

    from spprof.cli import COMMANDS
    from spprof.cli.completion import options_of

    script = spprof("completion", shell).stdout
    for command in COMMANDS:
        assert command in script
        for option in options_of(command):
            for name in option.names:
                assert (
                    name if shell == "zsh" else f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                ) in script
    if which(shell):
        checked = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")
