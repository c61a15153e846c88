"""The laboratories of bench/: how each profiler's result is read, and what the truth is compared with."""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.accuracy.judge import Census, shares, verdict, worst_error  # noqa: E402
from bench.overhead import tables  # noqa: E402
from bench.records import Clock, Records, TimeIsUpError  # noqa: E402
from bench.rivals import RIVALS, Frame, Report, Total  # noqa: E402


def read(rival: str, text: str, tmp_path: Path, hertz: int = 1000) -> Report:
    """What a rival's adapter makes of *text*."""
    output = tmp_path / "result"
    output.write_text(text)
    return RIVALS[rival].read(output, hertz)


MAIN, HOT = Frame("main", "/srv/app.py", 12), Frame("hot", "/srv/app.py", 5)


@pytest.mark.parametrize("rival", ["py-spy", "py-spy --gil"])
def test_py_spy(rival: str, tmp_path: Path) -> None:
    text = "thread (7): MainThread;main (/srv/app.py:12);hot (/srv/app.py:5) 300\nthread (8): w (1) 20\n"
    report = read(rival, text, tmp_path, hertz=100)
    assert report.stacks == {(MAIN, HOT): pytest.approx(3.0), (): pytest.approx(0.2)}
    assert report.seconds() == pytest.approx(3.2)


def test_austin(tmp_path: Path) -> None:
    text = (
        "# austin: 3.7.0\n# mode: cpu\n\nP7;T0:7;/srv/app.py:main:12;/srv/app.py:hot:5 1500\n"
        "P7;T0:7;/srv/app.py:main:12;/srv/app.py:hot:5 500\nP7;T0:7 1000\n\n# duration: 3000\n"
    )
    assert read("austin", text, tmp_path).stacks == {(MAIN, HOT): pytest.approx(0.002), (): pytest.approx(0.001)}


def test_pyinstrument(tmp_path: Path) -> None:
    stack = [
        "MainThread\0<thread>\x0099",
        "main\0/srv/app.py\x0010\x01l12",
        "hot\0/srv/app.py\x004\x01l5\x01c<cls>",
        "len\0<built-in>\x000",
    ]
    text = json.dumps({"frame_records": [[stack, 0.25], [stack, 0.5]]})
    assert read("pyinstrument", text, tmp_path).stacks == {(MAIN, HOT): 0.75}


def test_scalene(tmp_path: Path) -> None:
    figures = {"count": 3, "python_time": 0.25, "c_time": 0.5, "cpu_samples": 0.75}
    text = json.dumps({"elapsed_time_sec": 2.0, "stacks": [[["/srv/app.py main:12;", "/srv/app.py hot:5;"], figures]]})
    assert read("scalene", text, tmp_path).stacks == {(MAIN, HOT): 1.5}
    assert read("scalene", "{}", tmp_path).seconds() == 0  # nothing was sampled


def test_sampling_of_the_standard_library(tmp_path: Path) -> None:
    text = "tid:7;<frozen runpy>:_run_code:87;/srv/app.py:main:12;/srv/app.py:hot:5 40\n"
    stacks = read("profiling.sampling cpu", text, tmp_path).stacks
    assert stacks == {(Frame("_run_code", "<frozen runpy>", 87), MAIN, HOT): pytest.approx(0.04)}


def test_pstats(tmp_path: Path) -> None:
    output = tmp_path / "result"
    table = {
        ("/srv/app.py", 10, "main"): (1, 1, 0.5, 2.0, {}),
        ("/srv/app.py", 4, "hot"): (3, 3, 1.5, 1.5, {}),
        ("~", 0, "<built-in method len>"): (1, 1, 0.25, 0.25, {}),
    }
    output.write_bytes(marshal.dumps(table))
    report = RIVALS["yappi"].read(output, 0)
    assert report.totals[Frame("main", "/srv/app.py", 0)] == Total(0.5, 2.0)
    assert report.totals[Frame("<built-in method len>", "", 0)].own == 0.25
    assert report.by_function(["hot", "cold"]) == {"hot": 1.5, "cold": 0.0}
    assert report.seconds() == 2.25


