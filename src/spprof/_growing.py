"""From what a running session has recorded so far to parts of a `.spprof` file that grows (docs/adr/0028).

What a sample weighs is known for good only when its window of ticks is over. Here each part of the file is a window of its own:
the CPU time of a thread since the part before is dealt out over the ticks in between, those included whose samples were lost.
What no tick came for waits for the next ones, and is unsampled time until then. So sums are those of the thread's clock in each
part; the complete file that `stop()` writes has the finer shares.
"""

from __future__ import annotations

import os
from array import array

from ._base import Facts
from ._build import module_names, platform_name, program_name
from ._code import NO_OBJECT, CodeObject, MachineCode, Place
from ._model import Frame
from ._native_frames import UNKNOWN_CODE
from ._stats import Stats
from ._tree import array_of
from .export.spprof import (
    growing_head,
    part_of_changes,
    part_of_code,
    part_of_frames,
    part_of_rows,
    part_of_tree,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Calls for one part; what is still missing then comes with the next one.
_MOST_CALLS = 256
#: CPU time without any tick that is no chance any more: nobody's, as in csrc/slots.c (deaf_ns).
_DEAF_INTERVALS, _DEAF_NS = 16, 20_000_000
_NO_TIMES = dict.fromkeys(("sampled_ns", "unsampled_ns", "dropped_ns"), 0)


class _Thread:
    """What of a thread is in the file."""

    __slots__ = ("dealt", "dropped", "last_row", "lost", "name", "silent", "told", "unsampled", "walls")

    def __init__(self) -> None:
        self.name = ""
        self.dealt = self.dropped = self.unsampled = 0  # CPU time
        self.silent = 0  # CPU time at the last part for which no tick has come yet
        self.lost = 0  # samples
        self.walls = 0  # of its rows
        self.last_row = -1
        self.told: dict[str, Any] = {}


class GrowingProfile:
    """The parts of one session's file. `part` gives the next one."""

    def __init__(self, native: str) -> None:
        self._fold = native != "all"
        self._columns: dict[str, array[int]] = {}
        self._rows = self._nodes = self._frames = self._next_thread = self._since = 0
        self._written = 0
        self._written_anything = False
        self._mode = "cpu"
        self._objects: list[CodeObject] = []
        self._threads: dict[int, _Thread] = {}
        self._sums = {**_NO_TIMES, "cpu_ns": 0, "dropped": 0}
        self._stats: dict[str, object] = {}

    @property
    def is_alone(self) -> bool:
        """Whether no thread of the program's is left."""
        return self._next_thread > 0 and not self._threads

    def part(self, peek: Callable[..., Any], stats: Callable[[], Any], names: dict[int, str]) -> bytes | None:
        """What is new, as bytes to be added to the file; None when the session is over."""
        frames: list[Frame] = []
        places: dict[int, Place] = {}
        parents, frame_of = array("I"), array("I")
        raw = None
        for _ in range(_MOST_CALLS):
            raw = peek(self._rows, self._nodes, self._frames, len(self._objects), self._next_thread, self._since)
            if raw is None:
                return None
            self._objects.extend([CodeObject(*each) for each in raw["objects"]])
            new_frames, new_places = self._named(raw["frames"])
            frames.extend(new_frames)
            places.update(new_places)
            self._take_nodes(raw, parents, frame_of)
            self._take_rows(raw)
            if raw["complete"]:
                break
        assert raw is not None
        pieces = []
        if not self._stats:
            pieces.append(self._head(raw, Stats(stats() or {})))
        if frames or not self._written_anything:
            pieces.append(part_of_frames(tuple(frames)))
        if places:
            pieces.append(part_of_code(self._code(places)))
        if parents or not self._written_anything:
            first = self._nodes - len(parents)
            pieces.append(part_of_tree([first + i - parent for i, parent in enumerate(parents)], frame_of))
        self._written_anything = True
        if raw["complete"]:
            pieces.append(self._complete(raw, stats, names))
        return b"".join(pieces)

    def _head(self, raw: dict[str, Any], stats: Stats) -> bytes:
        import sys

        self._mode = stats.mode
        facts = Facts(
            cpu_time_ns=0, duration_ns=0, interval_ns=raw["interval_ns"], losses=(), mode=stats.mode,
            platform=platform_name(), program=program_name(), python_version=sys.version.split()[0],
            start_time=raw["start_time"], stats=stats, threads=(),
        )  # fmt: skip
        self._stats = stats.to_dict()
        return growing_head(facts, elapsed=stats.mode != "cpu")

    def _named(self, raw: list[Any]) -> tuple[list[Frame], dict[int, Place]]:
        """Frames, and which of them are machine code. Those are named by whoever reads the file (docs/adr/0023)."""
        modules = module_names({row[1] for row in raw if len(row) > 3})
        frames: list[Frame] = []
        places: dict[int, Place] = {}
        for number, row in enumerate(raw, self._frames):
            if len(row) == 3:
                places[number] = Place(*row)
                frames.append(self._nameless(places[number]))
                continue
            name, file, line, column, end_line, end_column, is_native, first_line = row
            module = modules.get(file, "")
            frames.append(Frame(name, file, line, is_native, module, column, end_line, end_column, first_line))
        self._frames += len(raw)
        return frames, places

    def _nameless(self, place: Place) -> Frame:
        if place.object == NO_OBJECT:
            return UNKNOWN_CODE
        path = self._objects[place.object].path
        start = place.address if place.function is None else place.function
        module = os.path.basename(path)
        return Frame(f"{module}+{start:#x}", path, 0, True, module)

    def _code(self, places: dict[int, Place]) -> MachineCode:
        """Places with the objects that they are in, which each part numbers anew."""
        numbers = {place.object: 0 for place in places.values() if place.object != NO_OBJECT}
        numbers = {number: new for new, number in enumerate(sorted(numbers))}
        moved = {
            index: place._replace(object=numbers[place.object])
            for index, place in places.items()
            if place.object != NO_OBJECT
        }
        return MachineCode(
            tuple([self._objects[number] for number in numbers]),
            moved,
            frozenset(moved),
            fold=self._fold,
            is_here=False,
        )

    def _take_nodes(self, raw: dict[str, Any], parents: array[int], frame_of: array[int]) -> None:
        new_parents, new_frames = array_of("I", raw["node_parent"]), array_of("I", raw["node_frame"])
        skip = 1 if self._nodes == 0 and new_parents else 0  # the root, which every tree has
        self._nodes += len(new_parents)
        parents.extend(new_parents[skip:])
        frame_of.extend(new_frames[skip:])

    def _take_rows(self, raw: dict[str, Any]) -> None:
        new = {
            "times": array_of("q", raw["times"]), "ticks": array_of("q", raw["ticks"]), "nodes": array_of("I", raw["nodes"]),
            "thread_index": array_of("I", raw["thread_index"]), "walls": array_of("q", raw["walls"]),
            "states": array_of("B", raw["states"]),
        }  # fmt: skip
        if not self._columns:
            self._columns = new
        else:
            for name, column in self._columns.items():
                column.extend(new[name])
        self._rows += len(new["times"])

    def _complete(self, raw: dict[str, Any], stats: Callable[[], Any], names: dict[int, str]) -> bytes:
        """Rows, with what they weigh, and what is different now about threads and figures."""
        columns, self._columns = self._columns, {}
        self._since = raw["duration_ns"]
        threads = [values for values in raw["threads"] if values[0] in self._threads or values[0] >= self._next_thread]
        for values in threads:
            if values[0] >= self._next_thread:
                self._threads[values[0]] = _Thread()
                self._next_thread = values[0] + 1
        weights = self._dealt(columns, threads, raw["interval_ns"])
        elapsed = self._mode != "cpu"
        rows = {
            "times": columns["times"], "weights": columns["walls"] if elapsed else weights, "nodes": columns["nodes"],
            "thread_index": columns["thread_index"],
        }  # fmt: skip
        if elapsed:
            rows["cpu"], rows["states"] = weights, columns["states"]
            for row, (thread, wall) in enumerate(zip(columns["thread_index"], columns["walls"]), self._written):
                state = self._threads.get(thread)
                if state is not None:
                    state.walls += wall
                    state.last_row = row
        pieces = list(part_of_rows(rows))
        self._written += len(weights)
        grown, grown_by, told = [], [], []
        for values in threads:
            state = self._threads[values[0]]
            if elapsed and state.last_row >= 0 and values[8] > state.walls:
                grown.append(state.last_row)
                grown_by.append(values[8] - state.walls)
                state.walls = values[8]
            change = self._change(state, values, names, raw["duration_ns"])
            if change:
                told.append([values[0], change])
            if values[4] is not None:
                del self._threads[values[0]]
        figures = Stats({**(stats() or {}), **self._figures()}).to_dict()
        figures["duration_ns"] = raw["duration_ns"]
        changes = {
            "duration_ns": raw["duration_ns"],
            "cpu_time_ns": self._sums["cpu_ns"],
            "rows": self._written,
            "threads": told,
            "grown": [grown, grown_by],
            "stats": {name: value for name, value in figures.items() if self._stats.get(name) != value},
        }
        pieces.append(part_of_changes(changes))
        self._stats = figures
        return b"".join(pieces)

    def _figures(self) -> dict[str, int]:
        return {"collected": self._written, "active": False, **self._sums}

    def _dealt(self, columns: dict[str, array[int]], threads: list[Any], interval_ns: int) -> array[int]:
        """CPU time of each row."""
        ticks_of: dict[int, int] = {}
        for thread, ticks in zip(columns["thread_index"], columns["ticks"]):
            ticks_of[thread] = ticks_of.get(thread, 0) + ticks
        deaf = max(_DEAF_INTERVALS * interval_ns, _DEAF_NS)
        shares: dict[int, list[int]] = {}  # thread: CPU time to deal out, ticks, ticks so far, dealt so far
        for values in threads:
            state, ticks = self._threads[values[0]], ticks_of.get(values[0], 0)
            lost = max(0, values[7] - state.lost)  # samples; nearly always as many ticks
            used = max(0, values[5] - state.dealt - state.dropped - state.unsampled)
            if ticks + lost == 0:
                state.silent = used
                continue
            if state.silent > deaf:
                state.unsampled += state.silent
                used -= state.silent
            state.silent = 0
            state.lost += lost
            sampled = used * ticks // (ticks + lost)
            state.dealt += sampled
            state.dropped += used - sampled
            shares[values[0]] = [sampled, ticks, 0, 0]
        weights = array("q")
        for thread, ticks in zip(columns["thread_index"], columns["ticks"]):
            share = shares.get(thread)
            if share is None or not share[1]:
                weights.append(0)
                continue
            share[2] += ticks
            upto = share[0] * share[2] // share[1]
            weights.append(upto - share[3])
            share[3] = upto
        return weights

    def _change(self, state: _Thread, values: Any, names: dict[int, str], duration_ns: int) -> dict[str, Any]:
        """What is different about a thread since it was last told of."""
        (
            _, tid, name, start_ns, end_ns, cpu_ns, samples, dropped, _, wall_dropped_ns, running_ns, gil_ns, sleeping_ns,
        ) = values  # fmt: skip
        if end_ns is None:
            state.name = names.get(tid, "") or state.name
        lived_ns = max(0, (duration_ns if end_ns is None else end_ns) - start_ns)
        cpu_ns = max(cpu_ns, state.dealt + state.dropped + state.unsampled)
        info = {
            "thread_id": tid, "name": state.name or name, "cpu_ns": cpu_ns, "sampled_ns": state.dealt,
            "unsampled_ns": cpu_ns - state.dealt - state.dropped, "dropped_ns": state.dropped, "samples": samples,
            "dropped": dropped, "start_ns": start_ns, "end_ns": end_ns, "wall_ns": lived_ns, "running_ns": 0, "gil_wait_ns": 0,
            "sleeping_ns": 0, "cpu_unsampled_ns": cpu_ns - state.dealt,
        }  # fmt: skip
        if self._mode != "cpu":
            never_seen = self._mode == "wall" and state.last_row < 0
            info.update(
                sampled_ns=state.walls,
                dropped_ns=wall_dropped_ns,
                unsampled_ns=max(0, lived_ns - wall_dropped_ns) if never_seen else 0,
                running_ns=running_ns,
                gil_wait_ns=gil_ns,
                sleeping_ns=sleeping_ns,
            )
        for field in self._sums:
            self._sums[field] += info[field] - state.told.get(field, 0)
        change = {field: value for field, value in info.items() if state.told.get(field, -1) != value}
        # How long it was there says nothing new of one that did nothing.
        if set(change) == {"wall_ns"}:
            return {}
        state.told = info
        return change
