"""`merge_profiles`: several profiles as one, as if their threads had been seen by one session."""

from __future__ import annotations

from array import array

from .._base import Facts
from .._code import NO_OBJECT, MachineCode
from .._profile import Profile
from .._rows import Rows
from .._stats import Stats
from .._tree import StackTree
from .filtering import reordered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .._code import CodeObject, Place
    from .._model import Frame, Loss, ThreadInfo

_NOT_SUMS = ("interval_ns", "duration_ns", "kernel_hz", "memory_limit")


def merge_profiles(profiles: Iterable[Profile]) -> Profile:
    """One profile with the samples, threads and losses of several: parts of one program, or many runs of it.

    Weights stay what they are, so all sums are the sums of the profiles'. Each thread stays a thread of its own, also where
    names are equal. Sessions that ran at the same time (forked workers) keep their places in time; of others the times all
    count from the start of their own.

    profiles: of the same mode ("cpu", "wall" or "gil").

    Raises ValueError if there is none, or if modes differ; TypeError for anything but a `Profile`.
    """
    parts = list(profiles)
    for each in parts:
        if not isinstance(each, Profile):
            raise TypeError(f"only Profile objects can be merged, not {type(each).__name__}")
    if not parts:
        raise ValueError("there is no profile to merge")
    modes = sorted({each.mode for each in parts})
    if len(modes) > 1:
        raise ValueError(f"profiles of different modes can't be merged: {' and '.join(map(repr, modes))}")
    # In mode "cpu" all of this follows from the weights; in others it can't be made up.
    states = [each._rows.states is not None for each in parts if len(each._rows)]
    if modes != ["cpu"] and any(states) and not all(states):
        raise ValueError(
            "profiles with and without states of threads can't be merged: one of them was made without the extension"
        )
    if len(parts) == 1:
        return parts[0]
    shifts = _shifts(parts)
    tree, node_maps, code = _merged_trees(parts)
    return Profile(_facts(parts, shifts), tree, _rows(parts, shifts, node_maps), code)


def _shifts(parts: Sequence[Profile]) -> list[int]:
    """By profile what is added to its times: where its session began, if the sessions overlap without a gap."""
    spans = sorted((each._facts.start_time, each._facts.start_time + each._facts.duration_ns / 1e9) for each in parts)
    reached = spans[0][1]
    for begin, end in spans[1:]:
        if begin > reached:
            return [0] * len(parts)
        reached = max(reached, end)
    return [round((each._facts.start_time - spans[0][0]) * 1e9) for each in parts]


def _merged_trees(parts: Sequence[Profile]) -> tuple[StackTree, list[array[int]], MachineCode | None]:
    """One tree, for each of the profiles by node its node in it, and the machine code of all of them."""
    frames: dict[tuple[Frame, Place | None], int] = {}
    nodes: dict[tuple[int, int], int] = {}
    parents, frame_of = array("I", [0]), array("I", [0xFFFFFFFF])
    maps = []
    objects: dict[CodeObject, int] = {}
    unnamed: set[int] = set()
    for part in parts:
        tree, code = part._tree, part._code
        places = _places(code, objects) if code is not None else {}
        # Native frames of one name at different places stay apart, as their places do.
        keys = [(frame, places.get(index)) for index, frame in enumerate(tree.frames[:-2])]
        numbers = [frames.setdefault(key, len(frames)) for key in keys]
        if code is not None:
            unnamed.update([numbers[index] for index in code.unnamed])
        into = array("I", bytes(4 * (len(tree) - 2)))
        for node in range(1, len(into)):
            key = into[tree.parent_of[node]], numbers[tree.frame_of[node]]
            found = nodes.get(key)
            if found is None:
                found = nodes[key] = len(parents)
                parents.append(key[0])
                frame_of.append(key[1])
            into[node] = found
        maps.append(into)
    codes = [part._code for part in parts if part._code is not None]
    merged = None
    if codes:
        merged = MachineCode(
            tuple(objects), {number: place for (_, place), number in frames.items() if place is not None},
            frozenset(unnamed), fold=all(code.fold for code in codes), is_here=all(code.is_here for code in codes),
        )  # fmt: skip
    return StackTree([frame for frame, _ in frames], parents, frame_of), maps, merged


def _places(code: MachineCode, objects: dict[CodeObject, int]) -> dict[int, Place]:
    """The places of a profile's frames, with the objects numbered as in *objects*, to which they are added."""
    numbers = [objects.setdefault(each, len(objects)) for each in code.objects]
    return {
        index: place._replace(object=numbers[place.object]) if place.object != NO_OBJECT else place
        for index, place in code.places.items()
    }


