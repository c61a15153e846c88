"""What the environment asks of a process that starts by itself: `SPPROF_AUTOSTART=1` and the variables beside it.

Read before the program's first line, so nothing heavy may be imported here.
"""

from __future__ import annotations

import os
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NamedTuple

    class Settings(NamedTuple):
        interval_ms: float
        memory_limit_mb: float
        mode: str | None
        asyncio: bool
        native: bool | str | None
        output: str
        format: str | None

else:
    # As for `spprof.start`; *output* is an absolute path, with % signs that stand for something, see `file_name`;
    # *format* None: by its ending.
    Settings = namedtuple("Settings", "interval_ms memory_limit_mb mode asyncio native output format")

AUTOSTART = "SPPROF_AUTOSTART"
OUTPUT = "SPPROF_OUTPUT"
VARIABLES = (
    AUTOSTART,
    OUTPUT,
    "SPPROF_INTERVAL_MS",
    "SPPROF_MEMORY_LIMIT_MB",
    "SPPROF_MODE",
    "SPPROF_ASYNCIO",
    "SPPROF_NATIVE",
    "SPPROF_FORMAT",
)
DEFAULT_OUTPUT = "%n-%t-%p.speedscope.json"
_SIGNS = "%p (process id), %n (name of the program), %t (date and time), %h (host), %% (a percent sign)"
_SWITCH = {"0": False, "1": True}


def from_environment(environ: Mapping[str, str]) -> Settings | None:
    """The settings; None if nothing is to be started. Raises ValueError with the one line for the user."""
    if not _switch(environ, AUTOSTART, False):
        return None
    pattern = environ.get(OUTPUT) or DEFAULT_OUTPUT
    file_name(pattern, 0, "", "", "")
    native = environ.get("SPPROF_NATIVE", "")
    return Settings(
        interval_ms=_number(environ, "SPPROF_INTERVAL_MS", 10.0),
        memory_limit_mb=_number(environ, "SPPROF_MEMORY_LIMIT_MB", 100.0),
        mode=environ.get("SPPROF_MODE") or None,
        asyncio=_switch(environ, "SPPROF_ASYNCIO", True),
        native="all" if native == "all" else _switch(environ, "SPPROF_NATIVE", False, ", or all"),
        output=os.path.join(escaped(os.getcwd()), pattern),
        format=environ.get("SPPROF_FORMAT") or None,
    )


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that say *settings*."""
    variables = {
        AUTOSTART: "1",
        OUTPUT: settings.output,
        "SPPROF_INTERVAL_MS": f"{settings.interval_ms:.9g}",
        "SPPROF_MEMORY_LIMIT_MB": f"{settings.memory_limit_mb:.9g}",
        "SPPROF_MODE": settings.mode or "",
        "SPPROF_ASYNCIO": str(int(settings.asyncio)),
        "SPPROF_NATIVE": "all" if settings.native == "all" else str(int(bool(settings.native))),
        "SPPROF_FORMAT": settings.format or "",
    }
    return {name: value for name, value in variables.items() if value}


def file_name(pattern: str, pid: int, name: str, time: str, host: str) -> str:
    """*pattern* with its signs replaced. Raises ValueError for one that is not known."""
    first, *parts = pattern.split("%")
    text = [first]
    parts_left = iter(parts)
    for part in parts_left:
        if part == "":  # two in a row: what follows the second is text
            following = next(parts_left, None)
            if following is None:
                raise ValueError(f"{OUTPUT}={pattern!r} ends with a single %; known are {_SIGNS}")
            text.append("%" + following)
            continue
        values = {"p": str(pid), "n": name, "t": time, "h": host}
        if part[0] not in values:
            raise ValueError(f"{OUTPUT}={pattern!r}: %{part[0]} stands for nothing; known are {_SIGNS}")
        text.append(values[part[0]] + part[1:])
    return "".join(text)


def escaped(path: str) -> str:
    """*path* as a pattern that stands for itself."""
    return path.replace("%", "%%")


def program_name() -> str:
    """What the process runs, as a part of a file's name: script or module, without folders and ending."""
    from . import _interpreter

    _, letter, word = _interpreter.divide(_interpreter.original_arguments())
    if letter == "c":
        return "command"
    if letter == "m":
        return word.replace(os.sep, "_") or "module"
    if not letter:
        return "stdin"
    stem = os.path.basename(os.path.abspath(word))
    base, ending = os.path.splitext(stem)
    return (base if ending in (".py", ".pyw", ".pyc", ".pyz", ".zip") else stem) or "program"


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    try:
        return float(text) if text else default
    except ValueError:
        raise ValueError(f"{name} must be a number, not {text!r}") from None


def _switch(environ: Mapping[str, str], name: str, default: bool, more: str = "") -> bool:
    text = environ.get(name, "")
    if text and text not in _SWITCH:
        raise ValueError(f"{name} must be 0 or 1{more}, not {text!r}")
    return _SWITCH.get(text, default)
