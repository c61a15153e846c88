"""`start`, `stop` and their kin: arguments, states, errors."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from children import python
from interrupts import interrupted_at
from profiles import CHILD_PATH, burn, names

import spprof
from spprof import _session, _threads
from spprof._backend import backend


class TestArguments:
    @pytest.mark.parametrize("value", [0, 0.09, -1, 10_000.1, 1e300, float("nan"), float("inf"), 10**400])
    def test_interval_out_of_range(self, value: float) -> None:
        with pytest.raises(ValueError, match=r"interval_ms must be a number of milliseconds from 0\.1 to 10000, not"):
            spprof.start(interval_ms=value)
        assert not spprof.is_active()

    @pytest.mark.parametrize("value", [True, "10", None, b"1", [1], Decimal(1), 1j])
    def test_interval_of_a_wrong_type(self, value: Any) -> None:
        with pytest.raises(TypeError, match=r"interval_ms must be .* from 0\.1 to 10000, not [a-zA-Z]+$"):
            spprof.start(interval_ms=value)
        with pytest.raises(TypeError):
            spprof.Profiler(value)
        with pytest.raises(TypeError):
            spprof.profile(interval_ms=value)

    @pytest.mark.parametrize("value", [0.1, 0.5, 1, 10, 10_000, 10_000.0])
    def test_interval_in_range(self, value: float) -> None:
        spprof.start(value)
        assert spprof.stop().interval_ms == value

    def test_interval_like_a_number(self) -> None:
        class Whole:
            def __index__(self) -> int:
                return 7

        spprof.start(Whole())  # type: ignore[arg-type]
        assert spprof.stop().interval_ms == 7

    @pytest.mark.parametrize("value", [0, 0.9, -5, float("nan"), float("inf"), 2**21])
    def test_memory_out_of_range(self, value: float) -> None:
        with pytest.raises(ValueError, match="memory_limit_mb must be a number of MiB from 1 to 1048576, not"):
            spprof.start(memory_limit_mb=value)

    @pytest.mark.parametrize("value", [True, "10", None])
    def test_memory_of_a_wrong_type(self, value: Any) -> None:
        with pytest.raises(TypeError, match="memory_limit_mb must be"):
            spprof.start(memory_limit_mb=value)

    def test_memory_is_mebibytes(self) -> None:
        spprof.start(10, 1.5)
        assert spprof.stop().stats.memory_limit == 3 * 2**19

    @pytest.mark.parametrize("value", [None, 0, 1, "no"])
    def test_asyncio_is_a_switch(self, value: Any) -> None:
        for call in (spprof.start, spprof.Profiler, spprof.profile):
            with pytest.raises(TypeError, match=f"asyncio must be True or False, not {type(value).__name__}"):
                call(asyncio=value)

    def test_output_path_is_keyword_only(self) -> None:
        with pytest.raises(TypeError):
            spprof.start(10, 100, "a.svg")  # type: ignore[misc]

    def test_forced_tick_source(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPPROF_TICK", "clock")
        with pytest.raises(ValueError, match="SPPROF_TICK must be one of perf, timer, thread, not 'clock'"):
            spprof.start()
        monkeypatch.setenv("SPPROF_TICK", "thread")
        spprof.start()
        spprof.stop()


class TestOutputPath:
    def test_is_saved_by_stop(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        spprof.start(1, output_path="a.txt")
        burn(0.15)
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path / "sub")
        profile = spprof.stop()
        assert (tmp_path / "a.txt").read_text() == profile.to_collapsed()

    def test_failures_come_at_start(self, tmp_path: Path) -> None:
        (tmp_path / "dir.svg").mkdir()
        for path, kind in ((tmp_path / "no" / "a.svg", FileNotFoundError), (tmp_path / "dir.svg", IsADirectoryError)):
            with pytest.raises(kind) as caught:
                spprof.start(output_path=path)
            assert caught.value.filename == str(path)
            assert not spprof.is_active()
        with pytest.raises(ValueError, match="known formats: speedscope"):
            spprof.start(output_path=tmp_path / "a.xyz")
        with pytest.raises(TypeError):
            spprof.start(output_path=3)  # type: ignore[arg-type]
        assert not spprof.is_active()
        assert [path.name for path in tmp_path.iterdir()] == ["dir.svg"]

    def test_a_failure_while_saving_does_not_lose_the_profile(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        spprof.start(1, output_path=tmp_path / "sub" / "a.txt")
        burn(0.15)
        (tmp_path / "sub").rmdir()
        with pytest.raises(FileNotFoundError) as caught:
            spprof.stop()
        assert caught.value.profile.sample_count > 0  # type: ignore[attr-defined]
        assert not spprof.is_active()
        with pytest.raises(RuntimeError, match=r"^Profiler not running$"):
            spprof.stop()
        spprof.start()
        spprof.stop()

    def test_an_interrupt_while_saving_does_not_lose_it_either(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spprof.start(1, output_path=tmp_path / "a.txt")
        burn(0.15)
        with monkeypatch.context() as patch:
            patch.setattr(spprof.Profile, "save", lambda self, path: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt) as caught:
                spprof.stop()
        assert not spprof.is_active()
        profile = spprof.stop()
        assert caught.value.profile is profile  # type: ignore[attr-defined]
        assert (tmp_path / "a.txt").read_text() == profile.to_collapsed()


class TestStates:
    def test_start_twice_and_stop_twice(self) -> None:
        spprof.start()
        with pytest.raises(RuntimeError, match=r"^Profiler already running$"):
            spprof.start()
        assert spprof.is_active()
        spprof.stop()
        with pytest.raises(RuntimeError, match=r"^Profiler not running$"):
            spprof.stop()
        assert not spprof.is_active()

    def test_a_refused_start_leaves_the_running_session_alone(self, tmp_path: Path) -> None:
        spprof.start(1)
        with pytest.raises(RuntimeError):
            spprof.start(output_path=tmp_path / "a.svg")
        burn(0.15)
        assert spprof.stop().sample_count > 0
        assert list(tmp_path.iterdir()) == []

    def test_samples_show_what_ran(self) -> None:
        spprof.start(1)
        burn(0.2)
        profile = spprof.stop()
        mine = [sample for sample in profile.samples if sample.thread_id == threading.get_native_id()]
        burning = sum(sample.weight_ns for sample in mine if "burn" in names(sample.frames))
        assert burning > 0.8 * sum(sample.weight_ns for sample in mine)
        assert {sample.thread_name for sample in mine} == {"MainThread"}
        frame = next(f for sample in mine for f in sample.frames if f.function_name.endswith("show_what_ran"))
        assert frame.function_name == "TestStates.test_samples_show_what_ran"
        assert frame.filename == __file__
        assert frame.module == __name__
        assert not frame.is_native

    def test_stats(self) -> None:
        spprof.start(5)
        running = spprof.stats()
        assert running is not None
        assert running.active
        assert running.interval_ns == 5_000_000
        assert running.tick_source
        assert running.tick_reason
        burn(0.15)
        profile = spprof.stop()
        after = spprof.stats()
        assert after is not None
        assert not after.active
        assert after.collected == profile.sample_count == profile.stats.collected
        assert after.memory_limit == 100 * 2**20

    def test_no_stats_before_the_first_start(self) -> None:
        result = python("-c", "import spprof; print(spprof.stats(), spprof.is_active())")
        assert result.stdout.split() == ["None", "False"], result.stderr

    def test_many_sessions(self) -> None:
        for _ in range(30):
            spprof.start(1)
            spprof.stop()
        assert threading.active_count() == 1

    def test_stop_in_another_thread_and_start_in_another(self) -> None:
        results: list[object] = []

        def run(call: Any) -> None:
            thread = threading.Thread(target=lambda: results.append(call()))
            thread.start()
            thread.join()

        run(lambda: spprof.start(1))
        assert spprof.is_active()
        burn(0.15)
        run(spprof.stop)
        assert results[0] is None
        assert isinstance(results[1], spprof.Profile)
        assert "MainThread" in {sample.thread_name for sample in results[1].samples}

    def test_threads_that_all_start_and_stop(self) -> None:
        """Each start has one stop: nobody gets another's error, and nothing is left."""
        counts = {"started": 0, "stopped": 0}
        errors: list[BaseException] = []
        messages: set[str] = set()
        guard = threading.Lock()

        def run() -> None:
            try:
                for _ in range(15):
                    try:
                        spprof.start(10)
                        with guard:
                            counts["started"] += 1
                    except RuntimeError as error:
                        messages.add(str(error))
                    try:
                        profile = spprof.stop()
                        assert isinstance(profile, spprof.Profile)
                        with guard:
                            counts["stopped"] += 1
                    except RuntimeError as error:
                        messages.add(str(error))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert messages <= {"Profiler already running", "Profiler not running"}
        assert not spprof.is_active()
        assert counts["started"] == counts["stopped"] > 0


