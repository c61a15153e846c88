"""`Profile.filter`: a part of a profile, as a profile whose sums are right again.

What lies across the edge of a range of time is divided in proportion, rounded so that ranges that touch add up to the whole.
"""

from __future__ import annotations

import math
from array import array

from .._base import Facts
from .._model import STATES
from .._profile import Profile
from .._rows import Rows
from .._stats import Stats
from .choosing import file_matcher, matcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._model import Loss, ThreadInfo
    from .choosing import Names, Threads

_FOREVER = 2**63
_RUNNING = STATES.index(("running", ""))
_GIL = STATES.index(("waiting for the GIL", ""))
#: What `Sample.state` can be.
_NAMES_OF_STATES = tuple(dict.fromkeys(state for state, _ in STATES))


def filtered(
    profile: Profile,
    thread: Threads | None,
    module: Names | None,
    function: Names | None,
    filename: Names | None,
    time: tuple[float | None, float | None] | None,
    state: Names | None,
    task: Names | None,
) -> Profile:
    """See `Profile.filter`."""
    begin, end = _range(time, profile._facts.duration_ns)
    threads = _threads(profile, thread)
    nodes = _nodes(profile, module, function, filename)
    states = _states(profile, state)
    tasks = None if task is None else [matcher("task", task)(name) for name in profile._rows.task_names]
    kept = _rows(profile, threads, nodes, states, tasks, begin, end)
    with_losses = nodes is None and states is None and tasks is None
    return _rebuilt(profile, threads, kept, begin, end, with_losses)


def _range(time: Any, duration_ns: int) -> tuple[int, int]:
    """The range in nanoseconds; a missing end is beyond everything."""
    if time is None:
        return -_FOREVER, _FOREVER
    try:
        first, last = time
    except (TypeError, ValueError):
        raise TypeError(f"time must be two numbers of seconds (or None), not {time!r}") from None
    for each in (first, last):
        if each is not None and (isinstance(each, bool) or not isinstance(each, (int, float))):
            raise TypeError(f"time must be two numbers of seconds (or None), not {time!r}")
        if each is not None and math.isnan(each):
            raise ValueError("time must not be NaN")
    begin = -_FOREVER if first is None or first <= 0 else round(min(first, 9e9) * 1e9)
    end = _FOREVER if last is None or last * 1e9 >= duration_ns else round(max(last, 0) * 1e9)
    if last is not None and first is not None and last <= first:
        raise ValueError(f"time must end after it begins, not ({first!r}, {last!r})")
    return begin, end


def _threads(profile: Profile, wanted: Threads | None) -> list[bool]:
    if wanted is None:
        return [True] * len(profile.threads)
    chosen = [wanted] if isinstance(wanted, (str, int)) else list(wanted)
    for each in chosen:
        if isinstance(each, bool) or not isinstance(each, (str, int)):
            raise TypeError(f"thread must be a name or an id, or several of them, not {type(each).__name__}")
    if not chosen:
        raise ValueError("thread: no name is given")
    ids = {each for each in chosen if isinstance(each, int)}
    names = [each for each in chosen if isinstance(each, str)]
    fits = matcher("thread", names) if names else lambda _: False
    labels = profile._thread_labels()
    return [info.thread_id in ids or fits(info.name) or fits(label) for info, label in zip(profile.threads, labels)]


def _nodes(profile: Profile, module: Names | None, function: Names | None, filename: Names | None) -> bytearray | None:
    """By node whether its stack has all that is wanted somewhere; None if nothing is."""
    tests: list[Callable[[Any], bool]] = []
    if module is not None:
        of_module = matcher("module", module, parts=".")
        tests.append(lambda frame: of_module(frame.module))
    if function is not None:
        of_function = matcher("function", function)
        tests.append(lambda f: of_function(f.function_name) or of_function(f.function_name.rpartition(".")[2]))
    if filename is not None:
        of_file = file_matcher(filename)
        tests.append(lambda frame: of_file(frame.filename))
    if not tests:
        return None
    tree = profile._tree
    result = bytearray(b"\x01") * len(tree)
    for test in tests:
        fits = [test(frame) for frame in tree.frames]
        found = bytearray(len(tree))
        for node in range(1, len(tree)):
            found[node] = found[tree.parent_of[node]] or fits[tree.frame_of[node]]
            result[node] &= found[node]
        result[0] = 0
    return result


