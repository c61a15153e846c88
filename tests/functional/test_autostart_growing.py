"""Processes that profile themselves and are killed leave their `.spprof` files (docs/autostart.md, docs/adr/0028)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from children import python
from test_autostart import PTH

import spprof

pytestmark = pytest.mark.skipif(not spprof._backend.has_native, reason="the fallback's file does not grow")

# Files grow twenty times a second. Each process works until its own has samples: no test depends on a machine's speed.
SITE = "from spprof import _stream\n_stream.PERIOD_S = .05\nimport site\nsite.addsitedir({folder!r})\n"
PROGRAM = """\
import multiprocessing, os, signal, subprocess, sys, time
def burn(seconds=.02):
    end = time.thread_time() + seconds
    while time.thread_time() < end: sum(range(500))
def mine():
    from spprof import _session
    stream = _session._current.stream
    return stream.path if stream.path is not None and stream.is_there else ""
def has_samples():
    import spprof
    try:
        return bool(mine()) and spprof.Profile.load(mine()).sample_count > 0
    except spprof.ProfileFileError:
        return False
def until(condition):
    end = time.monotonic() + 40
    while not condition():
        if time.monotonic() > end: raise TimeoutError(condition.__name__)
        burn()
def forked(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(9)
    return child
def ended(child): return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def run(tmp_path: Path, program: str, *before: str, output: str = "%n-%p.spprof", says_something: bool = False) -> Path:
    """Runs *program*, which must end well and say nothing on stderr; the folder of its profiles."""
    site, place = tmp_path / "site", tmp_path / "place"
    site.mkdir()
    place.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(folder=str(PTH.parent)))
    (tmp_path / "program.py").write_text(PROGRAM + program)
    env = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")])),
        **({} if before else {"SPPROF_AUTOSTART": "1", "SPPROF_INTERVAL_MS": "1", "SPPROF_OUTPUT": output}),
    }
    result = python("-Wignore", *before, tmp_path / "program.py", cwd=place, env=env)
    assert result.returncode == 0, result.stderr
    assert before or says_something or result.stderr == ""
    (tmp_path / "said").write_text(result.stdout + result.stderr)
    return place


def profiles(place: Path) -> dict[str, spprof.Profile]:
    return {path.name: spprof.Profile.load(path) for path in sorted(place.iterdir())}


def functions(profile: spprof.Profile) -> set[str]:
    """Of the program's functions those that are on stacks. What a namedtuple is made by has no file, as code of ``-c``."""
    return {
        f.function_name
        for s in profile.samples
        for f in s.frames
        if os.path.basename(f.filename) in ("program.py", "<string>")
    } - {"<lambda>"}


@pytest.mark.parametrize("output", ["%n-%p.spprof", "all.spprof"])
def test_killed_children_leave_their_files(tmp_path: Path, output: str) -> None:
    """And those that end in order complete ones; each has a name of its own, and no more than one."""
    place = run(
        tmp_path,
        """
def by_sigkill(): until(has_samples); print("killed", os.path.basename(mine()), flush=True); os.kill(os.getpid(), 9)
def by_sigterm(): until(has_samples); print("killed", os.path.basename(mine()), flush=True); os.kill(os.getpid(), 15)
def in_order(): until(has_samples); print("complete", os.path.basename(mine()), flush=True); os._exit(0)
def too_brief(): burn(); print("complete", flush=True); os._exit(0)
until(has_samples)
for work, code in (by_sigkill, -9), (by_sigterm, -15), (in_order, 0), (too_brief, 0):
    assert ended(forked(work)) == code
print("complete", os.path.basename(mine()))
""",
        output=output,
    )
    said = [line.split() for line in (tmp_path / "said").read_text().splitlines()]
    found = profiles(place)
    assert len(found) == 5
    told = {name: word for word, *names in said for name in names}
    assert len(told) == 4
    for name, word in told.items():
        assert found[name].is_unfinished == (word == "killed")
    parents = said[-1][1]
    for function in ("by_sigkill", "by_sigterm", "in_order", "too_brief"):
        (name,) = [name for name, profile in found.items() if function in functions(profile)]
        assert name != parents
        assert functions(found[name]) <= {"<module>", "forked", function, "until", "has_samples", "mine", "burn"}
    assert sum(profile.is_unfinished for profile in found.values()) == 2
    if output == "all.spprof":
        assert set(found) == {"all.spprof", *[f"all-{number}.spprof" for number in (1, 2, 3, 4)]}
    else:
        assert all(re.fullmatch(r"program-\d+\.spprof", name) for name in found)


def test_a_pool_that_is_terminated(tmp_path: Path) -> None:
    """`multiprocessing.Pool` ends its workers by SIGTERM when its `with` block is left."""
    place = run(
        tmp_path,
        """
def work(_):
    until(has_samples)
    told.put(os.path.basename(mine()))
    while True: burn()
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    with context.Pool(2) as pool:
        pool.map_async(work, range(2), chunksize=1)
        names = [told.get() for _ in range(2)]
    pool.join()
    print(*names)
""",
    )
    found = profiles(place)
    workers = set((tmp_path / "said").read_text().split())
    assert {name for name, profile in found.items() if profile.is_unfinished} == workers
    assert len(workers) == 2
    assert all("work" in functions(found[name]) for name in workers)
    assert len(found) == 3