class TestInterrupts:
    @pytest.mark.parametrize("file", ["_session.py", "_build.py", "_threads.py", "_tree.py"])
    def test_stop_interrupted_at_any_line(self, file: str) -> None:
        line = 0
        while True:
            line += 1 if line < 60 else line // 4  # files with loops have thousands of lines to run
            spprof.start(1)
            burn(0.003)
            interrupt = interrupted_at(line, spprof.stop, (file,))
            if interrupt is None:
                break
            # Before anything has happened it is as if stop() had not been called; afterwards sampling has ended.
            assert not spprof.is_active() or (file == "_session.py" and line <= 8)
            try:
                profile = spprof.stop()
            except RuntimeError:  # it came when everything was over
                profile = interrupt.profile  # type: ignore[attr-defined]
            assert profile.total_duration_ms >= 3
            assert not spprof.is_active()
            with pytest.raises(RuntimeError):
                spprof.stop()
            assert not _threads._installed
        assert line > 1

    def test_start_after_an_interrupted_stop_discards(self) -> None:
        spprof.start(1)
        burn(0.15)
        assert interrupted_at(3, spprof.stop, ("_build.py",))
        assert not spprof.is_active()
        spprof.start(10)
        profile = spprof.stop()
        assert profile.interval_ms == 10
        assert profile.total_duration_ms < 50

    @pytest.mark.parametrize("file", ["_session.py", "_threads.py"])
    def test_start_interrupted_at_any_line(self, file: str) -> None:
        line = 0
        while True:
            line += 1
            if not interrupted_at(line, lambda: spprof.start(1), (file,)):
                break
            if not spprof.is_active():
                assert _session._current is None
                assert not _threads._installed
                with pytest.raises(RuntimeError, match=r"^Profiler not running$"):
                    spprof.stop()
            else:  # in the very end of it: a session that can be stopped
                spprof.stop()
        spprof.stop()
        assert line > 5

    def test_real_ctrl_c(self) -> None:
        """A signal at a random time in a loop of start and stop: never two truths, never a session that stays."""
        code = (
            "import signal, subprocess, sys, spprof, warnings\n"
            "warnings.simplefilter('ignore')\n"
            # A process of its own: a thread here would wait for the GIL, on which start() and stop() have a firm hand.
            "pester = subprocess.Popen([sys.executable, '-S', '-c', 'import os, signal, time, random\\n'\n"
            "   'time.sleep(0.2)\\n'\n"
            "   'for _ in range(300): time.sleep(random.random() / 200); os.kill(os.getppid(), signal.SIGINT)'])\n"
            "armed = False\n"
            "def interrupt(*_):\n"  # as the default one does, but for the loop's own lines outside of its try
            "    global armed\n"
            "    if armed: armed = False; raise KeyboardInterrupt\n"
            "signal.signal(signal.SIGINT, interrupt)\n"
            "profiles = interrupted = 0\n"
            "while pester.poll() is None:\n"
            "    try:\n"
            "        armed = True\n"
            "        try:\n"
            "            if not spprof.is_active(): spprof.start(1)\n"
            "            profiles += spprof.stop() is not None\n"
            "        except RuntimeError as error:\n"
            "            assert str(error) in ('Profiler already running', 'Profiler not running'), error\n"
            "        armed = False\n"
            "    except KeyboardInterrupt: interrupted += 1\n"
            "if spprof.is_active(): spprof.stop()\n"
            "spprof.start(1); spprof.stop(); print('clean', profiles > 10, interrupted > 10, spprof.is_active())\n"
        )
        result = python("-c", code)
        assert result.stdout.split() == ["clean", "True", "True", "False"], result.stderr


