"""Processes that profile themselves because their environment says so, and `spprof run --follow-children`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from children import environment, python
from children import spprof as spprof_command

import spprof.cli

PTH = Path(__file__).resolve().parents[2] / "src" / "spprof-autostart.pth"
BURN = """\
import os, subprocess, sys, time
def burn(seconds=0.03):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for number in range(500):
            number * number
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH through which the start-up file is found as in site-packages."""
    folder = tmp_path / "site"
    (folder / "packages").mkdir(parents=True)
    (folder / "packages" / PTH.name).write_bytes(PTH.read_bytes())
    (folder / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(folder / 'packages')!r})\n")
    return folder


def run(site: Path, program: str, *, output: str = "%n-%p.collapsed", before: tuple[str, ...] = (), **variables: str):
    """Runs *program* in a fresh interpreter whose environment asks for profiles, in `site`'s folder's `place`."""
    place = site.parent / "place"
    place.mkdir(exist_ok=True)
    (place / "program.py").write_text(BURN + program)
    env = {
        "SPPROF_AUTOSTART": "1",
        "SPPROF_INTERVAL_MS": "1",
        "SPPROF_OUTPUT": output,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")])),
        **variables,
    }
    return place, python(*before, "program.py", cwd=place, env={k: v or None for k, v in env.items()})


def files(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if path.name != "program.py" and path.is_file())


def functions(place: Path) -> list[set[str]]:
    """For each profile in *place* the names of the program's functions that were seen burning."""
    return sorted(
        (
            set(re.findall(r"([a-z_]+) \([^;]*\);burn \(", (place / name).read_text()))
            for name in files(place)
            if name.endswith(".collapsed")
        ),
        key=sorted,
    )


def test_nothing_happens_unless_asked(site: Path) -> None:
    program = "print('spprof' in sys.modules, os._exit.__class__.__name__)"
    for value in ("", "0"):
        place, result = run(site, program, SPPROF_AUTOSTART=value)
        assert (result.stdout, result.stderr) == ("False builtin_function_or_method\n", "")
        assert files(place) == []


def test_every_process_writes_its_own_file(site: Path) -> None:
    place, result = run(
        site,
        """
def first(): burn()
def in_fork(): burn()
def in_fork_that_goes_on(): burn()
first()
child = os.fork()
if not child:
    in_fork()
    os._exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
child = os.fork()
if not child:
    in_fork_that_goes_on()
    sys.exit(4)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
os.mkdir("elsewhere")
os.chdir("elsewhere")
code = open("../program.py").read().partition("def first")[0] + "def in_subprocess(): burn()\\nin_subprocess()"
subprocess.run([sys.executable, "-c", code], check=True)
""",
    )
    assert (result.stdout, result.returncode) == ("", 0), result.stderr
    assert [re.sub(r"\d+", "N", name) for name in files(place)] == ["command-N.collapsed", *["program-N.collapsed"] * 3]
    assert functions(place) == [{"first"}, {"in_fork"}, {"in_fork_that_goes_on"}, {"in_subprocess"}]
    assert os.listdir(place / "elsewhere") == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing(site: Path, method: str) -> None:
    place, result = run(
        site,
        f"""
import multiprocessing
def work():
    burn()
if __name__ == "__main__":
    process = multiprocessing.get_context({method!r}).Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0
""",
    )
    assert (result.stdout, result.returncode) == ("", 0), result.stderr
    assert functions(place).count({"work"}) == 1


WRONG = {
    "SPPROF_AUTOSTART": ("yes", "SPPROF_AUTOSTART must be 0 or 1, not 'yes'"),
    "SPPROF_INTERVAL_MS": ("fast", "SPPROF_INTERVAL_MS must be a number, not 'fast'"),
    "SPPROF_MEMORY_LIMIT_MB": ("0.1", "memory_limit_mb must be a number of MiB from 1 to 1048576, not 0.1"),
    "SPPROF_MODE": ("CPU", "mode must be one of 'cpu', 'wall', 'gil' or None, not 'CPU'"),
    "SPPROF_NATIVE": ("on", "SPPROF_NATIVE must be 0 or 1, or all, not 'on'"),
    "SPPROF_ASYNCIO": ("2", "SPPROF_ASYNCIO must be 0 or 1, not '2'"),
    "SPPROF_FORMAT": ("xml", "unknown format 'xml'"),
    "SPPROF_OUTPUT": ("%q.svg", "SPPROF_OUTPUT='%q.svg': %q stands for nothing; known are %p"),
}


@pytest.mark.parametrize("variable", [*WRONG, "ending", "folder"])
def test_wrong_values_are_one_line_and_the_program_runs(site: Path, variable: str) -> None:
    value, message = WRONG.get(variable, ("", ""))
    if variable == "ending":
        variable, value, message = "SPPROF_OUTPUT", "%p.exe", "can't tell the format of"
    elif variable == "folder":
        variable, value, message = "SPPROF_OUTPUT", "nowhere/%p.svg", "can't write '"
    place, result = run(site, "print('ran'); sys.exit(7)", **{variable: value})
    assert (result.stdout, result.returncode) == ("ran\n", 7)
    assert result.stderr.startswith(f"spprof: {message}"), result.stderr
    assert result.stderr.endswith(" (the program runs without the profiler)\n")
    assert result.stderr.count("\n") == 1
    assert files(place) == []


