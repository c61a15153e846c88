"""Where rivals live: a virtual environment each, in a cache folder, made when first asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path


class NotHereError(Exception):
    """A profiler can't be had or does not run here; the text says why."""


def cache_folder() -> Path:
    """``SPPROF_BENCH_CACHE``, or a folder of the user's cache."""
    own = os.environ.get("SPPROF_BENCH_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spprof-bench"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["no message"])[-1][:160]


def base_interpreter() -> str:
    """The interpreter that this one's environment was made from."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def environment(name: str, requirements: tuple[str, ...], check: tuple[str, ...]) -> Path:
    """The folder of *name*'s environment, with the first of *requirements* whose *check* passes.

    *check* is a command, its first word the name of a program in the environment; it must end with 0. `NotHereError` if none of
    them works; the folder remembers that, for a run that is continued. To try again remove the folder.
    """
    folder = cache_folder() / f"{name}-{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"
    ready, refused = folder / "ready", folder / "refused"
    if ready.exists():
        return folder
    if refused.exists():
        raise NotHereError(refused.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([base_interpreter(), "-m", "venv", "--clear", str(folder)], check=True)
    reasons = []
    for requirement in requirements:
        done = subprocess.run(
            [str(folder / "bin/python"), "-m", "pip", "install", "-q", "--prefer-binary", requirement],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if done.returncode != 0:
            reasons.append(f"{requirement} can't be installed: {_last_line(done.stderr)}")
            continue
        try:
            program = subprocess.run(
                [str(folder / "bin" / check[0]), *check[1:]], capture_output=True, text=True, check=False, timeout=60
            )
        except subprocess.TimeoutExpired:
            reasons.append(f"{requirement} does not run: no answer within a minute")
            continue
        if program.returncode == 0:
            ready.write_text(time.strftime("%Y-%m-%d\n"))
            return folder
        reasons.append(f"{requirement} does not run: {_last_line(program.stderr + program.stdout)}")
    refused.write_text("; ".join(reasons))
    raise NotHereError("; ".join(reasons))


def version(folder: Path, package: str) -> str:
    """Of a package in an environment."""
    done = subprocess.run(
        [
            str(folder / "bin/python"),
            "-c",
            "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))",
            package,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def forget(name: str) -> None:
    """Removes an environment, so that it is made anew."""
    for folder in cache_folder().glob(f"{name}-*"):
        shutil.rmtree(folder)
