"""Equal samples merged, for formats without the order of time: by thread, stack, state and task."""

from __future__ import annotations

from collections import namedtuple

from .._model import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    from .._base import BaseProfile

    class Merged(NamedTuple):
        thread: int
        node: int
        state: str
        waiting_for: str
        task: str
        samples: int
        weight_ns: int
        cpu_ns: int

else:
    # thread: index into `Profile.threads`; node: of the profile's tree (`StackTree.path`); samples: 0 for losses;
    # cpu_ns: 0 in mode "cpu", where it would be the weight again, and where it is not known.
    Merged = namedtuple("Merged", "thread node state waiting_for task samples weight_ns cpu_ns")


def merged(profile: BaseProfile) -> list[Merged]:
    """All samples and losses of a profile. Their weights add up to the times of its threads.

    In the order of threads, then of stacks as they are sorted frame by frame: equal runs give equal lists.
    """
    from .._aggregate import AggregatedProfile
    from .._profile import Profile

    aggregated = profile.aggregate() if isinstance(profile, Profile) else profile
    assert isinstance(aggregated, AggregatedProfile)
    order = aggregated._sorted_nodes()
    sums: dict[tuple[Any, ...], list[int]] = {}
    if isinstance(profile, Profile) and profile._rows.states is not None:
        _add_rows(profile, sums)
    else:
        cpu = aggregated._cpu_totals or {}
        for key, (count, weight) in aggregated._totals().items():
            sums[(*key, "", "", "")] = [count, weight, cpu.get(key, (0, 0))[1]]
    result = [Merged(*key, *values) for key, values in sums.items()]
    result.extend(_losses(profile))
    result.sort(key=lambda m: (m.thread, order.get(m.node, len(order)), m.node, m.state, m.waiting_for, m.task))
    return result


def _add_rows(profile: Any, sums: dict[tuple[Any, ...], list[int]]) -> None:
    rows, canonical = profile._rows, profile._tree.canonical()
    tasks = rows.tasks if rows.tasks is not None else bytes(len(rows))
    cpu = rows.cpu if rows.cpu is not None else bytes(len(rows))
    by_row: dict[tuple[int, int, int, int], list[int]] = {}
    columns = zip(rows.thread_index, rows.nodes, rows.states, tasks, rows.weights, cpu)
    for thread, node, state, task, weight, cpu_ns in columns:
        key = thread, canonical[node], state, task
        entry = by_row.get(key)
        if entry is None:
            by_row[key] = [1, weight, cpu_ns]
        else:
            entry[0] += 1
            entry[1] += weight
            entry[2] += cpu_ns
    for (thread, node, state, task), entry in by_row.items():
        found = sums.setdefault((thread, node, *STATES[state], rows.task_names[task]), [0, 0, 0])
        for i, value in enumerate(entry):
            found[i] += value


def _losses(profile: BaseProfile) -> list[Merged]:
    result = []
    for index, thread in enumerate(profile.threads):
        sums = profile._losses_by_node(index)
        unsampled = profile._tree.unsampled_node
        cpu_unsampled = thread.cpu_unsampled_ns if profile.mode != "cpu" else 0
        if cpu_unsampled:
            sums.setdefault(unsampled, 0)
        for node, weight in sums.items():
            result.append(Merged(index, node, "", "", "", 0, weight, cpu_unsampled if node == unsampled else 0))
    return result