def _rows(parts: Sequence[Profile], shifts: Sequence[int], maps: Sequence[array[int]]) -> Rows:
    times, weights, nodes, threads = array("q"), array("q"), array("I"), array("I")
    filled = [each._rows for each in parts if len(each._rows)]
    with_cpu = bool(filled) and all(rows.cpu is not None for rows in filled)
    with_states = bool(filled) and all(rows.states is not None for rows in filled)
    with_tasks = any(rows.tasks is not None for rows in filled)
    cpu, states, tasks = array("q"), array("B"), array("I")
    names: dict[str, int] = {"": 0}
    first_thread = 0
    for each, shift, into in zip(parts, shifts, maps):
        rows = each._rows
        times.extend([time + shift for time in rows.times])
        weights.extend(rows.weights)
        nodes.extend([into[node] for node in rows.nodes])
        threads.extend([first_thread + thread for thread in rows.thread_index])
        first_thread += len(each.threads)
        if with_cpu and rows.cpu is not None:
            cpu.extend(rows.cpu)
        if with_states and rows.states is not None:
            states.extend(rows.states)
        if with_tasks:
            known = [names.setdefault(name, len(names)) for name in rows.task_names]
            tasks.extend([known[task] for task in rows.tasks] if rows.tasks is not None else [0] * len(rows))
    merged = Rows(
        times, weights, nodes, threads, cpu if with_cpu else None, states if with_states else None,
        tasks if with_tasks else None, list(names) if with_tasks else None,
    )  # fmt: skip
    return reordered(merged, sorted(range(len(times)), key=times.__getitem__))


def _facts(parts: Sequence[Profile], shifts: Sequence[int]) -> Facts:
    facts = [each._facts for each in parts]
    losses: list[Loss] = []
    threads: list[ThreadInfo] = []
    for each, shift in zip(facts, shifts):
        losses.extend([
            loss._replace(
                thread_index=loss.thread_index + len(threads), start_ns=loss.start_ns + shift, end_ns=loss.end_ns + shift
            )
            for loss in each.losses
        ])  # fmt: skip
        threads.extend([
            thread._replace(start_ns=thread.start_ns + shift, end_ns=None if thread.end_ns is None else thread.end_ns + shift)
            for thread in each.threads
        ])  # fmt: skip
    duration = max([each.duration_ns + shift for each, shift in zip(facts, shifts)])
    intervals = {each.interval_ns for each in facts}
    samples = sum([len(each._rows) for each in parts])
    sampled = sum([thread.sampled_ns for thread in threads])
    interval = intervals.pop() if len(intervals) == 1 else round(sampled / samples) if samples else max(intervals)
    return Facts(
        cpu_time_ns=sum([each.cpu_time_ns for each in facts]), duration_ns=duration, interval_ns=interval,
        losses=tuple(losses), mode=facts[0].mode, platform=_together([each.platform for each in facts]),
        program=_together([each.program for each in facts]),
        python_version=_together([each.python_version for each in facts]),
        start_time=min([each.start_time for each in facts]), stats=_stats([each.stats for each in facts], interval, duration),
        threads=tuple(threads),
    )  # fmt: skip


def _stats(all_stats: Sequence[Stats], interval: int, duration: int) -> Stats:
    """Figures that count something are added up."""
    values: dict[str, object] = {}
    for name, value in all_stats[0].to_dict().items():
        others = [getattr(stats, name) for stats in all_stats]
        if isinstance(value, bool):
            values[name] = any(others)
        elif isinstance(value, int):
            values[name] = max(others) if name in _NOT_SUMS else sum(others)
        elif isinstance(value, str):
            values[name] = _together(others)
        else:
            sources: dict[str, int] = {}
            for each in others:
                for source, count in each.items():
                    sources[source] = sources.get(source, 0) + count
            values[name] = sources
    values.update(interval_ns=interval, duration_ns=duration)
    together = sum([stats.duration_ns for stats in all_stats])
    contended = sum([stats.gil_contended_ns for stats in all_stats])
    values["gil_contended_ns"] = contended * duration // together if together else 0  # the mean share of the time
    return Stats(values)


def _together(texts: Sequence[str]) -> str:
    """The text if it is one, else those that there are."""
    different = list(dict.fromkeys(text for text in texts if text))
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return ", ".join(different[:3]) + more
