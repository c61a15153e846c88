"""`spprof run`: a program can't tell it from plain `python`."""

from __future__ import annotations

import os
import re
import signal
import textwrap
import zipfile
from typing import TYPE_CHECKING

import pytest
from children import python, spprof, start

if TYPE_CHECKING:
    from pathlib import Path

# Everything that a program sees of how it was started.
WHAT_I_AM = """\
import __main__, json, os, sys, threading, warnings
me = dict(vars(__main__))
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "flags": repr(sys.flags), "warnoptions": sys.warnoptions,
    "xoptions": sorted(map(str, sys._xoptions.items())), "filters": repr(warnings.filters),
    "names": sorted(me), "is_main": me == vars(sys.modules["__main__"]) and vars(__main__) is globals(),
    "constants": {key: str(value) for key, value in me.items() if key.startswith("__")
                  and key not in ("__loader__", "__builtins__", "__spec__")},
    "loader": getattr(me.get("__loader__"), "__name__", type(me.get("__loader__")).__name__),
    "spec": [getattr(me.get("__spec__"), key, None) for key in ("name", "origin", "parent")],
    "builtins": type(me.get("__builtins__")).__name__, "frame": sys._getframe().f_code.co_filename,
    "outer": sys._getframe().f_back and sys._getframe().f_back.f_code.co_name,
    "limit": sys.getrecursionlimit(), "thread": threading.current_thread() is threading.main_thread(),
    "environ": sorted(os.environ), "pythonpath": os.environ.get("PYTHONPATH"), "cwd": os.getcwd(),
    "sitecustomize": getattr(sys.modules.get("sitecustomize"), "__file__", None),
    "buffered": sys.stdout.line_buffering, "write_through": sys.stdout.write_through,
    "importers": sorted(key for key in sys.path_importer_cache if "_inject" in key),
}, indent=1, sort_keys=True))
"""
BURN = """\
import time
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for number in range(2000):
            number * number
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def profiles(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.speedscope.json"))


def stacks(path: Path) -> list[list[str]]:
    """Names of the frames of each line of a collapsed file, without the thread."""
    return [line.rpartition(" ")[0].split(";")[1:] for line in path.read_text().splitlines()]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that has the same program in every form that python runs."""
    write(
        tmp_path,
        {
            "script.py": WHAT_I_AM,
            "package/__init__.py": "",
            "package/__main__.py": WHAT_I_AM,
            "package/module.py": WHAT_I_AM,
            "folder/__main__.py": WHAT_I_AM,
            "-dash.py": WHAT_I_AM,
            "sub/empty": "",
        },
    )
    with zipfile.ZipFile(tmp_path / "zipped.pyz", "w") as archive:
        archive.writestr("__main__.py", WHAT_I_AM)
    return tmp_path


FORMS = {
    "script": ["script.py", "one", "-two", "--output", "-m"],
    "script from elsewhere": ["sub/../script.py"],
    "after two dashes": ["--", "-dash.py", "-o"],
    "module": ["-m", "package.module", "-x", "y"],
    "module in one word": ["-mpackage.module", "-q"],
    "package": ["-m", "package"],
    "folder": ["folder", "argument"],
    "zip file": ["zipped.pyz", "argument"],
    "code": ["-c", WHAT_I_AM, "argument"],
}


@pytest.mark.parametrize("form", FORMS)
def test_program_sees_what_python_shows_it(programs: Path, form: str) -> None:
    plain = python(*FORMS[form], cwd=programs)
    assert plain.returncode == 0, plain.stderr
    profiled = spprof("run", "-q", "-o", "out.collapsed", *FORMS[form], cwd=programs)
    assert (profiled.stdout, profiled.stderr, profiled.returncode) == (plain.stdout, plain.stderr, 0)
    assert (programs / "out.collapsed").exists()


@pytest.mark.parametrize("options", [["-X", "dev"], ["-Wdefault", "-O"], ["-ubB"], ["-s", "-Xutf8=1"], ["-W", "error"]])
def test_options_of_the_interpreter_are_kept(programs: Path, options: list[str]) -> None:
    plain = python(*options, "script.py", cwd=programs)
    assert plain.returncode == 0, plain.stderr
    profiled = python(*options, "-m", "spprof", "run", "-q", "-o", "out.collapsed", "script.py", cwd=programs)
    assert (profiled.stdout, profiled.stderr) == (plain.stdout, plain.stderr)