def test_viztracer(tmp_path: Path) -> None:
    def call(name: str, begin: float, took: float, thread: int = 1) -> dict[str, Any]:
        return {"ph": "X", "tid": thread, "ts": begin, "dur": took, "name": f"{name} (/srv/app.py:4)"}

    events = [
        {"ph": "M", "name": "process_name"},
        call("hot", 10, 20),
        call("hot", 40, 10),
        call("main", 0, 100),
        call("hot", 5, 50, thread=2),
    ]
    report = read("viztracer", json.dumps({"traceEvents": events}), tmp_path)
    main, hot = Frame("main", "/srv/app.py", 0), Frame("hot", "/srv/app.py", 0)
    assert {stack: round(1e6 * seconds) for stack, seconds in report.stacks.items()} == {
        (main,): 70,
        (main, hot): 30,
        (hot,): 50,
    }


def test_labels_are_found_from_the_leaf() -> None:
    made = Frame("made_heavy_17", "<made>", 3)
    method = Frame("Class.hot", "/srv/app.py", 5)
    report = Report([((MAIN, HOT), 1.0), ((HOT, MAIN), 2.0), ((made,), 4.0), ((method,), 8.0), ((), 16.0)])
    assert report.by_function(["main", "hot", "made_heavy"]) == {"main": 2.0, "hot": 9.0, "made_heavy": 4.0}
    builtin = Frame("len", "", 0)
    lines = Report([((MAIN, HOT), 1.0), ((MAIN, HOT, builtin), 2.0), ((HOT, MAIN), 4.0)])
    assert lines.by_line(["hot:5", "hot:6"]) == {"hot:5": 3.0, "hot:6": 0.0}


def test_errors_are_of_shares_in_points() -> None:
    assert shares({"a": 3, "b": 1}) == {"a": 0.75, "b": 0.25}
    assert worst_error({"a": 3, "b": 1}, {"a": 1, "b": 1}) == pytest.approx(25)
    assert worst_error({"a": 3, "b": 1}, {"a": 0, "b": 0}) is None


def test_a_verdict() -> None:
    census = Census(
        {
            "ran": [["work.py", "hot"], ["work.py", "cold"], ["<made>", "made_heavy_1"]],
            "calls": [["work.py", "cold", "work.py", "hot"]],
        }
    )
    hot, cold = Frame("hot", "/x/work.py", 3), Frame("cold", "/x/work.py", 8)
    idle = Frame("idle", "/x/work.py", 20)
    report = Report(
        [
            ((cold, hot), 3.0),
            ((hot, cold), 0.5),  # never called
            ((Frame("made_heavy_99", "<made>", 1),), 0.25),
            ((idle,), 0.125),  # never ran
            ((Frame("<listcomp>", "/x/work.py", 1),), 0.125),
        ]
    )
    told = {"labels": {"hot": 3_000_000_000, "cold": 1_000_000_000, "never": 1_000}, "process_ns": 4_000_000_000}
    found = verdict(told, {"hot": 1.0, "cold": 1.0, "never": 1e-6}, census, report, "function")
    assert found["found"] == {"hot": 3.0, "cold": 0.5, "never": 0.0}
    assert found["error"] == pytest.approx(100 * (3 / 3.5 - 0.75), abs=0.01)
    assert found["error_bare"] == pytest.approx(100 * (3 / 3.5 - 0.5), abs=0.01)
    assert found["coverage"] == pytest.approx(3.5 / 4, abs=0.001)
    assert found["wrong"] == ["idle (/x/work.py)"]
    assert found["missing"] == []  # the one without a sample ran too briefly
    assert found["impossible"] == pytest.approx(0.5 / 4)
    assert verdict(told, found["true"], census, Report(), "function")["missing"] == ["cold", "hot"]


