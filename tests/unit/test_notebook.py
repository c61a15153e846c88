"""Profiles in notebooks: `_repr_html_`, `%load_ext spprof`, `%spprof` and `%%spprof`."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from profiles import MS, example, make_profile

import spprof

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = "</title></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&quot;"


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_flame_graph_is_in_a_frame_of_its_own() -> None:
    profile = make_profile([(0, (f"{EVIL}:1", "f:2"), MS)], threads=(EVIL,))
    text = profile._repr_html_()
    ((tag, attributes),) = Elements(text).found  # one element, whatever names look like
    assert tag == "iframe" and attributes["sandbox"] == "" and set(attributes) <= {
        "sandbox", "title", "width", "height", "style", "srcdoc",
    }  # fmt: skip
    inner = Elements(attributes["srcdoc"] or "").found
    assert {name for name, _ in inner} <= {"meta", "style", "svg", "rect", "text", "g", "title"}
    assert not any(key.startswith("on") or key in ("href", "src") for _, found in inner for key in found)
    assert "default-src 'none'" in (attributes["srcdoc"] or "")
    svg = (attributes["srcdoc"] or "").partition("</style><svg")[2]
    titles = [each.text or "" for each in ElementTree.fromstring("<svg" + svg).iter() if each.tag.endswith("title")]
    assert any(title.startswith(EVIL) for title in titles)


def test_all_profiles_can_be_shown() -> None:
    for profile in (example(), example().aggregate(), make_profile([])):
        assert profile._repr_html_().startswith('<iframe sandbox=""')
    deep = make_profile([(0, tuple(f"f{i}:1" for i in range(900)), MS)])
    assert 'height="620"' in deep._repr_html_()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Any:
    interactive = pytest.importorskip("IPython.core.interactiveshell", reason="needs IPython")
    folder = str(tmp_path_factory.mktemp("ipython"))
    return interactive.InteractiveShell(ipython_dir=folder)


@pytest.fixture
def shell(started: Any) -> Iterator[Any]:
    started.run_line_magic("load_ext", "spprof")
    yield started
    started.run_line_magic("unload_ext", "spprof")
    assert "spprof" not in started.magics_manager.magics["line"]


CELL = """\
def work(n):
    return sum(i * i for i in range(n))
def until_seen():
    import time
    end = time.process_time() + 0.06
    while time.process_time() < end:
        work(2000)
until_seen()
answer = 41
answer + 1
"""


def test_a_cell_is_profiled_and_its_value_kept(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_cell_magic("spprof", "-i 1 -n 3", CELL) == 42
    profile = shell.user_ns["_spprof"]
    assert isinstance(profile, spprof.Profile) and shell.user_ns["answer"] == 41
    out = capsys.readouterr().out
    assert "self s" in out and "<Profile: " in out
    if spprof._HAS_NATIVE:
        mine = [s for s in profile.samples if "until_seen" in [f.function_name for f in s.frames]]
        assert mine and {s.frames[0].function_name for s in mine} == {"<module>"}
        assert not any("_execute" in f.function_name for s in mine for f in s.frames)
        lines = profile.lines(mine[0].frames[0].filename)
        assert {line.function_name for line in lines} >= {"until_seen"}
    assert profile.tree().total_ns == sum(thread.time_ns for thread in profile.threads)


def test_options_of_the_line_magic(shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a b.spprof"
    result = shell.run_line_magic("spprof", f"-q -r --into mine -o '{path}' sum(x for x in [-1, 2]) ")
    assert result is shell.user_ns["mine"] and capsys.readouterr().out == ""
    assert spprof.Profile.load(path).sample_count == result.sample_count
    assert shell.run_line_magic("spprof", "-q (-5 + 3)") == -2
    assert shell.run_line_magic("spprof", "-q x = 3") is None and shell.user_ns["x"] == 3


@pytest.mark.parametrize(
    ("line", "cell", "message"),
    [
        ("", None, "no statement to profile"),
        ("-i", None, "expected one argument"),
        ("-i soon f()", None, "invalid float value: 'soon'"),
        ("-i 0 1", None, "interval_ms"),
        ("-m slow 1", None, "mode"),
        ("--nonsense 1", None, "--nonsense"),
        ("--into 3x 1", None, "--into needs the name of a variable"),
        ("-o none/x.svg 1", None, "can't write 'none/x.svg'"),
        ("-o x.unknown 1", None, "can't tell the format"),
        ("f()", "1", "'f()' is no option"),
        ("", "import asyncio\nawait asyncio.sleep(0)", "a cell that awaits can't be profiled"),
    ],
)
def test_bad_requests_say_what_is_wrong(shell: Any, line: str, cell: str | None, message: str) -> None:
    from IPython.core.error import UsageError

    with pytest.raises(UsageError, match=re.escape(message)):
        shell.run_line_magic("spprof", line) if cell is None else shell.run_cell_magic("spprof", line, cell)
    assert not spprof.is_active()


def test_errors_of_the_cell_are_its_own(shell: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        shell.run_cell_magic("spprof", "-q", "1 / 0")
    assert not spprof.is_active() and isinstance(shell.user_ns["_spprof"], spprof.Profile)
    with pytest.raises(SyntaxError):
        shell.run_cell_magic("spprof", "-q", "1 +")
    from IPython.core.error import UsageError

    with spprof.Profiler(), pytest.raises(UsageError, match="already"):
        shell.run_cell_magic("spprof", "-q", "1")


@pytest.mark.slow
def test_in_a_real_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    nbformat = pytest.importorskip("nbformat")
    import os

    monkeypatch.setenv("PYTHONPATH", os.path.dirname(os.path.dirname(spprof.__file__)))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell("%load_ext spprof"),
        nbformat.v4.new_code_cell("%%spprof\n" + CELL),
        nbformat.v4.new_code_cell("_spprof"),
        nbformat.v4.new_code_cell("print(_spprof.top(1)[0].function_name)"),
    ])  # fmt: skip
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = notebook.cells[1].outputs
    shown = [out.data["text/html"] for out in outputs if out.output_type == "display_data"]
    assert len(shown) == 1 and shown[0].startswith('<iframe sandbox=""') and "until_seen" in shown[0]
    (result,) = [out for out in outputs if out.output_type == "execute_result"]
    assert result.data["text/plain"] == "42"
    assert "ipykernel" not in str(notebook.cells[3].outputs)
    assert notebook.cells[2].outputs[0].data["text/html"].startswith('<iframe sandbox=""')
