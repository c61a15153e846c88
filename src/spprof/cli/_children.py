"""`spprof run --follow-children`: what makes the processes below the program profile themselves, and what they have written."""

from __future__ import annotations

import os
import sys

from . import _settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spprof.cli._request import Request

PTH = "spprof-autostart.pth"
_FOLLOW = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_follow")
_SHOWN = 8


def pattern_beside(path: str) -> str:
    """The pattern by which files of children are named, for a profile of the program itself in *path*."""
    from ._unused import divided

    stem, ending = divided(path)
    return f"{_settings.escaped(stem)}-%p{_settings.escaped(ending)}"


def follow(request: Request) -> None:
    """Changes the environment, so that processes started from now on are profiled. Called before the program."""
    output, format = request.outputs[0]
    settings = _settings.Settings(
        interval_ms=request.interval_ms,
        memory_limit_mb=request.memory_limit_mb,
        mode=request.mode,
        asyncio=request.asyncio,
        native=request.native,
        output=pattern_beside(output),
        format=format,
    )
    for name in [name for name in os.environ if name in _settings.VARIABLES]:
        del os.environ[name]  # an outer setting is not ours
    os.environ.update(_settings.to_environment(settings))
    if not pth_is_installed():
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_FOLLOW, os.environ.get("PYTHONPATH")]))
    from . import _autostart

    _autostart.watch(settings)


def pth_is_installed() -> bool:
    """Whether interpreters that start in the same environment find the start-up file of this installation."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(_FOLLOW)))
    if not os.path.exists(os.path.join(home, PTH)):
        return False
    import site

    folders = [*site.getsitepackages(), site.getusersitepackages()] if hasattr(site, "getsitepackages") else []
    return os.path.realpath(home) in map(os.path.realpath, folders) and not sys.flags.no_site


def files(request: Request) -> set[str]:
    """The files that are there and have the names of children's profiles."""
    from ._unused import divided

    folder, name = os.path.split(request.outputs[0].path)
    stem, ending = divided(name)
    try:
        names = os.listdir(folder)
    except OSError:
        return set()
    mine = {n for n in names if n.startswith(stem + "-") and n.endswith(ending)}
    numbers = {n: n[len(stem) + 1 : len(n) - len(ending)].split("-") for n in mine}
    return {os.path.join(folder, n) for n in mine if numbers[n] and all(part.isdigit() for part in numbers[n])}


def lines(new: set[str]) -> list[str]:
    """What the summary says of the files *new*."""
    from ._terminal import short_path

    if not new:
        return ["children no process below the program has saved a profile"]
    paths = sorted(new, key=lambda path: (len(path), path))
    shown = [f"child    {short_path(path)}{_state(path)}" for path in paths[:_SHOWN]]
    left = len(paths) - len(shown)
    return [*shown, f"         and {left} more"] if left > 0 else shown


def _state(path: str) -> str:
    """What is to be said of the file: nothing, if it is complete."""
    from spprof.reading.spprof import is_growing

    return " (unfinished)" if is_growing(path) else ""