def _states(profile: Profile, wanted: Names | None) -> list[bool] | None:
    """By number of a state whether it is wanted."""
    if wanted is None:
        return None
    fits = matcher("state", wanted)
    known = (*_NAMES_OF_STATES, "")
    for each in [wanted] if isinstance(wanted, str) else list(wanted):
        if not any(map(matcher("state", each), known)):
            raise ValueError(f"unknown state {each!r}; states are {', '.join(map(repr, _NAMES_OF_STATES))}")
    if profile._rows.states is None:
        return [fits("running" if profile.mode == "cpu" else "")] * len(STATES)
    return [fits(state) for state, _ in STATES]


class _Kept:
    """The rows that are left, and what they come to by thread."""

    def __init__(self, threads: int) -> None:
        self.rows: list[int] = []
        self.weights: array[int] = array("q")
        self.cpu: array[int] = array("q")
        self.times: array[int] = array("q")
        self.sampled = [0] * threads
        self.cpu_ns = [0] * threads
        self.samples = [0] * threads
        self.by_state = [[0, 0, 0] for _ in range(threads)]


def _rows(
    profile: Profile,
    threads: list[bool],
    nodes: bytearray | None,
    states: list[bool] | None,
    tasks: list[bool] | None,
    begin: int,
    end: int,
) -> _Kept:
    rows = profile._rows
    kept = _Kept(len(threads))
    count = len(rows)
    # A sample of a running thread stands for the time before it; any other begins with it (see `Sample.timestamp_ns`).
    row_states = rows.states if rows.states is not None else bytes(count)
    row_tasks = rows.tasks if rows.tasks is not None else bytes(count)
    row_cpu = rows.cpu if rows.cpu is not None else bytes(count)
    columns = zip(rows.thread_index, rows.nodes, row_states, row_tasks, rows.times, rows.weights, row_cpu)
    for row, (thread, node, state, task, at, amount, cpu_amount) in enumerate(columns):
        if not threads[thread] or (nodes is not None and not nodes[node]):
            continue
        if (states is not None and not states[state]) or (tasks is not None and not tasks[task]):
            continue
        time, weight, cpu = at, amount, cpu_amount
        if state == _RUNNING:
            if not begin <= at < end:
                continue
        elif at < begin or at + amount > end:
            if at >= end or at + max(amount, 1) <= begin:
                continue
            cpu = part(cpu_amount, at, at + amount, begin, end)
            weight, time = part(amount, at, at + amount, begin, end), max(at, begin)
        kept.rows.append(row)
        kept.weights.append(weight)
        kept.times.append(time)
        kept.cpu.append(cpu)
        kept.sampled[thread] += weight
        kept.cpu_ns[thread] += cpu
        kept.samples[thread] += 1
        kept.by_state[thread][0 if state == _RUNNING else 1 if state == _GIL else 2] += weight
    return kept