def test_program_on_standard_input(programs: Path) -> None:
    plain = python("-", "x", cwd=programs, input=WHAT_I_AM)
    profiled = spprof("run", "-q", "-", "x", cwd=programs, input=WHAT_I_AM)
    assert (profiled.stdout, profiled.returncode) == (plain.stdout, 0)
    assert [path.name[:6] for path in profiles(programs)] == ["stdin-"]


@pytest.mark.parametrize("value", [None, "", "elsewhere"])
def test_pythonpath_is_as_it_was_for_the_program_and_its_children(programs: Path, value: str | None) -> None:
    home = os.environ.get("PYTHONPATH") if value != "" else None  # where spprof may come from
    parts = [part for part in (str(programs / value) if value else "", home) if part]
    env = {"PYTHONPATH": os.pathsep.join(parts) if parts else value}
    if value == "" and spprof("--version", env=env).returncode:
        pytest.skip("spprof itself is found by way of PYTHONPATH")
    write(programs, {"child.py": "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"})
    plain = python("child.py", "script.py", cwd=programs, env=env)
    profiled = spprof("run", "-q", "child.py", "script.py", cwd=programs, env=env)
    assert plain.stdout
    assert profiled.stdout == plain.stdout
    assert len(profiles(programs)) == 1


def test_sitecustomize_of_the_installation_is_imported(programs: Path) -> None:
    write(programs, {"extra/sitecustomize.py": "import sys; sys.customized = True; print('customized')"})
    parts = [str(programs / "extra"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {"PYTHONPATH": os.pathsep.join(parts)}
    plain = python("script.py", cwd=programs, env=env)
    profiled = spprof("run", "-q", "script.py", cwd=programs, env=env)
    assert plain.stdout.startswith("customized")
    # once in the process that reads the command line, once in the program
    assert profiled.stdout == "customized\n" + plain.stdout


def test_failing_sitecustomize_fails_in_the_same_words(programs: Path) -> None:
    write(programs, {"extra/sitecustomize.py": "1 / 0"})
    parts = [str(programs / "extra"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {"PYTHONPATH": os.pathsep.join(parts)}
    plain = python("script.py", cwd=programs, env=env)
    profiled = spprof("run", "-q", "script.py", cwd=programs, env=env)
    assert profiled.stderr == 2 * plain.stderr


ENDS = {
    "falls off the end": "print('done')",
    "exit None": "import sys; sys.exit()",
    "exit 3": "import sys; sys.exit(3)",
    "exit True": "import sys; sys.exit(True)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit 2**40": "import sys; sys.exit(2 ** 40)",
    "exit text": "import sys; sys.exit('that was it')",
    "exit object": "import sys; sys.exit([1, {'a': 2}])",
    "SystemExit with two": "raise SystemExit(1, 2)",
    "exception": "def inner():\n    raise ValueError('wrong\\nlines')\ninner()",
    "chain": "try:\n    1 / 0\nexcept Exception as error:\n    raise KeyError('k') from error",
    "base exception": "class Odd(BaseException): pass\nraise Odd('really')",
    "syntax error": "print('no'\n",
    "null byte": "x = 1\0",
    "recursion": "def f(n): return f(n + 1)\nf(0)",
    "hook": "import sys\nsys.excepthook = lambda kind, error, tb: print(kind, tb.tb_frame.f_code.co_name)\n1 / 0",
    "failing hook": "import sys\ndef hook(*a): 1 / 0\nsys.excepthook = hook\nraise ValueError",
    "exception in a thread": "import threading\nt = threading.Thread(target=int, args="
    "('x',), name='T')\nt.start()\nt.join()",
    "exit in a thread": "import sys, threading\nthreading.Thread(target=sys.exit, args=(3,)).start()",
    "failing atexit": "import atexit\natexit.register(lambda: 1 / 0)",
    "stack printed": "import traceback\ndef f(): traceback.print_stack()\nf()",
    "warning beyond the stack": "import warnings\nwarnings.warn('here', stacklevel=5)",
    "closed stdout": "import sys\nsys.stdout.close()",
    "closed stderr": "import sys\nsys.stderr.close()",
    "descriptors closed": "import os\nos.close(1); os.close(2)",
    "own stderr": "import io, sys\nsys.stderr = io.StringIO()\nprint('lost', file=sys.stderr)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "SIGTERM": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nimport time; time.sleep(5)",
    "_exit": "import os\nos._exit(7)",
    "os.exec": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'import sys; sys.exit(9)'])",
    "abort": "import os, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nos.abort()",
}
NO_SHUTDOWN = ("SIGTERM", "_exit", "os.exec", "abort")  # nothing can be saved


@pytest.mark.parametrize("end", ENDS)
def test_ends_as_python_ends_it(tmp_path: Path, end: str) -> None:
    (tmp_path / "end.py").write_text(ENDS[end])
    plain = python("end.py", cwd=tmp_path)
    profiled = spprof("run", "-q", "end.py", cwd=tmp_path)
    assert (profiled.returncode, profiled.stdout) == (plain.returncode, plain.stdout)
    assert re.sub("0x[0-9a-f]+", "0x", profiled.stderr) == re.sub("0x[0-9a-f]+", "0x", plain.stderr)
    assert len(profiles(tmp_path)) == (0 if end in NO_SHUTDOWN else 1)


@pytest.mark.parametrize("form", ["module", "folder", "zip"])
def test_tracebacks_of_modules_are_pythons(tmp_path: Path, form: str) -> None:
    write(tmp_path, {"bad.py": "def f(): 1 / 0\nf()", "folder/__main__.py": "def f(): 1 / 0\nf()"})
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.write(tmp_path / "bad.py", "__main__.py")
    program = {"module": ["-m", "bad"], "folder": ["folder"], "zip": ["zipped.zip"]}[form]
    plain = python(*program, cwd=tmp_path)
    profiled = spprof("run", "-q", *program, cwd=tmp_path)
    assert "ZeroDivisionError" in plain.stderr
    assert (profiled.returncode, profiled.stderr) == (1, plain.stderr)


def test_missing_module_is_pythons_error_and_leaves_no_profile(tmp_path: Path) -> None:
    plain = python("-m", "no_such_module", cwd=tmp_path)
    profiled = spprof("run", "-m", "no_such_module", cwd=tmp_path)
    assert (profiled.returncode, profiled.stderr) == (plain.returncode, plain.stderr)
    assert not profiles(tmp_path)


@pytest.mark.parametrize("handler", ["default", "own"])
def test_ctrl_c_ends_the_program_as_usual_and_the_profile_is_saved(tmp_path: Path, handler: str) -> None:
    own = "import signal, sys\nsignal.signal(signal.SIGINT, lambda *a: sys.exit(77))\n" if handler == "own" else ""
    write(tmp_path, {"wait.py": own + BURN + "print('ready', flush=True)\nburn(60)\n"})
    ends = []
    for command in (["wait.py"], ["-m", "spprof", "run", "-q", "-o", "out.collapsed", "wait.py"]):
        with start(*command, cwd=tmp_path) as child:
            assert child.stdout
            assert child.stdout.readline() == "ready\n"
            child.send_signal(signal.SIGINT)
            ends.append((*child.communicate(timeout=30), child.returncode))
    (plain_out, plain_err, plain_code), (out, err, code) = ends
    assert (out, code) == (plain_out, plain_code)
    assert code == (77 if handler == "own" else -signal.SIGINT)
    # Where the loop was differs, who was on the stack does not.
    names = [
        [line for line in text.splitlines() if "line" not in line and "    " not in line] for text in (plain_err, err)
    ]
    assert names[0] == names[1]
    assert (tmp_path / "out.collapsed").exists()


def test_threads_that_outlive_the_main_module_are_profiled(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "late.py": BURN
            + """
import atexit, threading
def late():
    burn(0.4)
    print("thread")
def at_exit():
    burn(0.2)
    print("atexit")
atexit.register(at_exit)
threading.Thread(target=late, name="latecomer").start()
print("main")
"""
        },
    )
    result = spprof("run", "-o", "out.collapsed", "late.py", cwd=tmp_path)
    assert result.stdout == python("late.py", cwd=tmp_path).stdout == "main\nthread\natexit\n"
    seen = stacks(tmp_path / "out.collapsed")
    assert any("late" in part for stack in seen for part in stack)
    assert any("at_exit" in part for stack in seen for part in stack)
    assert "latecomer" in result.stderr


def test_forked_child_that_ends_by_itself_saves_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "forks.py": """\
            import os, sys, warnings
            warnings.simplefilter("ignore")
            pid = os.fork()
            if pid == 0:
                sys.exit(4)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            """
        },
    )
    result = spprof("run", "forks.py", cwd=tmp_path)
    assert (result.stdout, result.returncode) == ("4\n", 0)
    assert result.stderr.count("spprof:") == 1
    assert len(profiles(tmp_path)) == 1


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_finds_the_functions_of_main(tmp_path: Path, method: str) -> None:
    write(
        tmp_path,
        {
            "work.py": """\
            import multiprocessing, pickle, sys
            class Item:
                def __init__(self, value): self.value = value
            def double(item): return Item(item.value * 2)
            if __name__ == "__main__":
                assert pickle.loads(pickle.dumps(Item(1))).value == 1
                with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                    print([item.value for item in pool.map(double, map(Item, range(3)))])
                    pool.close()
                    pool.join()
            """
        },
    )
    result = spprof("run", "-q", "work.py", method, cwd=tmp_path)
    assert (result.stdout, result.stderr, result.returncode) == ("[0, 2, 4]\n", "", 0)
    assert len(profiles(tmp_path)) == 1


