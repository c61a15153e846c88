"""Parts of the command line that can be tested without a process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from spprof.cli import _output, run
from spprof.cli._interpreter import leading_options
from spprof.cli._interrupts import Deferred
from spprof.cli._request import Output, Request, decode, encode
from spprof.cli._terminal import Style, cut_left, printable, short_location, short_path


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["script.py", "-X", "dev"], []),
        (["-m", "spprof", "run", "-O"], []),
        (["-X", "dev", "-m", "spprof"], ["-X", "dev"]),
        (["-Xdev", "-Wonce", "x.py"], ["-Xdev", "-Wonce"]),
        (["-W", "error::A:m", "-m", "spprof"], ["-W", "error::A:m"]),
        (["-OBm", "spprof"], ["-OB"]),
        (["-uc", "pass"], ["-u"]),
        (["-c", "pass", "-O"], []),
        (["-OX", "dev", "x.py"], ["-OX", "dev"]),
        (["--check-hash-based-pycs", "always", "-u", "x.py"], ["--check-hash-based-pycs", "always", "-u"]),
        (["-u", "--", "x.py"], ["-u"]),
        (["-u", "-", "-O"], ["-u"]),
        (["-X"], ["-X"]),
        ([], []),
    ],
)
def test_leading_options(arguments: list[str], options: list[str]) -> None:
    assert leading_options(arguments) == options


@pytest.mark.parametrize(
    ("argv", "head", "program"),
    [
        (["a.py"], [], (["a.py"], "script", "a.py")),
        (["-q", "a.py", "-o", "b"], ["-q"], (["a.py", "-o", "b"], "script", "a.py")),
        (["-o", "out", "a.py"], ["-o", "out"], (["a.py"], "script", "a.py")),
        (["-oout", "--format=svg", "a.py"], ["-oout", "--format=svg"], (["a.py"], "script", "a.py")),
        (["--format", "svg", "-m", "mod", "-q"], ["--format", "svg"], (["-m", "mod", "-q"], "module", "mod")),
        (["-mmod", "x"], [], (["-m", "mod", "x"], "module", "mod")),
        (["-c", "pass", "-m"], [], (["-c", "pass", "-m"], "command", "command")),
        (["-", "x"], [], (["-", "x"], "stdin", "stdin")),
        (["--", "-x.py", "y"], [], (["--", "-x.py", "y"], "script", "-x.py")),
        (["-o", "-m", "a.py"], ["-o", "-m"], (["a.py"], "script", "a.py")),
        (["-q"], ["-q"], None),
        (["-q", "-m"], ["-q"], None),
        (["--"], [], None),
    ],
)
def test_split(argv: list[str], head: list[str], program: tuple[list[str], str, str] | None) -> None:
    assert run.split(argv) == (head, program)


def test_request_survives_the_environment() -> None:
    outputs = [Output("/tmp/\udcff\n=.json", "speedscope"), Output("x", "svg")]
    request = Request(
        7, 0.1, 100, "wall", False, "all", outputs, True, "script", "n\u00e4me", "/abs", ["note"], None, True
    )
    assert decode(encode(request)) == request
    assert encode(request).isalnum()


def test_default_output_falls_back_from_folder_to_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    refused: list[str] = []

    def check(path: str) -> str:
        if os.path.dirname(path) in refused:
            raise PermissionError(13, "no", path)
        return path

    monkeypatch.setattr(_output, "check_writable", check)
    monkeypatch.setattr(_output.tempfile, "gettempdir", lambda: "/last")

    def folder() -> tuple[str, bool]:
        outputs, notes = _output.choose(None, None, "script", str(tmp_path / "program.py"))
        return os.path.dirname(outputs[0].path), bool(notes)

    assert folder() == (str(tmp_path), False)
    refused.append(str(tmp_path))
    assert folder() == (str(work), True)
    refused.append(str(work))
    assert folder() == ("/last", True)
    refused.append("/last")
    with pytest.raises(_output.RequestError, match="name one with -o"):
        folder()


def test_default_output_never_is_a_file_that_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_output.time, "strftime", lambda form: "now")
    monkeypatch.setattr(_output.os, "getpid", lambda: 7)
    (tmp_path / "program-now-7.svg").write_text("mine")
    (tmp_path / "program-now-7-1.svg").symlink_to("nowhere")
    outputs, _ = _output.choose(None, "svg", "script", str(tmp_path / "program.py"))
    assert outputs == [Output(str(tmp_path / "program-now-7-2.svg"), "svg")]


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.py", "a"), ("a.b.py", "a.b"), ("tool", "tool"), ("app.pyz", "app"), ("folder/", "folder"), ("v1.2", "v1.2")],
)
def test_default_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stem: str) -> None:
    monkeypatch.chdir(tmp_path)
    outputs, _ = _output.choose([], None, "script", name)
    assert os.path.basename(outputs[0].path).startswith(f"{stem}-2")


def test_places_fit_their_column(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    inside = str(tmp_path / "package" / "module.py")
    assert short_path(inside) == "package/module.py"
    assert short_path("/home/someone/x.py") == "~/x.py"
    assert short_path("/usr/lib/x.py") == "/usr/lib/x.py"
    assert short_location(inside, 12, 40) == "package/module.py:12"
    assert short_location("/usr/lib/python3/json/decoder.py", 7, 20) == "json/decoder.py:7"
    assert short_location("/usr/lib/python3/json/__init__.py", 7, 18) == "json/__init__.py:7"
    assert short_location("/usr/lib/a_rather_long_name.py", 7, 16) == "..long_name.py:7"
    for width in range(8, 60):
        assert len(short_location("/usr/lib/python3/a_rather_long_name/__init__.py", 1234, width)) <= width
    assert short_location("", 0, 20) == ""
    assert short_location("<string>", 1, 20) == "<string>:1"
    assert cut_left("abcdefgh", 5) == "..fgh"
    assert printable("a\tb\x1b[1m\u00e9") == "a?b?[1m\u00e9"


def test_style_without_colours_leaves_text_alone() -> None:
    style = Style(colours=False)
    assert style.bold("x") + style.dim("y") + style.heat(0.9, "z") + style.good("a") + style.bad("b") == "xyzab"
    assert Style(colours=True).heat(0.01, "z") == "z"


def test_first_interrupt_is_deferred_the_second_is_not() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Deferred() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert interrupts.count == 1
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), Deferred():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_ignored_interrupts_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Deferred():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