def part(amount: int, start: int, stop: int, begin: int, end: int) -> int:
    """What of *amount*, spread evenly from *start* to *stop*, is in the range from *begin* to before *end*."""
    length = stop - start
    if length <= 0:
        return amount if begin <= start < end else 0
    before, until = (amount * (min(max(at, start), stop) - start) // length for at in (begin, end))
    return until - before


def _rebuilt(profile: Profile, threads: list[bool], kept: _Kept, begin: int, end: int, with_losses: bool) -> Profile:
    facts, rows = profile._facts, profile._rows
    infos: list[ThreadInfo] = []
    losses: list[Loss] = []
    new_index: dict[int, int] = {}
    for index, info in enumerate(profile.threads):
        if not threads[index] or not (with_losses or kept.samples[index]):
            continue
        new_index[index] = len(infos)
        dropped = unsampled = dropped_count = cpu_unsampled = 0
        if with_losses:
            last = facts.duration_ns if info.end_ns is None else info.end_ns
            dated, dropped, unsampled, dropped_count = _losses(profile, index, last, begin, end)
            losses.extend([loss._replace(thread_index=len(infos)) for loss in dated])
            cpu_unsampled = part(info.cpu_unsampled_ns, info.start_ns, last, begin, end)
        time = kept.sampled[index] + dropped + unsampled
        running, gil_wait, sleeping = kept.by_state[index] if rows.states is not None else (0, 0, 0)
        is_whole = kept.sampled[index] == info.sampled_ns and time == info.time_ns
        if facts.mode == "cpu":
            cpu, running, gil_wait, sleeping = time, 0, 0, 0
        elif rows.cpu is None:
            cpu = info.cpu_ns if is_whole else 0  # not known of single samples
        else:
            cpu = kept.cpu_ns[index] + cpu_unsampled
        infos.append(info._replace(
            cpu_ns=cpu, sampled_ns=kept.sampled[index], unsampled_ns=unsampled, dropped_ns=dropped,
            samples=kept.samples[index], dropped=dropped_count, running_ns=running, gil_wait_ns=gil_wait,
            sleeping_ns=sleeping, cpu_unsampled_ns=cpu_unsampled,
            wall_ns=info.wall_ns if is_whole or facts.mode == "cpu" else time,
        ))  # fmt: skip
    taken = kept.rows
    new_rows = Rows(
        kept.times, kept.weights, array("I", [rows.nodes[row] for row in taken]),
        array("I", [new_index[rows.thread_index[row]] for row in taken]),
        None if rows.cpu is None else kept.cpu,
        None if rows.states is None else array("B", [rows.states[row] for row in taken]),
        None if rows.tasks is None else array("I", [rows.tasks[row] for row in taken]), rows.task_names,
    )  # fmt: skip
    return Profile(_facts(profile, infos, losses), profile._tree, _sorted(new_rows), profile._code)


def _losses(profile: Profile, index: int, thread_end: int, begin: int, end: int) -> tuple[list[Loss], int, int, int]:
    """The losses of a thread in a range, and their sums: dropped, unsampled, number dropped."""
    info = profile.threads[index]
    mine = profile._losses_of(index)
    sums = {"dropped": info.dropped_ns, "unsampled": info.unsampled_ns}
    result, totals = [], {"dropped": 0, "unsampled": 0}
    undated = info.dropped - sum([loss.count for loss in mine])
    number = part(max(undated, 0), info.start_ns, thread_end, begin, end)
    for kind, total in sums.items():
        dated = [loss for loss in mine if loss.kind == kind]
        rest = total - sum([loss.weight_ns for loss in dated])
        if rest < 0:  # the sums are the truth
            dated, rest = [], total
        for loss in dated:
            weight = part(loss.weight_ns, loss.start_ns, loss.end_ns, begin, end)
            count = part(loss.count, loss.start_ns, loss.end_ns, begin, end)
            totals[kind] += weight
            number += count
            if weight or count:
                start, stop = max(loss.start_ns, begin), min(loss.end_ns, end)
                result.append(loss._replace(start_ns=start, end_ns=stop, count=count, weight_ns=weight))
        # Time that was lost nobody knows when is spread over the thread's life.
        totals[kind] += part(rest, info.start_ns, thread_end, begin, end)
    return result, totals["dropped"], totals["unsampled"], number


def _facts(profile: Profile, infos: list[ThreadInfo], losses: list[Loss]) -> Facts:
    facts = profile._facts
    values = {name: getattr(facts, name) for name in Facts.__slots__}
    cpu = sum([info.cpu_ns for info in infos])
    stats = Stats({
        **facts.stats.to_dict(), "collected": sum([i.samples for i in infos]), "dropped": sum([i.dropped for i in infos]),
        "cpu_ns": cpu, "unsampled_ns": sum([i.unsampled_ns for i in infos]), "dropped_ns": sum([i.dropped_ns for i in infos]),
        "threads_seen": len(infos), "threads_live": sum([i.end_ns is None for i in infos]),
    })  # fmt: skip
    values.update(cpu_time_ns=cpu, stats=stats, threads=tuple(infos), losses=tuple(losses))
    return Facts(**values)


def _sorted(rows: Rows) -> Rows:
    """The same rows in the order of time: sleeps that were cut off begin where the range does."""
    times = rows.times
    if all(a <= b for a, b in zip(times, times[1:])):
        return rows
    return reordered(rows, sorted(range(len(times)), key=times.__getitem__))


def reordered(rows: Rows, order: list[int]) -> Rows:
    """The rows with these numbers, in this order."""

    def column(name: str, code: str) -> Any:
        values = getattr(rows, name)
        return None if values is None else array(code, [values[row] for row in order])

    return Rows(
        column("times", "q"), column("weights", "q"), column("nodes", "I"), column("thread_index", "I"),
        column("cpu", "q"), column("states", "B"), column("tasks", "I"), rows.task_names,
    )  # fmt: skip