def test_sigterm_waits_for_a_profile_that_is_being_saved(tmp_path: Path) -> None:
    """As a worker gets it that has just begun to end in order. No other file is left over."""
    place = run(
        tmp_path,
        """
def work():
    until(has_samples)
    from spprof._profile import Profile
    save = Profile.save
    def saved(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        save(*arguments)
    Profile.save = saved
    os._exit(0)
assert ended(forked(work)) == -signal.SIGTERM
""",
    )
    found = profiles(place)
    assert len(found) == 2
    assert not any(profile.is_unfinished for profile in found.values())
    assert sum("work" in functions(profile) for profile in found.values()) == 1


def test_a_file_that_was_taken_away_is_written_anew(tmp_path: Path) -> None:
    """And what somebody has put in its place stays."""
    place = run(
        tmp_path,
        """
until(has_samples)
name = mine()
os.unlink(name)
with open(name, "w") as file: file.write("somebody's")
""",
        output="x.spprof",
    )
    assert sorted(os.listdir(place)) == ["x-1.spprof", "x.spprof"]
    assert (place / "x.spprof").read_text() == "somebody's"
    assert not spprof.Profile.load(place / "x-1.spprof").is_unfinished


def test_a_profile_that_can_not_be_saved_at_the_end(tmp_path: Path) -> None:
    """One line says so, and that what has grown until then is there."""
    where = tmp_path / "place" / "x.spprof"
    place = run(
        tmp_path,
        """
until(has_samples)
def refuse(*_, **__): raise OSError(28, "No space left on device")
from spprof._profile import Profile
Profile.save = refuse
print(os.getpid())
""",
        output="x.spprof",
        says_something=True,
    )
    assert os.listdir(place) == ["x.spprof"]
    pid, line = (tmp_path / "said").read_text().splitlines()
    end = f"[Errno 28] No space left on device (as far as it had grown it is in {where})"
    assert line == f"spprof: the profile of process {pid} is not saved: {end}"
    assert spprof.Profile.load(where).is_unfinished


@pytest.mark.parametrize("kind", ["forked", "started"])
def test_run_with_children_that_are_killed(tmp_path: Path, kind: str) -> None:
    """`spprof run --follow-children`: the summary lists them, and says that they are unfinished."""
    start = {
        "forked": "child = forked(by_sigkill)\nassert ended(child) == -9\n",
        "started": "code = open(sys.argv[0]).read().partition('if __name__')[0] + 'by_sigkill()'\n"
        "assert subprocess.run([sys.executable, '-c', code]).returncode == -9\n",
    }[kind]
    place = run(
        tmp_path,
        "def by_sigkill(): until(has_samples); os.kill(os.getpid(), signal.SIGKILL)\nif __name__ == '__main__':\n"
        + "".join(f"    {line}\n" for line in ["until(has_samples)", *start.splitlines()]),
        *("-m", "spprof", "run", "--interval-ms", "1", "--follow-children", "-o", "app.spprof"),
    )
    found = profiles(place)
    (child,) = set(found) - {"app.spprof"}
    assert re.fullmatch(r"app-\d+\.spprof", child)
    assert (found["app.spprof"].is_unfinished, found[child].is_unfinished) == (False, True)
    assert "by_sigkill" in functions(found[child])
    assert "by_sigkill" not in functions(found["app.spprof"])
    assert f"child    {child} (unfinished)\n" in (tmp_path / "said").read_text()


def test_a_command_of_spprofs_leaves_no_file(tmp_path: Path) -> None:
    """Not even one that takes so long that its file would have grown."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        SITE.format(folder=str(PTH.parent)) + "import time\nfrom spprof import _session\nend = time.monotonic() + 40\n"
        "while time.monotonic() < end and _session._current.stream.path is None: sum(range(500))\n"
    )
    env = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])),
        "SPPROF_AUTOSTART": "1",
        "SPPROF_OUTPUT": "%p.spprof",
    }
    result = python("-m", "spprof", "report", "--help", cwd=tmp_path, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert os.listdir(tmp_path) == ["site"]


def test_a_child_that_a_thread_has_forked(tmp_path: Path) -> None:
    """It ends with that thread, in order, and its file is complete."""
    place = run(
        tmp_path,
        """
import threading
until(has_samples)
def work(): until(has_samples)
def fork():
    child = os.fork()
    if child: assert ended(child) == 0
    else: work()
thread = threading.Thread(target=fork)
thread.start()
thread.join()
""",
    )
    found = profiles(place)
    assert len(found) == 2
    assert not any(profile.is_unfinished for profile in found.values())
    assert sum("work" in functions(profile) for profile in found.values()) == 1
