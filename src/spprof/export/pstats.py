"""The file that Python's own profilers write (`cProfile`, `Profile.dump_stats`), for `pstats` and what reads it.

Its times are seconds. A sampler sees no calls: in the place of their numbers are numbers of samples, those in which the
function was on the stack ("ncalls"). Threads are added up, states of elapsed time are left out; losses are functions called
``[dropped]`` and ``[unsampled]``, so the total is that of the profile.
"""

from __future__ import annotations

import marshal

from ._merged import merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._base import BaseProfile
    from .._model import Frame


def render(profile: BaseProfile) -> Iterator[bytes]:
    """The file."""
    functions = [_key(frame) for frame in profile._tree.frames]
    own: dict[Any, int] = {}
    total: dict[Any, int] = {}
    samples: dict[Any, int] = {}
    called: dict[Any, dict[Any, list[int]]] = {}
    for each in merged(profile):
        path = [functions[index] for index in profile._tree.path(each.node)]
        if not path or not each.weight_ns:
            continue
        leaf = path[-1]
        own[leaf] = own.get(leaf, 0) + each.weight_ns
        for function in set(path):  # a recursive one counts once
            total[function] = total.get(function, 0) + each.weight_ns
            samples[function] = samples.get(function, 0) + each.samples
        for caller, callee in set(zip(path, path[1:])):
            entry = called.setdefault(callee, {}).setdefault(caller, [0, 0, 0])
            entry[0] += each.samples
            entry[2] += each.weight_ns
        if len(path) > 1:
            called[leaf][path[-2]][1] += each.weight_ns
    table = {}
    for function in sorted(total):
        callers = {
            caller: (count, count, tt / 1e9, ct / 1e9)
            for caller, (count, tt, ct) in sorted(called.get(function, {}).items())
        }
        count = samples[function]
        table[function] = (count, count, own.get(function, 0) / 1e9, total[function] / 1e9, callers)
    # Version 2 of marshal: without references, so that equal profiles give equal bytes.
    yield marshal.dumps(table, 2)


def _key(frame: Frame) -> tuple[str, int, str]:
    if not frame.filename:
        return "~", 0, frame.function_name
    return frame.filename, frame.firstlineno, frame.function_name
