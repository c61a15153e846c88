"""Starting interpreters from tests: most of what spprof promises can only be seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Result = subprocess.CompletedProcess[str]


def environment(extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process' environment with *extra* (None: unset), without what pytest or a user may have put there."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTEST_") and name not in ("NO_COLOR", "FORCE_COLOR", "PYTHON_COLORS", "SPPROF_TICK")
    }
    for name, value in (extra or {}).items():
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    return variables


def python(
    *arguments: str | Path,
    cwd: str | Path | None = None,
    env: Mapping[str, str | None] | None = None,
    input: str | None = None,
    timeout: float = 60,
    **options: Any,
) -> Result:
    """Runs this interpreter with *arguments* to its end."""
    if input is None:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        input=input,
        timeout=timeout,
        text=True,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        check=False,
        **options,
    )


def spprof(*arguments: str | Path, **options: Any) -> Result:
    """Runs the command line with *arguments*."""
    return python("-m", "spprof", *arguments, **options)


def start(*arguments: str | Path, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """Starts this interpreter with *arguments* and pipes, for tests that talk to it."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
