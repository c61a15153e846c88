"""The end of the program while it is being profiled: output, exit code and saved profile as they should be."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import children
import pytest
from life import each_source_when_slow

pytestmark = pytest.mark.needs_native

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

PROLOGUE = """
import atexit, os, signal, sys, threading, time
import spprof
def busy():
    return sum(i * i for i in range(300_000))
"""

ENDS = {
    "at the end": ("busy()", 0, ""),
    "sys.exit": ("busy(); sys.exit(3)", 3, ""),
    "os._exit": ("busy(); os._exit(4)", 4, ""),
    "exception": ("busy(); raise KeyError('gone')", 1, "KeyError: 'gone'"),
    "SystemExit with a text": ("busy(); raise SystemExit('told')", 1, "told"),
    "killed": ("busy(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", -15, ""),
    "aborted": ("busy(); os.abort()", -6, ""),
    "interrupted": ("busy(); os.kill(os.getpid(), signal.SIGINT); time.sleep(5)", -2, "KeyboardInterrupt"),
    "sys.exit in a thread": ("t = threading.Thread(target=sys.exit, args=(5,)); t.start(); t.join(); busy()", 0, ""),
    "daemon threads": (
        "forever = lambda: [busy() for _ in iter(int, 1)]\n"
        "[threading.Thread(target=forever, daemon=True).start() for _ in range(4)]; busy()",
        0,
        "",
    ),
    "threads that outlive the main one": (
        "[threading.Thread(target=lambda: (time.sleep(0.1), busy())).start() for _ in range(4)]",
        0,
        "",
    ),
    "exec'd function in atexit": ("atexit.register(busy); busy()", 0, ""),
    "start in atexit": ("spprof.stop(); atexit._clear(); atexit.register(spprof.start, 0.5)", 0, ""),
}


@pytest.mark.parametrize("source", each_source_when_slow())
@pytest.mark.parametrize("how", ENDS)
def test_exit_while_active_is_quiet_and_keeps_the_exit_code(how: str, source: str | None) -> None:
    # Hazard 24
    ending, code, stderr = ENDS[how]
    program = f"{PROLOGUE}spprof.start(interval_ms=0.5)\n{ending}\n"
    result = children.python("-c", program, env={"SPPROF_TICK": source})
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert result.stderr == "" if stderr == "" else stderr in result.stderr


@pytest.mark.parametrize("how", ENDS)
def test_exit_while_active_saves_the_profile_where_python_ends_itself(how: str, tmp_path: Path) -> None:
    # Hazard 24: not after os._exit and signals that kill; and never half a file.
    if how == "start in atexit":
        pytest.skip("stops by itself")
    ending, code, _ = ENDS[how]
    out = tmp_path / "profile.json"
    program = f"{PROLOGUE}spprof.start(interval_ms=0.5, output_path={str(out)!r})\n{ending}\n"
    result = children.python("-c", program)
    assert result.returncode == code, result.stderr
    if code in (4, -15, -6):
        assert list(tmp_path.iterdir()) == []
    else:
        assert [path.name for path in tmp_path.iterdir()] == ["profile.json"]
        data = json.loads(out.read_text())
        assert any(p["samples"] for p in data["profiles"])


def test_the_child_of_a_fork_does_not_save_its_parents_profile(tmp_path: Path) -> None:
    # Hazards 21, 24
    out = tmp_path / "profile.json"
    program = (
        f"{PROLOGUE}spprof.start(interval_ms=0.5, output_path={str(out)!r})\n"
        "busy()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    sys.exit(0)\n"
        "os.waitpid(pid, 0)\n"
        f"assert not os.path.exists({str(out)!r})\n"
    )
    result = children.python("-W", "ignore", "-c", program)
    assert (result.returncode, result.stderr) == (0, "")
    assert out.exists()


def test_a_profile_that_cannot_be_saved_at_exit_says_so(tmp_path: Path) -> None:
    # Hazards 24, 28
    folder = tmp_path / "gone"
    folder.mkdir()
    program = (
        f"{PROLOGUE}spprof.start(interval_ms=0.5, output_path={str(folder / 'p.json')!r})\n"
        f"busy(); os.rmdir({str(folder)!r})\n"
    )
    result = children.python("-c", program)
    assert result.returncode == 0
    assert "could not be saved at exit" in result.stderr and "p.json" in result.stderr


def test_many_exits_with_daemon_threads_at_full_speed() -> None:
    # Hazard 24: ticks land anywhere in the interpreter's own end.
    # Without a GIL the interpreter ends while a daemon thread keeps an object's lock for good, and may wait for that itself: 1 of
    # 130 such programs hung without spprof (3.13.15), in _PyCriticalSection_BeginSlow. So there they work without locks.
    work = "exec(compile('sum(range(50))', 'made', 'exec'))" if not FREE_THREADED else "for _ in range(1000): pass"
    program = (
        f"{PROLOGUE}"
        "def forever():\n"
        "    while True:\n"
        f"        {work}\n"
        "[threading.Thread(target=forever, daemon=True).start() for _ in range(3)]\n"
        "spprof.start(interval_ms=0.1)\n"
        "class Late:\n"
        "    def __del__(self): sum(range(2000))\n"
        "keep = [Late() for _ in range(20)]\n"
        "busy()\n"
        "if int(sys.argv[1]) % 2:\n"
        "    atexit._clear()\n"  # nobody stops it: the interpreter ends with the sampler on
    )
    for number in range(6):
        result = children.python("-c", program, str(number))
        assert (result.returncode, result.stderr) == (0, ""), (number, result.stderr)
