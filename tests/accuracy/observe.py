"""Runs cases in children of their own and keeps what they report: one run serves several questions."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import spprof

HERE = Path(__file__).resolve().parent
NOBODY = 65534
SOURCES = ("perf", "thread", "timer")


class Observation:
    """What one run knew (`truth`, `threads`) and what spprof found."""

    def __init__(self, request: dict[str, Any], report: dict[str, Any]) -> None:
        self.request = request
        self.truth: dict[str, int] = report["truth"]
        self.found: dict[str, int] = report["found"]
        self.effective: float = report["effective"]
        self.threads: dict[str, int] = report["threads"]
        self.around_ns: int = report["around_ns"]  # what start() and stop() took, of which the profile may have a part
        self.seen: list[dict[str, Any]] = report["seen"]
        self.weights_match: bool = report["weights_match"]
        self.process_ns: int = report["process_ns"]
        self.cpu_ns: int = report["cpu_ns"]
        self.losses_ns: int = report["losses_ns"]
        self.native_ns: int = report["native"]
        self.stats: dict[str, Any] = report["stats"]
        self.crowded: bool = report["crowded"]

    def __str__(self) -> str:
        stats = self.stats
        return (
            f"{self.request}: {stats['tick_source']}, {stats['collected']} samples (effective {self.effective:.0f}), "
            f"{stats['ticks']} ticks, {stats['overruns']} overruns, {stats['dropped']} dropped, "
            f"{stats['cpu_ns'] / 1e9:.3f} s of CPU, {stats['unsampled_ns'] / 1e9:.4f} s unsampled"
            f"{', crowded machine' if self.crowded else ''}; truth {self.truth}, found {self.found}"
        )


def is_root() -> bool:
    """Whether tests can become somebody else."""
    return os.geteuid() == 0


def usable(source: str) -> bool:
    """Whether this process is granted a tick source."""
    return bool(spprof._native.tick_sources()[source][0])


def paranoid() -> int:
    """kernel.perf_event_paranoid; 2, the kernel's own default, where it can't be read."""
    try:
        return int(Path("/proc/sys/kernel/perf_event_paranoid").read_text())
    except (OSError, ValueError):
        return 2


@functools.cache
def c_helper() -> str | None:
    """The library whose threads never run Python, built now; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    folder = tempfile.mkdtemp(prefix="spprof-accuracy-")
    library = os.path.join(folder, "cthreads.so")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-pthread", "-o", library, str(HERE / "cthreads.c")], check=True
    )
    return library


@functools.cache
def observe(
    case: str,
    interval_ms: float = 1,
    cpu_ms: int = 3000,
    source: str | None = None,
    user: int | None = None,
    cpus: tuple[int, ...] | None = None,
    attempt: int = 0,
) -> Observation:
    """*source* None: spprof's own choice. *user*: whom the child becomes. *attempt*: asks for a run of its own."""
    request: dict[str, Any] = {"case": case, "interval_ms": interval_ms, "cpu_ms": cpu_ms}
    if user is not None:
        request["user"] = user
    if cpus is not None:
        request["cpus"] = list(cpus)
    if case == "C threads":
        request["helper"] = c_helper()
    env = {name: value for name, value in os.environ.items() if name != "SPPROF_TICK"}
    if source is not None:
        env["SPPROF_TICK"] = source
    done = subprocess.run(
        [sys.executable, str(HERE / "child.py"), json.dumps(request)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{request} ended with {done.returncode}:\n{done.stderr}"
    return Observation({**request, "source": source}, json.loads(done.stdout))


ATTEMPTS = 3


def observe_fairly(case: str, **options: Any) -> Observation:
    """`observe`, and again if the tick came from the thread source while other processes kept the machine busy.

    That source looks at the program from a thread of its own. Where that thread has to wait for a processor, it looks
    when the scheduler lets it, which is not at random; docs/benchmarks.md has figures.
    """
    for attempt in range(ATTEMPTS):
        observation = observe(case, attempt=attempt, **options)
        if not observation.crowded or observation.stats["tick_source"] != "thread":
            return observation
    pytest.skip("other processes keep the machine busy: the thread source is not at its best, and not judged")


class Asker(NamedTuple):
    """Who samples, and with what."""

    name: str
    source: str | None = None
    user: int | None = None


ASKERS = {
    "default": Asker("default"),
    "nobody": Asker("nobody", user=NOBODY),
    "perf": Asker("perf", source="perf"),
    "thread": Asker("thread", source="thread"),
    "timer": Asker("timer", source="timer"),
}


def askers(*names: str, quick: tuple[str, ...] = ("default",)) -> Any:
    """Parametrises a test with *asker*; all but the *quick* ones are slow tests: together they take minutes."""
    return pytest.mark.parametrize(
        "asker", [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]
    )


def options_of(name: str) -> dict[str, Any]:
    """What `observe` needs for an asker; skips the test where that can't be had."""
    asker = ASKERS[name]
    if asker.user is not None and not is_root():
        if paranoid() <= 1:
            pytest.skip("only root can become somebody else")
        return {}  # is nobody in particular already
    if asker.source is not None and not usable(asker.source):
        pytest.skip(f"no {asker.source} source here")
    return {"source": asker.source, "user": asker.user}
