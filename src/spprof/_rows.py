"""`Rows`: the samples of a profile, column by column."""

from __future__ import annotations

from ._model import STATES
from ._tree import array_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from typing import Any, Union

    Column = Union[memoryview, "array[int]"]

_TYPECODES = {
    "times": "q", "weights": "q", "nodes": "I", "thread_index": "I", "cpu": "q", "states": "B", "tasks": "I",
}  # fmt: skip


class Rows:
    """One row a sample, in the order of time. Not changed once made.

    times, weights: nanoseconds. nodes: of the profile's tree. thread_index: into `Profile.threads`.
    cpu: nanoseconds of CPU time, None if the weights are (mode "cpu") or it is not known.
    states: indices into `STATES`, None if not known or all running; there whenever *cpu* is.
    tasks: indices into *task_names*, None without asyncio.
    """

    __slots__ = (*_TYPECODES, "task_names")

    def __init__(
        self,
        times: Column,
        weights: Column,
        nodes: Column,
        thread_index: Column,
        cpu: Column | None = None,
        states: Column | None = None,
        tasks: Column | None = None,
        task_names: list[str] | None = None,
    ) -> None:
        self.times = times
        self.weights = weights
        self.nodes = nodes
        self.thread_index = thread_index
        self.cpu = cpu
        self.states = states
        self.tasks = tasks
        self.task_names = task_names or [""]

    def __len__(self) -> int:
        return len(self.times)

    def at(self, nodes: Column) -> Rows:
        """The same rows with other nodes."""
        return Rows(
            self.times, self.weights, nodes, self.thread_index, self.cpu, self.states, self.tasks, self.task_names
        )

    def known(self, row: int) -> tuple[int | None, str, str, str] | None:
        """CPU time, state, what is waited for and task of a row; None if there are no columns for them."""
        if self.cpu is None or self.states is None:
            return None
        task = "" if self.tasks is None else self.task_names[self.tasks[row]]
        return (self.cpu[row], *STATES[self.states[row]], task)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {"task_names": self.task_names}
        for name in _TYPECODES:
            column = getattr(self, name)
            state[name] = None if column is None else column.tobytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.task_names = state["task_names"]
        for name, typecode in _TYPECODES.items():
            data = state[name]
            setattr(self, name, None if data is None else array_of(typecode, data))
