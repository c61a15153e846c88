"""Starting the laboratories' children."""

from __future__ import annotations

import os
import signal
import subprocess

from bench.rivals.places import NotHereError

#: A run that takes longer than this is given up.
PATIENCE_S = 150


def environment() -> dict[str, str]:
    """For all children: nothing of this process' own that would change what they do."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SPPROF_", "PYTHONPROFILE"))}


def command_line(command: list[str], env: dict[str, str], tries: int = 1) -> int:
    """Runs it to its end, so often if it fails; the number of tries. `NotHereError` says what went wrong."""
    for attempt in range(1, tries + 1):
        try:
            _once(command, env)
        except NotHereError:
            if attempt == tries:
                raise
        else:
            break
    return attempt


def _once(command: list[str], env: dict[str, str]) -> None:
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children too, or the pipe stays open
        process.communicate()
        raise NotHereError(f"did not end within {PATIENCE_S} s") from None
    if process.returncode != 0:
        lines = [line.strip() for line in errors.splitlines() if line.strip()] or ["no message"]
        raise NotHereError(f"ended with {process.returncode}: {lines[-1][:160]}")