def test_no_file_is_replaced(site: Path) -> None:
    program = "burn()\nos.environ.clear()"
    for _ in range(3):
        place, result = run(site, program, output="100%%.collapsed.gz")
        assert result.returncode == 0, result.stderr
    assert files(place) == ["100%-1.collapsed.gz", "100%-2.collapsed.gz", "100%.collapsed.gz"]
    assert all((place / name).stat().st_size for name in files(place))


def test_a_program_that_profiles_itself_and_one_that_stops_it(site: Path) -> None:
    place, result = run(
        site,
        """
import spprof
try:
    spprof.start()
except RuntimeError as error:
    print(error)
burn()
print(spprof.stop().sample_count > 0)
""",
    )
    assert (result.stdout, result.stderr) == ("Profiler already running\nTrue\n", "")
    assert len(files(place)) == 1


@pytest.mark.needs_native
def test_sub_interpreters_are_left_alone(site: Path) -> None:
    place, result = run(
        site,
        """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
number = interpreters.create()
interpreters.run_string(number, "import sys; sys.stdout.write('inside')")
interpreters.destroy(number)
burn()
""",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert len(files(place)) == 1


def test_exit_codes_and_tracebacks_are_the_programs_own(site: Path) -> None:
    endings = ["sys.exit('bye')", "1 / 0", "os._exit(9)", "os._exit('x')", "os.kill(os.getpid(), 15)"]
    for ending in endings:
        _, bare = run(site, f"def f():\n    {ending}\nf()", SPPROF_AUTOSTART="0")
        place, result = run(site, f"def f():\n    {ending}\nf()", output="out.collapsed")
        assert (result.returncode, result.stdout) == (bare.returncode, bare.stdout)
        if "'x'" not in ending:  # whose message the replaced function gives, one frame further down
            assert result.stderr == bare.stderr
        saved = place / "out.collapsed"
        assert saved.exists() == ("kill" not in ending)
        saved.unlink(missing_ok=True)


def test_run_wins_over_the_environment(site: Path) -> None:
    place, result = run(site, "burn()", before=("-m", "spprof", "run", "-o", "run.collapsed"))
    assert result.returncode == 0
    assert files(place) == ["run.collapsed"]
    assert "by self time" in result.stderr


def test_commands_of_spprof_are_not_profiled(site: Path) -> None:
    env = {
        "SPPROF_AUTOSTART": "1",
        "SPPROF_OUTPUT": "%p.svg",
        "PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}",
    }
    result = spprof_command("report", "--help", cwd=site, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert list(site.glob("*.svg")) == []


FAMILY = """\
import multiprocessing
def root(): burn()
def child(): burn()
if __name__ == "__main__":
    root()
    print(sys.path, 'sitecustomize' in sys.modules)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    subprocess.run([sys.executable, "-c", "import sys; print(sys.path, 'sitecustomize' in sys.modules)"], check=True)
"""


@pytest.mark.parametrize("way", ["pth", "pythonpath"])
def test_follow_children(tmp_path: Path, site: Path, way: str) -> None:
    (tmp_path / "program.py").write_text(BURN + FAMILY)
    path = os.environ.get("PYTHONPATH", "")
    env = {"PYTHONPATH": f"{site}:{path}" if way == "pth" else path or None}
    plain = python("-Wignore", "program.py", cwd=tmp_path, env=env)
    result = python(
        "-Wignore", "-m", "spprof", "run", "--follow-children", "--interval-ms", "1", "-o", "x%.collapsed", "program.py",
        cwd=tmp_path, env=env,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout == plain.stdout
    names = files(tmp_path)
    assert [re.sub(r"\d+", "N", name) for name in names] == ["x%-N.collapsed", "x%-N.collapsed", "x%.collapsed"]
    for name in names[:2]:
        assert f"\nchild    {name}\n" in result.stderr
    # The subprocess may be too short for a sample.
    seen = [found for found in functions(tmp_path) if found]
    assert seen == [{"child"}, {"root"}]


def test_follow_children_without_children(tmp_path: Path) -> None:
    result = spprof_command("run", "--follow-children", "-o", "x.collapsed", "-c", "pass", cwd=tmp_path)
    assert result.returncode == 0
    assert "\nchildren no process below the program has saved a profile\n" in result.stderr
    result = spprof_command("run", "-q", "--follow-children", "-o", "x.collapsed", "-c", "pass", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_folder_for_children_is_valid_for_any_python(tmp_path: Path) -> None:
    folder = Path(spprof.cli.__file__).with_name("_follow")
    # A Python that spprof is not built for: here, one that has no extension modules' endings in common with it.
    code = (
        "import importlib.machinery as m, runpy, sys; m.EXTENSION_SUFFIXES[:] = ['.other.so']\n"
        "sys.modules['sitecustomize'] = sys\n"
        f"try: runpy.run_path({str(folder / 'sitecustomize.py')!r})\nexcept ImportError: pass\n"
        "print('spprof' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],  # without an installation's own start-up file
        env=environment({"SPPROF_AUTOSTART": "1"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_a_child_that_a_thread_has_forked_ends_with_that_thread(site: Path) -> None:
    place, result = run(
        site,
        """
import threading
def work():
    burn()
def fork():
    child = os.fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print("reaped")
    else:
        work()
thread = threading.Thread(target=fork)
thread.start()
thread.join()
""",
        before=("-Wignore",),
    )
    assert (result.stdout, result.stderr, result.returncode) == ("reaped\n", "", 0)
    assert functions(place).count({"work"}) == 1
