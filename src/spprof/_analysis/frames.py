"""`Profile.to_pandas`: the samples as a table."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pandas import DataFrame

    from .._profile import Profile


def data_frame(profile: Profile, losses: bool) -> DataFrame:
    """See `Profile.to_pandas`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("Profile.to_pandas() needs pandas: pip install 'spprof[pandas]'") from error
    from .._model import STATES

    rows, tree = profile._rows, profile._tree
    count = len(rows)
    times: list[int] = list(rows.times)
    weights, nodes, threads = list(rows.weights), list(rows.nodes), list(rows.thread_index)
    samples = [1] * count
    cpu: list[Any] = list(rows.cpu) if rows.cpu is not None else [w if profile.mode == "cpu" else None for w in weights]
    # Names as numbers: that of the first state, and no task, where it is not known.
    unknown = len(STATES)
    states = list(rows.states) if rows.states is not None else [0 if profile.mode == "cpu" else unknown] * count
    tasks = list(rows.tasks) if rows.tasks is not None else [0] * count
    last = profile._facts.duration_ns
    if losses:
        for index, info in enumerate(profile.threads):
            added: list[tuple[int, int, int, int | None]] = []
            added.extend(
                [(min(time, last), weight, node, None) for time, weight, node in profile._thread_losses(index)]
            )
            if profile.mode == "cpu":
                added = [(time, weight, node, weight) for time, weight, node, _ in added]
            elif rows.cpu is not None and info.cpu_unsampled_ns:
                added.append((last, 0, tree.unsampled_node, info.cpu_unsampled_ns))
            for time, weight, node, cpu_ns in added:
                times.append(time)
                weights.append(weight)
                nodes.append(node)
                threads.append(index)
                samples.append(0)
                cpu.append(cpu_ns)
                states.append(unknown)
                tasks.append(0)

    def named(codes: Sequence[int], names: Sequence[object]) -> Any:
        """A column of names that repeat; equal names are one."""
        numbers: dict[object, int] = {}
        code_of = [numbers.setdefault(name, len(numbers)) for name in names]
        return pd.Categorical.from_codes([code_of[code] for code in codes], categories=list(numbers))

    canonical = tree.canonical()
    used = {node: place for place, node in enumerate(dict.fromkeys([canonical[node] for node in nodes]))}
    place_of = [used[canonical[node]] for node in nodes]
    stacks = [tree.stack(node) for node in used]
    leaves = [stack[-1] if stack else None for stack in stacks]

    def of_leaf(field: str, nothing: object) -> list[Any]:
        return [getattr(leaf, field) if leaf else nothing for leaf in leaves]

    lines, depths = of_leaf("lineno", 0), [len(stack) for stack in stacks]
    frame = pd.DataFrame({
        "timestamp_ns": pd.Series(times, dtype="int64"),
        "thread_id": pd.Series([profile.threads[thread].thread_id for thread in threads], dtype="int64"),
        "thread": named(threads, profile._thread_labels()),
        "function": named(place_of, of_leaf("function_name", "")),
        "filename": named(place_of, of_leaf("filename", "")),
        "lineno": pd.Series([lines[place] for place in place_of], dtype="int64"),
        "module": named(place_of, of_leaf("module", "")),
        "stack": named(place_of, [";".join([f.function_name for f in stack]) for stack in stacks]),
        "depth": pd.Series([depths[place] for place in place_of], dtype="int64"),
        "weight_ns": pd.Series(weights, dtype="int64"),
        "cpu_ns": pd.array(cpu, dtype="Int64"),
        "samples": pd.Series(samples, dtype="int64"),
        "state": named(states, [*[state for state, _ in STATES], ""]),
        "waiting_for": named(states, [*[waiting for _, waiting in STATES], ""]),
        "task": named(tasks, rows.task_names),
    })  # fmt: skip
    frame.attrs.update(mode=profile.mode, program=profile.program, interval_ms=profile.interval_ms)
    return frame