class TestWarnings:
    def session(self, monkeypatch: pytest.MonkeyPatch, **stats: Any) -> None:
        """A session whose sampler reports these figures."""
        collect = backend.collect

        def changed(names: dict[int, str], qualnames: dict[int, str] | None) -> dict[str, Any]:
            raw: dict[str, Any] = collect(names, qualnames)
            raw["stats"].update(stats)
            return raw

        monkeypatch.setattr(backend, "collect", changed)
        spprof.start(2, 50)

    def test_loss_speaks_once_with_numbers_and_advice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session(monkeypatch, dropped=1060, collected=8940)
        with pytest.warns(RuntimeWarning) as caught:
            spprof.stop()
        (warning,) = caught
        text = str(warning.message)
        for part in ("dropped 1,060 of 10,000 samples (10.6%)", "interval_ms (now 2)", "memory_limit_mb (now 50)"):
            assert part in text
        assert warning.filename == __file__

    def test_little_loss_is_quiet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session(monkeypatch, dropped=5, collected=95)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            spprof.stop()

    def test_a_warning_that_is_an_error_carries_the_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session(monkeypatch, dropped=50, collected=50)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning) as caught:
                spprof.stop()
        assert isinstance(caught.value.profile, spprof.Profile)  # type: ignore[attr-defined]
        assert not spprof.is_active()

    def test_a_replaced_handler_speaks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session(monkeypatch, handler_replaced=True)
        with pytest.warns(RuntimeWarning, match="installed its own handler"):
            spprof.stop()