def test_names_of_the_standard_library_are_looked_up() -> None:
    census = Census({"ran": [], "calls": []})
    assert not census.never_ran(Frame("JSONDecoder.decode", json.decoder.__file__, 1))
    assert census.never_ran(Frame("JSONDecoder.encode", json.decoder.__file__, 1))
    assert census.never_ran(Frame("encode", "json/decoder.py", 1))
    assert not census.never_ran(Frame("anything", "/srv/app.py", 1))
    assert census.never_ran(Frame("\x01\x02", "/srv/app", 1))


def test_results_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert Records(path).once("key", lambda: [1]) == [1]
    assert Records(path).once("key", lambda: pytest.fail("was there")) == [1]
    Clock(None).check()
    with pytest.raises(TimeIsUpError):
        Clock(-1).check()


def test_pairs_and_their_ratios() -> None:
    def taken(wall: float, written: int) -> dict[str, float]:
        return {"inside_wall": wall, "inside_cpu": wall, "wall": wall, "cpu": wall, "written": written}

    pairs = [{"alone": taken(2, 0), "under": taken(2 + i, 3000)} for i in (0, 1, 2)] + [{"error": "gone"}]
    assert tables.ratios(pairs, "cpu") == [1.0, 1.5, 2.0]
    assert tables.spread(tables.ratios(pairs, "cpu"), "{:.2f}") == "1.50 (1.25 to 1.75)"
    row = tables.row("x", "100 Hz", pairs, {"alone": 10_000_000, "under": 35_000_000})
    assert row[-3:] == ["+25", "3", "3"]
    assert row[2] == "1.50 (1.25 to 1.75), f 1.00"
    assert tables.spread([]) == tables.cell([{"error": "gone"}], "cpu") == "failed"


def run(*command: str | Path) -> str:
    """A command of the repository that must work."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("SPPROF_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs_native
def test_a_program_under_spprof(tmp_path: Path) -> None:
    """The whole way once, for what is certain in any run: who ran, what belongs to whom."""
    told = tmp_path / "told"
    child, name, sizes = ROOT / "bench/accuracy/child.py", "deep recursion", "[3000, 3000]"
    run(child, "census", name, sizes, "20", told)
    census = Census(json.loads(told.read_text()))
    assert {("work.py", "deep"), ("work.py", "spin")} <= census.ran
    spprof = RIVALS["spprof"]
    output = tmp_path / f"result{spprof.ending}"
    command = spprof.command([str(child), "run", name, sizes, "150", str(told)], output, 1000)
    assert command[0] == sys.executable
    run(*command[1:])
    knew = json.loads(told.read_text())
    bare = {label: ns / 1e9 for label, ns in knew["labels"].items()}
    found = verdict(knew, bare, census, spprof.read(output, 1000), "function")
    assert set(found["true"]) == {"deep", "shallow"}
    assert found["wrong"] == []
    assert found["impossible"] == 0
    assert sum(found["found"].values()) > 0
    assert 0 < sum(found["true"].values()) <= knew["process_ns"] / 1e9


def test_what_a_command_took_is_told_with_all_its_children(tmp_path: Path) -> None:
    """Also of a grandchild that nobody waits for."""
    burn = "import time\nend = time.process_time() + .1\nwhile time.process_time() < end: pass"
    leave = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    watch, told = ROOT / "bench/overhead/watch.py", tmp_path / "told"
    run(watch, "--memory", told, sys.executable, "-c", leave)
    found = json.loads(told.read_text())
    assert found["cpu_s"] >= 0.1
    assert found["wall_s"] > 0.09
    assert found["peak"] > 1_000_000
    workload, inside = ROOT / "bench/overhead/workload.py", tmp_path / "inside"
    for kind, size in (("ordinary", 0), ("threads", 3), ("depth", 20), ("stacks", 8)):
        run(workload, kind, str(size), "200", "0.1", inside)
        assert json.loads(inside.read_text())["cpu_s"] > 0
