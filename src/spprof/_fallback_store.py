"""What the pure-Python sampler keeps: rows, a tree of stacks, and each thread's sums, all within the memory limit."""

from __future__ import annotations

import sys
import time
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from types import CodeType, FrameType
    from typing import Any

MAX_DEPTH = 1024
_ROOT_PART = MAX_DEPTH // 2
_NO_FRAME = 0xFFFFFFFF
# What things cost, in bytes: four columns, with the room that arrays keep for growth; a node with its key, its
# dictionary entry and its row; a code object's resolved lines; a thread's record.
_ROW_COST, _NODE_COST, _CODE_COST, _THREAD_COST = 28, 320, 2000, 1000

# A frame: code object (a string for a mark), index of the instruction, line.
_TRUNCATED = ("[truncated]", 0, 0)


class _Thread:
    """Sums of one thread."""

    __slots__ = (
        "cpu_ns",
        "cpu_start",
        "dropped",
        "dropped_ns",
        "end",
        "ident",
        "last",
        "loss",
        "name",
        "native_id",
        "sampled_ns",
        "samples",
        "start",
    )

    def __init__(self, ident: int, native_id: int | None, start: int) -> None:
        self.ident = ident
        self.native_id = native_id
        self.name = ""
        self.start = self.last = start
        self.end: int | None = None
        self.samples = self.sampled_ns = self.dropped = self.dropped_ns = 0
        self.loss: list[Any] | None = None  # the open entry of `losses`
        self.cpu_start = _cpu_clock(ident)
        self.cpu_ns = 0


class Store:
    """Rows and tree of one session. *Context:* one caller at a time."""

    def __init__(self, memory_limit: int) -> None:
        self.memory_limit = memory_limit
        self.memory_bytes = 0
        self.collected = self.dropped = self.dropped_ns = 0
        self.threads: list[_Thread] = []
        self.live: dict[int, int] = {}  # ident -> index, of the threads that are alive
        self.last_look = 0
        self.losses: list[list[Any]] = []
        self.release()

    def release(self) -> None:
        """Forgets the rows and the tree (made anew: the old ones may have been handed over)."""
        self.times: array[int] = array("q")
        self.weights: array[int] = array("q")
        self.nodes: array[int] = array("I")
        self.thread_index: array[int] = array("I")
        self.node_parent: array[int] = array("I", (0,))
        self.node_frame: array[int] = array("I", (_NO_FRAME,))
        # Keys hold the code objects themselves, so that none can die and lend its address to another.
        self.node_of: dict[tuple[int, CodeType | str, int], int] = {}
        self.frame_of: dict[tuple[CodeType | str, int], int] = {}
        self.frames: list[tuple[CodeType | str, int, int]] = []
        self.codes: set[CodeType | str] = set()

    def add(self, ident: int, frame: FrameType | None, now: int) -> None:
        """A sample of a thread that has been met; it weighs the time since the thread's last one."""
        index = self.live[ident]
        thread = self.threads[index]
        weight = now - thread.last
        start, thread.last = thread.last, now
        node = self._node(_walk(frame)) if self.memory_bytes + _ROW_COST <= self.memory_limit else None
        if node is None:
            self._drop(thread, index, start, now, weight)
            return
        thread.loss = None
        self.collected += 1
        thread.samples += 1
        thread.sampled_ns += weight
        self.times.append(now)
        self.weights.append(weight)
        self.nodes.append(node)
        self.thread_index.append(index)
        self.memory_bytes += _ROW_COST

    def meet(self, ident: int, native_id: int | None, name: str | None) -> None:
        """A thread is alive. One not met before is taken to have been there since the last look.

        *native_id* and *name*: None if not known (yet, or any more). An ident is used again by later threads; the native
        id tells them apart.
        """
        thread = self.threads[self.live[ident]] if ident in self.live else None
        if thread is not None and native_id not in (None, thread.native_id or native_id):
            self._end(ident)
            thread = None
        if thread is None:
            thread = _Thread(ident, native_id, self.last_look)
            self.live[ident] = len(self.threads)
            self.threads.append(thread)
            self.memory_bytes += _THREAD_COST
        thread.cpu_ns = _cpu_clock(ident) - thread.cpu_start
        thread.native_id = thread.native_id or native_id
        thread.name = name or thread.name

    def keep_only(self, idents: Container[int]) -> None:
        """Threads with other *idents* have ended, at their last sample as far as one can know."""
        for ident in [ident for ident in self.live if ident not in idents]:
            self._end(ident)

    def _end(self, ident: int) -> None:
        thread = self.threads[self.live.pop(ident)]
        thread.end = thread.last

    def unsampled_ns(self, duration: int | None) -> int:
        """Time of all threads after their last sample, up to *duration* (None: still going on, nothing is missing)."""
        if duration is None:
            return 0
        return sum([duration - self.threads[index].last for index in self.live.values()])

    def _node(self, stack: list[tuple[CodeType | str, int, int]]) -> int | None:
        """The node of a stack, made if need be; None if there is no room for it."""
        node = 0
        for code, instruction, line in stack:
            key = (node, code, instruction)
            child = self.node_of.get(key)
            if child is None:
                cost = _NODE_COST + (0 if code in self.codes else _CODE_COST)
                if self.memory_bytes + cost + _ROW_COST > self.memory_limit:
                    return None
                self.memory_bytes += cost
                self.codes.add(code)
                frame = self.frame_of.setdefault((code, instruction), len(self.frames))
                if frame == len(self.frames):
                    self.frames.append((code, instruction, line))
                child = self.node_of[key] = len(self.node_parent)
                self.node_parent.append(node)
                self.node_frame.append(frame)
            node = child
        return node

    def _drop(self, thread: _Thread, index: int, start: int, now: int, weight: int) -> None:
        thread.dropped += 1
        thread.dropped_ns += weight
        self.dropped += 1
        self.dropped_ns += weight
        if thread.loss is None:
            thread.loss = ["dropped", index, start, now, 0, 0]
            self.losses.append(thread.loss)
        thread.loss[3] = now
        thread.loss[4] += 1
        thread.loss[5] += weight

    def result(self, duration: int, names: dict[int, str], qualnames: dict[int, str]) -> dict[str, Any]:
        """Everything, in the form of ``spprof._native.collect``."""
        live = set(self.live.values())
        threads, losses = [], [tuple(loss) for loss in self.losses]
        for index, thread in enumerate(self.threads):
            unsampled = duration - thread.last if index in live else 0
            if unsampled:
                losses.append(("unsampled", index, thread.last, duration, 0, unsampled))
            threads.append({
                # A thread that `threading` never knew has no id that Python code could learn, but its ident.
                "thread_id": thread.native_id or thread.ident,
                "name": names.get(thread.native_id or 0) or thread.name or f"Thread-{thread.ident}",
                "cpu_ns": thread.cpu_ns,
                "cpu_unsampled_ns": thread.cpu_ns,
                "wall_ns": thread.sampled_ns + thread.dropped_ns + unsampled,
                "sampled_ns": thread.sampled_ns,
                "unsampled_ns": unsampled,
                "dropped_ns": thread.dropped_ns,
                "samples": thread.samples,
                "dropped": thread.dropped,
                "start_ns": thread.start,
                "end_ns": thread.end,
            })  # fmt: skip
        positions: dict[CodeType, list[Any]] = {}
        return {
            "times": self.times,
            "weights": self.weights,
            "nodes": self.nodes,
            "thread_index": self.thread_index,
            "node_parent": self.node_parent,
            "node_frame": self.node_frame,
            "frames": [resolved(frame, positions, qualnames) for frame in self.frames],
            "threads": threads,
            "losses": losses,
        }


