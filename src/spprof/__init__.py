"""spprof: a sampling profiler for CPython that is right about names, lines, threads and time.

import spprof

with spprof.Profiler() as p:
    do_work()
p.profile.save("profile.svg")
"""

from __future__ import annotations

from ._backend import has_native as _HAS_NATIVE  # noqa: N812
from ._backend import native as _native
from ._scoped import Profiler, profile
from ._session import is_active, start, stats, stop
from ._threads import ThreadProfiler, register_thread, unregister_thread
from ._unwinding import (
    capture_native_stack,
    native_unwinding_available,
    native_unwinding_enabled,
    set_native_unwinding,
)
from ._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._aggregate import AggregatedProfile, StackCount
    from ._analysis.calltree import CallNode
    from ._analysis.difference import FunctionChange, LineChange, ProfileDiff
    from ._analysis.evidence import ShareChange
    from ._analysis.merging import merge_profiles
    from ._analysis.tables import Calls, CallSummary, FileLines, LineSummary, TopFunctions
    from ._errors import ProfileFileError
    from ._functions import FunctionSummary
    from ._model import Frame, Loss, Sample, ThreadInfo
    from ._profile import Profile
    from ._stats import Stats
    from ._task_summary import TaskSummary, TaskWait

__all__ = [
    "_HAS_NATIVE",
    "AggregatedProfile",
    "CallNode",
    "CallSummary",
    "Calls",
    "FileLines",
    "Frame",
    "FunctionChange",
    "FunctionSummary",
    "LineChange",
    "LineSummary",
    "Loss",
    "Profile",
    "ProfileDiff",
    "ProfileFileError",
    "Profiler",
    "Sample",
    "ShareChange",
    "StackCount",
    "Stats",
    "TaskSummary",
    "TaskWait",
    "ThreadInfo",
    "ThreadProfiler",
    "TopFunctions",
    "__version__",
    "_native",
    "capture_native_stack",
    "is_active",
    "merge_profiles",
    "native_unwinding_available",
    "native_unwinding_enabled",
    "profile",
    "register_thread",
    "set_native_unwinding",
    "start",
    "stats",
    "stop",
    "unregister_thread",
]

# What a program that is not being profiled never needs: loaded by start(), or when asked for.
_LATER = {
    "AggregatedProfile": "_aggregate",
    "Frame": "_model",
    "FunctionSummary": "_functions",
    "Loss": "_model",
    "Profile": "_profile",
    "ProfileFileError": "_errors",
    "Sample": "_model",
    "StackCount": "_aggregate",
    "Stats": "_stats",
    "TaskSummary": "_task_summary",
    "TaskWait": "_task_summary",
    "ThreadInfo": "_model",
    "CallNode": "_analysis.calltree",
    "CallSummary": "_analysis.tables",
    "Calls": "_analysis.tables",
    "FileLines": "_analysis.tables",
    "FunctionChange": "_analysis.difference",
    "LineChange": "_analysis.difference",
    "LineSummary": "_analysis.tables",
    "ProfileDiff": "_analysis.difference",
    "ShareChange": "_analysis.evidence",
    "TopFunctions": "_analysis.tables",
    "merge_profiles": "_analysis.merging",
    "load_ipython_extension": "_magics",
    "unload_ipython_extension": "_magics",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
