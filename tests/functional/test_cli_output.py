"""`spprof run`: which files it writes, what it says about them, and how it refuses bad requests."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import environment, python, spprof

import spprof as package

BURN = """\
import threading, time
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for number in range(2000):
            number * number
def helper():
    burn(0.1)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "place" / "burner.py"
    path.parent.mkdir()
    path.write_text(BURN + "thread = threading.Thread(target=helper, name='worker')\nthread.start()\nburn(0.4)\n")
    return path


# ---- files


def test_default_name_has_program_date_and_pid_and_lies_beside_the_program(program: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert spprof("run", "-q", program, cwd=tmp_path).returncode == 0
    names = sorted(path.name for path in program.parent.iterdir() if path != program)
    assert len(names) == 2
    for name in names:
        assert re.fullmatch(r"burner-\d{8}-\d{6}-\d+\.speedscope\.json", name), name
    assert not list(tmp_path.glob("*.json"))


def test_default_name_of_a_module_lies_in_the_working_directory(program: Path, tmp_path: Path) -> None:
    assert spprof("run", "-q", "-m", "place.burner", cwd=tmp_path).returncode == 0
    assert [path.name[:13] for path in tmp_path.glob("*.json")] == ["place.burner-"]


def test_default_name_follows_the_format(program: Path, tmp_path: Path) -> None:
    assert spprof("run", "-q", "--format", "collapsed", program, cwd=tmp_path).returncode == 0
    assert len(list(program.parent.glob("burner-*.collapsed"))) == 1


def test_program_in_a_folder_where_nothing_can_be_written(program: Path, tmp_path: Path) -> None:
    """A program given as a descriptor, as by the shell's `<(...)`, lies in such a folder, for root too."""
    with program.open() as file:
        name = f"/dev/fd/{file.fileno()}"
        result = spprof("run", name, cwd=tmp_path, pass_fds=[file.fileno()])
    assert result.returncode == 0
    saved = list(tmp_path.glob("*.speedscope.json"))
    assert len(saved) == 1
    assert "no profile can be written to /dev/fd, so it is elsewhere" in result.stderr
    assert saved[0].name in result.stderr


def test_several_outputs_each_in_its_format(program: Path, tmp_path: Path) -> None:
    outputs = ["a.speedscope.json", "b.collapsed", "c.svg", "d.json.gz"]
    options = [word for output in outputs for word in ("-o", output)]
    result = spprof("run", *options, program, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "a.speedscope.json").read_text())["$schema"]
    assert "burn" in (tmp_path / "b.collapsed").read_text()
    assert "<svg" in (tmp_path / "c.svg").read_text()
    assert (tmp_path / "d.json.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert [line.split()[1] for line in result.stderr.splitlines() if line.startswith("profile")] == outputs


def test_format_goes_before_the_ending(program: Path, tmp_path: Path) -> None:
    assert spprof("run", "-q", "--format", "collapsed", "-o", "x.json", program, cwd=tmp_path).returncode == 0
    assert (tmp_path / "x.json").read_text()[0] != "{"


def test_relative_output_means_where_the_command_was_given(program: Path, tmp_path: Path) -> None:
    program.write_text("import os; os.chdir('/')\n")
    assert spprof("run", "-q", "-o", "x.json", program, cwd=tmp_path).returncode == 0
    assert (tmp_path / "x.json").exists()


def test_output_that_exists_is_replaced(program: Path, tmp_path: Path) -> None:
    (tmp_path / "x.collapsed").write_text("old")
    assert spprof("run", "-q", "-o", "x.collapsed", program, cwd=tmp_path).returncode == 0
    assert "burn" in (tmp_path / "x.collapsed").read_text()


# ---- what is refused, before the program has begun

REFUSED = {
    "no program": ([], "nothing to run"),
    "no program after options": (["-q"], "nothing to run"),
    "no module name": (["-m"], "nothing to run"),
    "unknown option": (["--frobnicate", "x.py"], "--frobnicate"),
    "interval no number": (["--interval-ms", "fast", "x.py"], "'fast' is not a number"),
    "interval too small": (["--interval-ms", "0.01", "x.py"], "0.1 to 10000"),
    "interval too big": (["--interval-ms", "1e9", "x.py"], "0.1 to 10000"),
    "interval nan": (["--interval-ms", "nan", "x.py"], "0.1 to 10000"),
    "interval negative": (["--interval-ms=-5", "x.py"], "0.1 to 10000"),
    "memory": (["--memory-limit-mb", "0", "x.py"], "memory_limit_mb"),
    "no such script": (["nothere.py"], "can't open file"),
    "no main in folder": (["folder"], "can't find '__main__' module"),
    "unknown format": (["--format", "xml", "x.py"], "known formats: speedscope, collapsed, svg"),
    "unknown ending": (["-o", "x.xml", "x.py"], ".collapsed"),
    "no such folder": (["-o", "no/such/x.json", "x.py"], "can't write 'no/such/x.json'"),
    "output is a folder": (["-o", "folder.json", "x.py"], "can't write 'folder.json'"),
    "empty output": (["-o", "", "x.py"], "is empty"),
    "second output bad": (["-o", "fine.json", "-o", "/proc/x.json", "x.py"], "/proc/x.json"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_requests_are_one_line_and_exit_code_2(tmp_path: Path, case: str) -> None:
    (tmp_path / "x.py").write_text("open('ran', 'w')")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.json").mkdir()
    arguments, message = REFUSED[case]
    result = spprof("run", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.startswith("spprof run: ")
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "folder.json", "x.py"]


@pytest.mark.parametrize("option", ["-E", "-I"])
def test_isolated_interpreter_is_refused(program: Path, option: str) -> None:
    result = python(option, "-m", "spprof", "run", program)
    if "No module named spprof" in result.stderr:
        pytest.skip("spprof is found by way of PYTHONPATH")
    assert result.returncode == 2
    assert "-E, -I or -S" in result.stderr


def test_commands_and_help() -> None:
    assert spprof("--version").stdout == f"spprof {package.__version__}\n"
    for arguments in (["--help"], ["run", "--help"], ["doctor", "--help"]):
        result = spprof(*arguments)
        assert result.returncode == 0
        assert result.stdout.startswith("usage: spprof")
        assert max(map(len, result.stdout.splitlines())) <= 80
    for arguments in ([], ["fly"], ["-x"]):
        result = spprof(*arguments)
        assert result.returncode == 2
        assert result.stderr.startswith("spprof: ")
        assert result.stderr.count("\n") == 1


def test_command_line_imports_no_more_than_it_needs() -> None:
    result = python("-X", "importtime", "-m", "spprof", "--version")
    for name in ("json", "subprocess", "spprof.cli.run", "spprof.cli.doctor", "tempfile"):
        assert not re.search(rf"\| +{re.escape(name)}$", result.stderr, re.MULTILINE), name


# ---- the summary


def test_summary_names_functions_lines_threads_and_totals(program: Path, tmp_path: Path) -> None:
    result = spprof("run", "--interval-ms", "2", "-o", "x.json", program, cwd=tmp_path)
    assert result.stdout == ""
    text = result.stderr
    rows = [line.split() for line in text.splitlines() if re.match(r" +\d+\.\d\d +\d", line)]
    burn = next(row for row in rows if row[4] == "burn")
    assert burn[5] in ("burner.py:2", "place/burner.py:2")
    assert int(burn[6]) in (4, 5, 6)
    assert float(burn[1].rstrip("%")) > 90
    # (a tick may have found `site` on its way to the program: a module as well)
    module = next(row for row in rows if row[4] == "<module>" and "burner.py" in row[5])
    assert module[6] == "11"
    for expected in (
        "burner.py: 0.",
        "MainThread",
        "worker",
        "total ",
        "loss ",
        "tick ",
        "own cost ",
        "profile  x.json",
    ):
        assert expected in text, expected
    assert max(map(len, text.splitlines())) <= 80
    assert "\033" not in text
    assert text.isascii()


def test_quiet_says_nothing(program: Path, tmp_path: Path) -> None:
    assert spprof("run", "--quiet", "-o", "x.json", program, cwd=tmp_path).stderr == ""


def on_a_terminal(*arguments: str | Path, cwd: Path, **env: str | None) -> str:
    """Output of spprof with a terminal of 80 columns as its standard error."""
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "spprof", *map(str, arguments)],
        cwd=cwd,
        env=environment({"TERM": "xterm", **env}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
    ):
        os.close(slave)
        pieces = []
        end = time.monotonic() + 30
        while time.monotonic() < end:
            select.select([master], [], [], 1)
            try:
                piece = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            pieces.append(piece)
    os.close(master)
    return b"".join(pieces).decode()


def test_colours_on_a_terminal_and_not_with_no_color(program: Path, tmp_path: Path) -> None:
    text = on_a_terminal("run", "-o", "x.json", program, cwd=tmp_path)
    assert "\033[1m" in text
    plain = re.sub(r"\033\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= 80
    assert "\033" not in on_a_terminal("run", "-o", "x.json", program, cwd=tmp_path, NO_COLOR="1")
    assert "\033" not in on_a_terminal("run", "-o", "x.json", program, cwd=tmp_path, TERM="dumb")


def test_names_from_the_program_cannot_drive_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "evil.py"
    path.write_text(BURN + "t = threading.Thread(target=helper, name='\\x1b[31mred\\n')\nt.start()\nt.join()\n")
    text = spprof("run", "-o", "x.json", path, cwd=tmp_path).stderr
    assert "\033" not in text
    assert "?[31mred?" in text


def test_summary_comes_after_what_the_program_printed(tmp_path: Path) -> None:
    path = tmp_path / "prints.py"
    path.write_text("print('buffered')")
    result = spprof("run", "-o", "x.json", path, cwd=tmp_path, stderr=subprocess.STDOUT)
    assert result.stdout.startswith("buffered\n\nspprof: prints.py: ")
