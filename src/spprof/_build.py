"""From what the sampler hands over to a `Profile`."""

from __future__ import annotations

import os
import sys

from ._base import Facts
from ._code import code_of
from ._model import Frame, Loss, ThreadInfo
from ._profile import Profile
from ._rows import Rows
from ._stats import Stats
from ._tree import StackTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_THREAD_FIELDS = ThreadInfo._fields  # the sampler uses the same names

_platform_name: str | None = None


def profile_from(raw: dict[str, Any]) -> Profile:
    """A `Profile` of what ``collect()`` returned. The columns are used as they are, not copied."""
    rows: list[tuple[Any, ...]] = raw["frames"]
    modules = module_names({row[1] for row in rows})
    frames = [
        Frame(name, file, line, native, modules.get(file, ""), column, end_line, end_column, first_line, *suspended)
        for name, file, line, column, end_line, end_column, native, first_line, *suspended in rows
    ]
    stats = Stats(raw["stats"])
    threads = tuple([ThreadInfo(*[thread.get(field, 0) for field in _THREAD_FIELDS]) for thread in raw["threads"]])
    mode = stats.mode or "cpu"
    facts = Facts(
        # Without the extension only the process' clock has the CPU time of threads that have ended.
        cpu_time_ns=sum(thread.cpu_ns for thread in threads) if mode == "cpu" or "walls" in raw else stats.cpu_ns,
        duration_ns=raw["duration_ns"],
        interval_ns=raw["interval_ns"],
        losses=tuple([Loss(*loss) for loss in raw["losses"]]),
        mode=mode,
        platform=platform_name(),
        program=program_name(),
        python_version=sys.version.split()[0],
        start_time=raw["start_time"],
        stats=stats,
        threads=threads,
    )
    tree = StackTree(frames, raw["node_parent"], raw["node_frame"])
    weights, cpu, states = raw["weights"], None, None
    if mode != "cpu" and "walls" in raw:
        weights, cpu, states = raw["walls"], raw["weights"], raw["states"]
    return Profile(
        facts,
        tree,
        Rows(
            raw["times"],
            weights,
            raw["nodes"],
            raw["thread_index"],
            cpu,
            states,
            raw.get("tasks"),
            raw.get("task_names"),
        ),
        code_of(raw) if "native_frames" in raw else None,
    )


def module_names(filenames: Iterable[str]) -> dict[str, str]:
    """Names of the modules that were loaded from these files, as far as there are any now.

    The program's own script is ``__main__``, also if it was imported under its own name as well.
    """
    by_file: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        # Straight from the dictionary: a lazy module's __getattr__ may import half the world, or raise anything.
        try:
            file = object.__getattribute__(module, "__dict__").get("__file__")
        except Exception:  # noqa: BLE001, S112  # whatever it is, it is no module with a file
            continue
        if isinstance(file, str) and (name == "__main__" or file not in by_file):
            by_file[file] = name
    result: dict[str, str] = {}
    for filename in filenames:
        if filename.startswith("<frozen ") and filename.endswith(">"):
            result[filename] = filename[8:-1]
        else:
            found = by_file.get(filename)
            if found is None and filename and not filename.startswith("<"):
                found = by_file.get(os.path.abspath(filename))
            result[filename] = found or ""
    return result


def platform_name() -> str:
    """Like ``platform.platform()``, which reads the interpreter's file and imports a lot to say little more."""
    global _platform_name
    if _platform_name is None:
        # Asked once: uname() lets go of the GIL, and a program that starts and stops the profiler in a loop, with a few
        # such moments a millisecond and nothing else, keeps the GIL from its other threads for tenths of seconds.
        try:
            system = os.uname()
            _platform_name = f"{system.sysname}-{system.release}-{system.machine}"
        except AttributeError:  # not a Unix
            _platform_name = sys.platform
    return _platform_name


def program_name() -> str:
    argv = getattr(sys, "argv", None)
    return os.path.basename(str(argv[0])) if argv else ""
