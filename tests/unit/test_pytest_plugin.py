"""The pytest plugin, in runs of pytest of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from children import environment as cleaned
from children import python
from profiles import CHILD_PATH, MS, make_profile

from spprof import Profile
from spprof._testruns.gate import Base, Comparison
from spprof._testruns.measured import TestRecord
from spprof._testruns.options import safe_name

TESTS = """
import time, pytest, spprof as module

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(200))

@pytest.mark.parametrize("name", ["../a/b", "x y"])
def test_burns(name):
    burn(0.05)

def test_profiles_itself():
    assert not module.is_active()
    with pytest.raises(RuntimeError, match="not running"):
        module.stop()
    with module.Profiler(interval_ms=1) as p:
        burn(0.02)
    assert p.profile.sample_count
    module.start()
    assert module.is_active()
    module.stop()

def test_fixture(spprof):
    assert spprof.profile is None
    burn(0.05)
    assert spprof.stop() is spprof.profile
    assert "burn" in {function.function_name for function in spprof.profile.functions()}

def test_after():
    burn(0.05)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with tests. The plugin is found as an installed one is, by its entry point."""
    (tmp_path / "test_sample.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


def environment(tmp_path: Path) -> dict[str, str | None]:
    found = entry_points()
    points = found.select(group="pytest11") if hasattr(found, "select") else found.get("pytest11", ())
    path = CHILD_PATH["PYTHONPATH"]
    if not any(point.value == "spprof._pytest_plugin" for point in points):
        info = tmp_path / "installed" / "spprof_plugin-1.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spprof-plugin\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[pytest11]\nspprof = spprof._pytest_plugin\n")
        path = f"{info.parent}{os.pathsep}{path}"
    return {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def run(project: Path, *arguments: str) -> tuple[int, str]:
    result = python(
        "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments, cwd=project, env=environment(project)
    )  # fmt: skip
    return result.returncode, result.stdout + result.stderr


def names(path: Path) -> set[str]:
    return {function.function_name for function in Profile.load(path).functions()}


def test_whole_run_and_each_test(project: Path) -> None:
    code, text = run(project, "--spprof", "--spprof-per-test", "--spprof-output=out")
    assert code == 0, text
    assert "test_profiles_itself uses the profiler itself" in text
    assert "slowest tests (CPU seconds" in text
    assert {"burn", "test_burns", "test_fixture", "test_after"} <= names(project / "out/run.spprof")
    tests = json.loads((project / "out/tests.json").read_text())["tests"]
    assert len(tests) == 5
    files = [Path(test["file"]) for test in tests]
    assert len(set(files)) == 5
    assert sorted((project / "out/tests").iterdir()) == sorted(files)
    of = {test["test"].partition("::")[2]: names(Path(test["file"])) for test in tests}
    assert "test_burns" in of["test_burns[../a/b]"]
    assert "test_fixture" in of["test_fixture"]
    assert "test_burns" not in of["test_after"]


def test_workers_have_files_that_are_merged(project: Path) -> None:
    code, text = run(
        project, "-n2", "--spprof", "--spprof-per-test", "--spprof-output=out/all.spprof", "--spprof-format=collapsed"
    )
    assert code == 0, text
    assert sorted(path.name for path in (project / "out/all.spprof.workers").iterdir()) == ["gw0.spprof", "gw1.spprof"]
    merged = Profile.load(project / "out/all.spprof")
    assert {"test_burns", "test_fixture", "test_after"} <= {f.function_name for f in merged.functions()}
    assert {"gw0 MainThread", "gw1 MainThread"} <= {thread.name for thread in merged.threads}
    assert len(list((project / "out/all.spprof.tests").glob("*.collapsed"))) == 5
    assert "(CPU seconds" in text and "burn" in text


def test_nothing_asked_nothing_done(project: Path) -> None:
    (project / "test_sample.py").write_text(
        "import sys\ndef test_off():\n    assert 'spprof._testruns' not in sys.modules\n"
    )
    code, text = run(project, "-q")
    assert code == 0, text
    assert "spprof" not in text
    assert sorted(path.name for path in project.iterdir() if path.name != "installed") == [
        "pytest.ini",
        "test_sample.py",
    ]


@pytest.mark.slow
def test_plugin_can_be_left_out(project: Path) -> None:
    code, text = run(project, "-p", "no:spprof", "-k", "after")
    assert code == 0, text
    code, text = run(project, "-p", "no:spprof", "--spprof")
    assert code == 4
    assert "--spprof" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--spprof", "--spprof-interval=0"], "interval_ms must be"),
        (["--spprof", "--spprof-mode=x"], "mode must be one of"),
        (["--spprof", "--spprof-format=x"], "none of speedscope"),
        (["--spprof", "--spprof-output=test_sample.py/x"], "can't write"),
        (["--spprof-compare=nowhere"], "there is no"),
        (["--spprof-compare=test_sample.py"], "can't be read"),
    ],
)
def test_wrong_request_is_one_line(project: Path, arguments: list[str], said: str) -> None:
    code, text = run(project, *arguments)
    assert code == 4, text
    assert said in text
    assert "INTERNALERROR" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "code"),
    [("pytest.exit('enough')", 2), ("raise KeyboardInterrupt", 2), ("assert 0", 1), ("pytest.exit('x', 7)", 7)],
)
def test_run_that_ends_early_is_saved(project: Path, body: str, code: int) -> None:
    (project / "test_sample.py").write_text(TESTS + f"\ndef test_last():\n    {body}\n")
    result, text = run(project, "--spprof", "--spprof-output=out")
    assert result == code, text
    assert "test_after" in names(project / "out/run.spprof")


@pytest.mark.slow
def test_ctrl_c_from_outside_is_saved(project: Path) -> None:
    (project / "test_sample.py").write_text(
        TESTS + "\ndef test_waits():\n    open('waiting', 'w').close()\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--spprof", "--spprof-output=out"],
        cwd=project, env=cleaned(environment(project)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while not (project / "waiting").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 2, text
    assert "test_after" in names(project / "out/run.spprof")


@pytest.mark.slow
def test_crash_leaves_the_tests_before_it(project: Path) -> None:
    pytest.importorskip("xdist")
    (project / "test_sample.py").write_text(TESTS + "\nimport os\ndef test_last():\n    os._exit(3)\n")
    code, _ = run(project, "--spprof-per-test", "--spprof-output=out")
    assert code == 3
    assert len(list((project / "out/tests").iterdir())) == 5


@pytest.mark.slow
def test_crash_of_a_worker_is_told(project: Path) -> None:
    (project / "test_sample.py").write_text(TESTS + "\nimport os\ndef test_last():\n    os._exit(3)\n")
    code, text = run(project, "-n2", "--spprof", "--spprof-output=out")
    assert code == 1, text
    assert "ended without a profile" in text
    assert (project / "out/run.spprof").exists()


@pytest.mark.slow
def test_gate_in_real_runs(project: Path) -> None:
    tests = "import time\n\n\ndef burn(n):\n    for _ in range(n):\n        sum(range(2000))\n\n\n"
    body = "def test_one():\n    burn({})\n\n\ndef other():\n    for _ in range(9000):\n        sum(range(2000))\n\n\n"
    more = "def test_two():\n    other()\n"
    (project / "test_sample.py").write_text(tests + body.format(9000) + more)
    code, text = run(project, "--spprof", "--spprof-output=base")
    assert code == 0, text
    code, text = run(project, "--spprof-compare=base", "--spprof-tolerance=30")
    assert code == 0, text
    assert "nothing takes significantly more" in text
    (project / "test_sample.py").write_text(tests + body.format(30000) + more + "def test_new():\n    other()\n")
    code, text = run(project, "--spprof-compare=base", "--spprof-tolerance=30")
    assert code == 1, text
    assert "significantly more" in text
    assert "test_one" in text.rpartition("FAILED")[2]
    assert "test_sample.py::test_new" in text.partition("not compared")[2]


# ---- without a run


def measured(rows: int, hot: int, **options: object) -> Profile:
    """*hot* samples in "f", and *rows* in "g", both below a test of their own."""
    return make_profile([(0, ("test_f", "f"), 10 * MS)] * hot + [(0, ("test_g", "g"), 10 * MS)] * rows, **options)


def compared(tmp_path: Path, before: Profile, after: Profile, tolerance: float = 10) -> Comparison:
    before.save(tmp_path / "base.spprof")
    return Comparison(Base(str(tmp_path / "base.spprof")), after, [], "/src", tolerance)


def test_gate_fails_on_what_takes_more(tmp_path: Path) -> None:
    comparison = compared(tmp_path, measured(500, 100), measured(500, 200))
    assert not comparison.passed
    assert {worse.function.function_name for worse in comparison.regressions} == {"test_f", "f"}


@pytest.mark.parametrize(
    ("before", "after", "tolerance"),
    [
        ((500, 100), (500, 100), 10),
        ((500, 100), (500, 115), 10),  # chance
        ((500, 100), (1000, 200), 10),  # a slower machine
        ((500, 100), (100, 100), 10),  # something else became faster
        ((500, 200), (500, 100), 10),
        ((500, 100), (500, 200), 150),  # allowed
        ((500, 0), (500, 200), 10),  # new
    ],
)
def test_gate_passes(tmp_path: Path, before: tuple[int, int], after: tuple[int, int], tolerance: float) -> None:
    comparison = compared(tmp_path, measured(*before), measured(*after), tolerance)
    assert comparison.passed, [worse.function for worse in comparison.regressions]


def test_gate_fails_where_it_can_not_compare(tmp_path: Path) -> None:
    measured(5, 5).save(tmp_path / "base.spprof")
    base = Base(str(tmp_path / "base.spprof"))
    assert not Comparison(base, None, [], "/src", 10).passed
    assert not Comparison(base, make_profile([]), [], "/src", 10).passed


def test_tests_of_one_run_only_are_left_out(tmp_path: Path) -> None:
    def rows(*counts: int) -> Profile:
        stacks = (("test_f", "f"), ("test_g", "g"), ("test_new", "f"))
        return make_profile([(0, stack, 10 * MS) for stack, count in zip(stacks, counts) for _ in range(count)])

    rows(100, 500).save(tmp_path / "base.spprof")
    index = {"version": 1, "tests": [{"test": "src/t.py::test_f"}, {"test": "src/t.py::test_g"}]}
    (tmp_path / "base.spprof.tests.json").write_text(json.dumps(index))
    records = [TestRecord(f"src/t.py::test_{name}", 0, 1, 1) for name in ("f", "g", "new")]
    comparison = Comparison(Base(str(tmp_path / "base.spprof")), rows(100, 500, 300), records, "/src", 10)
    assert comparison.left_out == ["src/t.py::test_new"]
    assert comparison.passed


def test_names_are_safe_and_tell_tests_apart() -> None:
    ids = [
        "../../etc/passwd",
        "a::b[x/y]",
        "a::b[x_y]",
        "a::b[\x00\n]",
        ".hidden",
        "é" * 300,
        "A",
        "a",
        "a" * 500,
        "CON",
    ]
    safe = [safe_name(nodeid) for nodeid in ids]
    assert len({name.lower() for name in safe}) == len(ids)
    for name in safe:
        assert name.isascii()
        assert not set(name) & set("/\\:\n\x00*?")
        assert not name.startswith(".")
        assert len(name) < 150