def test_program_reads_standard_input(tmp_path: Path) -> None:
    write(tmp_path, {"ask.py": "import sys\nprint(input('? '), sys.stdin.read())"})
    assert spprof("run", "-q", "ask.py", cwd=tmp_path, input="a\nb\nc").stdout == "? a b\nc\n"


ROOTED = {
    "script": ["burner.py"],
    "module": ["-m", "burner"],
    "folder": ["folder"],
    "code": ["-c", BURN + "burn(0.4)"],
}


@pytest.mark.parametrize("form", ROOTED)
def test_stacks_begin_at_the_program(tmp_path: Path, form: str) -> None:
    write(tmp_path, {"burner.py": BURN + "burn(0.4)", "folder/__main__.py": BURN + "burn(0.4)"})
    result = spprof("run", "--interval-ms", "1", "-o", "out.collapsed", *ROOTED[form], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    seen = stacks(tmp_path / "out.collapsed")
    burning = [stack for stack in seen if any(part.startswith("burn") for part in stack)]
    assert burning
    for stack in burning:
        assert stack[0].startswith("<module>"), stack
        assert stack[1].startswith("burn"), stack
    for stack in seen:  # what runpy does before it gives control to the program stays runpy's
        assert not any(part.startswith("_run_code") for part in stack[:-1]), stack
    everything = (tmp_path / "out.collapsed").read_text()
    assert os.sep + os.path.join("spprof", "cli") + os.sep not in everything
    assert "_inject" not in everything


def test_program_may_stop_the_profiler_itself(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "stops.py": BURN
            + """
import spprof
assert spprof.is_active()
try:
    spprof.start()
except RuntimeError as error:
    print(error)
burn(0.1)
print(spprof.stop().sample_count > 0)
"""
        },
    )
    result = spprof("run", "stops.py", cwd=tmp_path)
    assert (result.stdout, result.returncode) == ("Profiler already running\nTrue\n", 0)
    assert len(profiles(tmp_path)) == 1


def test_profile_outlives_its_programs_error_in_saving(tmp_path: Path) -> None:
    """The folder vanishes while the program runs: said, and the exit code is still the program's."""
    write(tmp_path, {"rm.py": "import os, shutil, sys\nshutil.rmtree('out')\nsys.exit(5)"})
    (tmp_path / "out").mkdir()
    result = spprof("run", "-q", "-o", "out/a.json", "-o", "b.json", "rm.py", cwd=tmp_path)
    assert result.returncode == 5
    assert "could not write" in result.stderr
    assert (tmp_path / "b.json").exists()


def test_signal_mask_and_dispositions_are_the_callers(tmp_path: Path) -> None:
    """Signals that were ignored or blocked by the caller stay so in the program."""
    write(
        tmp_path,
        {
            "signals.py": """\
            import signal
            print(signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGINT))
            print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
            """
        },
    )
    wrap = """if True:
        import os, signal, sys
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    """
    plain = python("-c", wrap, "signals.py", cwd=tmp_path)
    profiled = python("-c", wrap, "-m", "spprof", "run", "-q", "signals.py", cwd=tmp_path)
    assert plain.stdout
    assert profiled.stdout == plain.stdout
