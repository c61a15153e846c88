"""Serving a report, opening a browser, progress bars: parts of the commands that need no process."""

from __future__ import annotations

import http.client
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from profiles import example
from report import any_page

from spprof.cli import _progress, view
from spprof.cli._progress import Progress
from spprof.cli._server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["any_page"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(b"<p>page</p>", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(server: Server, path: str, method: str = "GET", host: str | None = None) -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    try:
        connection.request(method, path, headers={"Host": host} if host else {})
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def test_only_who_knows_the_name_gets_the_page(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    status, body, headers = asked(server, server.path)
    assert (status, body) == (200, b"<p>page</p>")
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    assert asked(server, server.path, "HEAD")[:2] == (200, b"")
    port = server.server_port
    assert asked(server, server.path, host=f"localhost:{port}")[0] == 200
    for path in (
        "/",
        "/favicon.ico",
        server.path[:-1],
        server.path + "x",
        server.path.upper(),
        "/../etc/passwd",
        "/%00",
    ):
        status, body, _ = asked(server, path)
        assert status == 404 and b"page</p>" not in body
    assert asked(server, server.path, host=f"evil.example:{port}")[0] == 404
    assert asked(server, server.path, "POST")[0] == 501
    assert server.server_address[0] == "127.0.0.1"
    assert capsys.readouterr() == ("", "")
    with Server(b"", 0) as other:
        assert other.path != server.path


@pytest.mark.usefixtures("any_page")
def test_a_taken_port_is_an_error_in_one_line(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example().save(tmp_path / "p.spprof")
    with pytest.raises(SystemExit) as ended:
        view.main(["--port", str(server.server_port), str(tmp_path / "p.spprof")])
    assert ended.value.code == 2
    assert f"can't serve on port {server.server_port}: Address already in use" in capsys.readouterr().err


@pytest.mark.usefixtures("any_page")
def test_the_browser_is_given_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("BROWSER", "firefox")
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    example().save(tmp_path / "p.spprof")
    assert view.main([str(tmp_path / "p.spprof")]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert opened == [path.as_uri()] and path.suffix == ".html" and path.parent == tmp_path
    assert path.stat().st_mode & 0o777 == 0o600 and b'id="profile"' in path.read_bytes()


def test_without_a_display_there_is_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not view.has_browser()
    monkeypatch.setenv("BROWSER", "w3m")
    assert view.has_browser()


class Terminal:
    """A stream that says it is a terminal, or not."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.text = ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_a_bar_is_drawn_after_a_while_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(_progress, "_EVERY", 0.001)
    stream: Any = Terminal(True)
    with Progress(4, stream) as progress:
        progress.step("one", 1)
        progress.step("two", 3)
        until = time.monotonic() + 60
        while "two" not in stream.text and time.monotonic() < until:
            time.sleep(0.001)
    assert "[#####...............]  25%   0 s  two" in stream.text and stream.text.endswith("\r\x1b[K")
    progress.step("", 0)
    assert progress.line(61).startswith("[####################] 100%  61 s")


def test_short_work_files_and_dumb_terminals_have_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for terminal, patience, name in ((True, 60.0, "xterm"), (False, 0.0, "xterm"), (True, 0.0, "dumb")):
        monkeypatch.setattr(_progress, "_PATIENCE", patience)
        monkeypatch.setenv("TERM", name)
        stream: Any = Terminal(terminal)
        with Progress(1, stream) as progress:
            progress.step("work")
            time.sleep(0.005)
        assert stream.text == ""
