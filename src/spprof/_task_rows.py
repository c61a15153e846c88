"""What looks at tasks have found: columns and a tree of stacks as the sampler's own, and how they get into its recording.

All that grows is counted against a limit. At the limit rows are lost, and counted with what they weigh; a task that would
bring a new name has none.
"""

from __future__ import annotations

import sys
import threading
from array import array

from ._fallback_store import resolved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

_ROW_BYTES, _NODE_BYTES, _NAME_BYTES = 60, 400, 100
NO_NAME = 0


class TaskRows:
    """One row for each wait of a task."""

    def __init__(self, memory_limit: int) -> None:
        self._memory = 0
        self._memory_limit = memory_limit
        self._lost: dict[int, list[int]] = {}  # by loop: number and weight of what found no room
        self._times: array[int] = array("q")
        self.weights: array[int] = array("q")
        self.nodes: array[int] = array("I")
        self._loops: array[int] = array("I")
        self.states: array[int] = array("B")
        self._tasks: array[int] = array("I")
        self.names: list[str] = [""]
        self._name_of: dict[str, int] = {"": NO_NAME}
        self._node_parent: array[int] = array("I", (0,))
        self._node_frame: array[int] = array("I", (0xFFFFFFFF,))
        self._node_of: dict[tuple[int, CodeType, int], int] = {}
        self._frames: list[tuple[CodeType, int, int]] = []
        self._loop_names: list[str] = []
        self._loop_of: dict[int, int] = {}

    def take(self, size: int) -> bool:
        """Takes memory, if there is so much left."""
        if self._memory + size > self._memory_limit:
            return False
        self._memory += size
        return True

    def name(self, name: str) -> int:
        """The index of a task's name."""
        index = self._name_of.get(name)
        if index is None:
            if not self.take(_NAME_BYTES + len(name)):
                return NO_NAME
            index = self._name_of[name] = len(self.names)
            self.names.append(name)
        return index

    def node(self, chain: list[tuple[CodeType, int, int]]) -> int | None:
        """The node of a stack, None if it is a new one and there is no room for it."""
        node = 0
        for code, instruction, line in chain:
            key = (node, code, instruction)
            child = self._node_of.get(key)
            if child is None:
                if not self.take(_NODE_BYTES):
                    return None
                child = self._node_of[key] = len(self._node_parent)
                self._node_parent.append(node)
                self._node_frame.append(len(self._frames))
                self._frames.append((code, instruction, line))
            node = child
        return node

    def add(self, time: int, weight: int, node: int | None, loop: Any, state: int, name: int) -> int | None:
        """A new row's index, None if it is lost."""
        if node is None or not self.take(_ROW_BYTES):
            lost = self._lost.setdefault(self._loop(loop), [0, 0])
            lost[0] += 1
            lost[1] += weight
            return None
        self._times.append(time)
        self.weights.append(weight)
        self.nodes.append(node)
        self._loops.append(self._loop(loop))
        self.states.append(state)
        self._tasks.append(name)
        return len(self._times) - 1

    def _loop(self, loop: Any) -> int:
        index = self._loop_of.get(id(loop))
        if index is None:
            index = self._loop_of[id(loop)] = len(self._loop_names)
            ident = getattr(loop, "_thread_id", None)
            thread = next((t.name for t in threading.enumerate() if t.ident == ident), "")
            self._loop_names.append(f"{thread or 'event loop'} (tasks)")
        return index

    def merge(self, raw: dict[str, Any], running: list[int]) -> None:
        """Adds rows, frames and one entry for each loop to what ``collect()`` gave. *running*: for its rows the task's name."""
        if not self._times and not self._lost:
            if any(running):
                raw["tasks"], raw["task_names"] = array("I", running), self.names
            return
        first_thread = len(raw["threads"])
        self._merge_columns(raw, running, self._merge_tree(raw), first_thread)
        raw["task_names"] = self.names
        for index in range(len(self._loop_names)):
            self._merge_loop(raw, index, first_thread + index)

    def _merge_tree(self, raw: dict[str, Any]) -> int:
        """What is added to a node other than the root, which both trees have as 0."""
        first_node, first_frame = len(raw["node_parent"]), len(raw["frames"])
        positions: dict[Any, list[Any]] = {}
        qualnames: dict[int, str] = {}
        if sys.version_info < (3, 11):
            from ._qualnames import qualified_names

            qualnames = qualified_names()
        raw["frames"] = [*raw["frames"], *[(*resolved(f, positions, qualnames), True) for f in self._frames]]
        parents, frames = array("I", raw["node_parent"]), array("I", raw["node_frame"])
        parents.extend([first_node + parent - 1 if parent else 0 for parent in self._node_parent[1:]])
        frames.extend([first_frame + frame for frame in self._node_frame[1:]])
        raw["node_parent"], raw["node_frame"] = parents, frames
        return first_node - 1

    def _merge_columns(self, raw: dict[str, Any], running: list[int], node_shift: int, thread_shift: int) -> None:
        n, more = len(running), len(self._times)
        nodes = array("I", [node + node_shift if node else 0 for node in self.nodes])
        columns = {
            "times": array("q", raw["times"]) + self._times,
            "walls": array("q", raw["walls"]) + self.weights,
            "weights": array("q", raw["weights"]) + array("q", bytes(8 * more)),
            "nodes": array("I", raw["nodes"]) + nodes,
            "thread_index": array("I", raw["thread_index"]) + array("I", [thread_shift + i for i in self._loops]),
            "states": array("B", raw["states"]) + self.states,
            "tasks": array("I", running) + self._tasks,
        }
        order = sorted(range(n + more), key=columns["times"].__getitem__)
        for name, column in columns.items():
            raw[name] = array(column.typecode, [column[i] for i in order])

    def _merge_loop(self, raw: dict[str, Any], index: int, thread: int) -> None:
        rows = [row for row, loop in enumerate(self._loops) if loop == index]
        weight = sum([self.weights[row] for row in rows])
        count, lost = self._lost.get(index, (0, 0))
        if count:
            raw["losses"].append(("dropped", thread, 0, raw["duration_ns"], count, lost))
            raw["stats"]["dropped"] += count
        raw["threads"].append({
            "thread_id": 0, "name": self._loop_names[index], "cpu_ns": 0, "sampled_ns": weight, "unsampled_ns": 0,
            "dropped_ns": lost, "samples": len(rows), "dropped": count,
            "start_ns": min([self._times[row] for row in rows], default=0), "end_ns": None,
            "wall_ns": weight + lost, "sleeping_ns": weight,
        })  # fmt: skip