class TestProcess:
    def test_exit_while_active_is_quiet(self) -> None:
        result = python("-W", "ignore", "-c", "import spprof; spprof.start(1)")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")

    @pytest.mark.parametrize("end", ["pass", "raise SystemExit(3)", "import sys; sys.exit(3)", "1 / 0"])
    def test_exit_while_active_saves(self, end: str, tmp_path: Path) -> None:
        code = f"import spprof\nfrom profiles import burn\nspprof.start(1, output_path='a.txt')\nburn(.5)\n{end}\n"
        result = python("-W", "ignore", "-c", code, cwd=tmp_path, env=CHILD_PATH)
        assert result.returncode == {"pass": 0, "1 / 0": 1}.get(end, 3)
        assert "burn" in (tmp_path / "a.txt").read_text()
        assert "spprof" not in result.stderr

    def test_exit_while_active_says_if_it_can_not_save(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        code = "import os, spprof\nspprof.start(1, output_path='sub/a.txt')\nos.rmdir('sub')\n"
        result = python("-W", "ignore", "-c", code, cwd=tmp_path, env=CHILD_PATH)
        assert result.returncode == 0
        assert result.stderr.startswith("spprof: the profile could not be saved at exit: ")
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_fork(self, tmp_path: Path) -> None:
        """The child is idle, clean and can profile; it does not save what its parent is to save; the parent goes on."""
        code = """
import os, sys, _thread, threading, warnings
warnings.simplefilter("ignore")
import spprof
from profiles import burn
before = {name: getattr(module, name) for module in (_thread, threading) for name in dir(module) if "start_" in name}
spprof.start(1, output_path="parent.txt")
burn(.15)
with spprof.ThreadProfiler():
    pid = os.fork()
if pid == 0:
    assert not spprof.is_active()
    after = {name: getattr(module, name) for module in (_thread, threading) for name in dir(module) if "start_" in name}
    assert before == after
    try: spprof.stop()
    except RuntimeError as error: assert str(error) == "Profiler not running"
    else: raise AssertionError
    spprof.start(1, output_path="child.txt")
    burn(.15)
    thread = threading.Thread(target=burn, args=(.05,)); thread.start(); thread.join()
    assert spprof.stop().sample_count > 0
    sys.exit(7)
_, status = os.waitpid(pid, 0)
assert os.WEXITSTATUS(status) == 7, status
assert spprof.is_active() and not os.path.exists("parent.txt")
burn(.15)
assert spprof.stop().total_duration_ms > 100
print("good")
"""
        result = python("-c", code, cwd=tmp_path, env=CHILD_PATH)
        assert result.stdout == "good\n", result.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["child.txt", "parent.txt"]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_fork_while_another_thread_starts_its_first_session(self) -> None:
        """What start() imports is not half imported, under a lock that is never released, in the child."""
        code = """
import os, signal, threading, time, warnings
warnings.simplefilter("ignore")
import spprof
def starter():
    while not done:
        spprof.start(1)
        spprof.stop()
done = []
threading.Thread(target=starter).start()
for number in range(30):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        spprof.start(1)
        spprof.stop()
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        print("child", number, "hung")
        break
    time.sleep(0.0005)
done.append(1)
print("end")
"""
        for _ in range(3):
            result = python("-c", code)
            assert result.stdout == "end\n", result.stderr

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_fork_within_a_profiled_block(self) -> None:
        code = """
import os, warnings
warnings.simplefilter("ignore")
import spprof
@spprof.profile
def outer():
    with spprof.Profiler() as p:  # never entered: outer's session is active
        pass
def forked():
    with spprof.Profiler() as p:
        pid = os.fork()
    if pid == 0:
        assert p.profile is None
        os._exit(0)
    assert p.profile is not None
    assert os.waitpid(pid, 0)[1] == 0
@spprof.profile
def decorated():
    return os.fork()
forked()
pid = decorated()
if pid == 0:
    assert decorated.last_profile is None
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert decorated.last_profile is not None
print("good")
"""
        result = python("-c", code)
        assert result.stdout == "good\n", result.stderr


class TestNativeUnwinding:
    def test_answers_honestly(self) -> None:
        # The hostile build follows 32 frames, fewer than there are below a test.
        hostile = spprof._HAS_NATIVE and spprof._native.max_depth < 100
        assert hostile or spprof.native_unwinding_available() is spprof._HAS_NATIVE
        assert not spprof.native_unwinding_enabled()
        spprof.set_native_unwinding(False)
        if not spprof._HAS_NATIVE:
            with pytest.raises(RuntimeError, match="not available here: it needs spprof's C extension"):
                spprof.set_native_unwinding(True)
        assert not spprof.native_unwinding_enabled()


class TestPackage:
    def test_everything_promised_is_there(self) -> None:
        for name in spprof.__all__:
            assert hasattr(spprof, name)
            assert name in dir(spprof)
        assert spprof._HAS_NATIVE is (spprof._native is not None)
        with pytest.raises(AttributeError, match="nothing"):
            spprof.nothing  # noqa: B018

    def test_import_is_cheap(self) -> None:
        """No module that is slow to import. What `import threading` brings (3 to 5 ms) is left for start()."""
        code = "import sys; before = set(sys.modules); import spprof; print(*sorted(set(sys.modules) - before))"
        result = python("-I", "-c", "import sys; sys.path[:0] = " + repr(_path()) + "; " + code)
        loaded = set(result.stdout.split())
        assert "spprof" in loaded, result.stderr
        slow = {"typing", "dataclasses", "json", "tempfile", "gzip", "inspect", "datetime", "logging", "ctypes", "re"}
        assert not slow & loaded
        if spprof._HAS_NATIVE:
            assert {name for name in loaded if not name.startswith("spprof")} <= {"__future__", "atexit"}

    def test_wildcard_import_and_reload(self) -> None:
        code = "from spprof import *\nimport spprof\nprint(Profile is spprof.Profile, Frame.__module__)"
        assert python("-c", code).stdout.split() == ["True", "spprof._model"]


def _path() -> list[str]:
    return [os.path.dirname(os.path.dirname(spprof.__file__))]


def test_sleeping_is_not_cpu_time() -> None:
    """Guide 1.3. The fallback measures elapsed time, and says so."""
    spprof.start(interval_ms=10)
    time.sleep(0.2)
    profile = spprof.stop()
    if profile.mode == "cpu":
        assert sum(sample.weight_ns for sample in profile.samples) < 50_000_000
    else:
        assert profile.sample_count > 3