def _cpu_clock(ident: int) -> int:
    """CPU time of a thread that has a frame, and so is alive; 0 where there are no such clocks."""
    try:
        return time.clock_gettime_ns(time.pthread_getcpuclockid(ident))
    except (AttributeError, OSError):
        return 0


def _walk(frame: FrameType | None) -> list[tuple[CodeType | str, int, int]]:
    """The stack, root first; the middle of one that is deeper than `MAX_DEPTH` is replaced by a mark."""
    stack: list[tuple[CodeType | str, int, int]] = []
    while frame is not None:
        stack.append((frame.f_code, frame.f_lasti, frame.f_lineno or 0))
        frame = frame.f_back
    if len(stack) > MAX_DEPTH:
        stack[MAX_DEPTH - 1 - _ROOT_PART : -_ROOT_PART] = [_TRUNCATED]
    stack.reverse()
    return stack


def resolved(
    frame: tuple[CodeType | str, int, int], positions: dict[CodeType, list[Any]], qualnames: dict[int, str]
) -> tuple[str, str, int, int | None, int | None, int | None, bool, int]:
    """A frame as ``collect()`` has it. *positions* is a cache."""
    code, instruction, line = frame
    if isinstance(code, str):
        return code, "", 0, None, None, None, True, 0
    column = end_line = end_column = None
    name = code.co_name
    if sys.version_info >= (3, 11):
        name = code.co_qualname
        if code not in positions:
            positions[code] = list(code.co_positions())
        if 0 <= instruction // 2 < len(positions[code]):
            _, end_line, column, end_column = positions[code][instruction // 2]
    else:
        name = qualnames.get(id(code), name)
    return name, code.co_filename, line, column, end_line, end_column, False, code.co_firstlineno
