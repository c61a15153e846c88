"""Reading the `.spprof` file (spprof.export.spprof): nothing of it is believed, every number is checked before it is used.

Of a damaged file as much is kept as makes sense. What is missing of the samples that it accounts for is dropped time.
"""

from __future__ import annotations

import struct
from array import array
from operator import le

from .._base import Facts
from .._code import INTERPRETER, MOST, OTHER, RUNTIME, CodeObject, MachineCode, Place
from .._errors import ProfileFileError
from .._model import STATES, Frame, Loss, ThreadInfo
from .._profile import Profile
from .._rows import Rows
from .._stats import Stats
from .._tree import StackTree
from .._version import __version__
from ..export._columns import unpacked
from ..export._container import END, chunks, json_of
from ..export.spprof import ALWAYS, COUNT, FLAGS, NUMBERS, PLACES, PLAIN_FACTS, ROWS_A_CHUNK, SOMETIMES, TEXTS, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Columns of equal numbers deflate to nothing, those of real profiles do not: more than this is a file made to fill memory.
_SOME_ROWS, _SOME_NODES, _NODES_A_BYTE = 4_000_000, 1_000_000, 64
#: What later parts count on: without one of them they would mean something else.
_COUNTED_ON = frozenset([b"TASK", b"FRMS", b"TREE"])
#: Parts that are of use when one before them is damaged.
_ALONE = frozenset([b"META", b"LOSS", b"ROWS", b"CODE"])
_TYPES = dict((*ALWAYS, *SOMETIMES))


def read(data: bytes) -> Profile:
    """The profile that a whole file holds. Raises ProfileFileError."""
    return _Reader().read(data)


def is_growing(path: str) -> bool:
    """Whether the file at *path* grows beside its program, or did until that was killed. False if it can't be read."""
    try:
        with open(path, "rb") as file:
            kind, body = next(chunks(file.read(4096)))
        return kind == b"HEAD" and body is not None and json_of(body).get("growing") is True
    except (OSError, ValueError, AttributeError):  # of another format, or damaged: its own reader says so
        return False


class _Reader:
    """One file."""

    def __init__(self) -> None:
        self.meta: dict[str, Any] | None = None
        self.frames: list[Frame] = []
        self.parents, self.frame_of = array("I", [0]), array("I", [0xFFFFFFFF])
        self.columns: dict[str, array[int]] = {}
        self.losses: list[Loss] = []
        self.task_names: list[str] = []
        self.objects: list[CodeObject] = []
        self.places: dict[int, Place] = {}
        self.unnamed: set[int] = set()
        self.fold = True
        self.seen: set[bytes] = set()
        self.wrong = ""
        self.broken = False  # a part is missing that later ones count on
        self.size = 0
        self.growing = False  # it grew beside its program: that it has no end is no damage

    def read(self, data: bytes) -> Profile:
        self.size = len(data)
        steps = {
            b"META": self._meta, b"TASK": self._tasks, b"LOSS": self._losses, b"FRMS": self._frames, b"TREE": self._tree,
            b"ROWS": self._rows, b"CODE": self._code, b"NOW ": self._now,
        }  # fmt: skip
        first = True
        ended = None
        for kind, body in chunks(data):
            if kind == b"":
                if not self.growing:
                    self._damaged("it is cut off")
            elif body is None:
                # What it was is not known for sure, if it is none that later parts can do without.
                self.broken = self.broken or kind not in _ALONE
                self._damaged(f"its part {_name(kind)} is damaged (checksum)")
            elif first != (kind == b"HEAD"):
                raise ProfileFileError("it is damaged: the version of its format is missing or comes twice")
            elif kind == b"HEAD":
                self._head(body)
            elif kind == END:
                ended = body
            elif kind in steps and (kind == b"META" or not self.broken):
                try:
                    steps[kind](body)
                    self.seen.add(kind)
                except (
                    ValueError,
                    TypeError,
                    KeyError,
                    IndexError,
                    OverflowError,
                    AttributeError,
                    struct.error,
                ) as error:
                    self.broken = self.broken or kind in _COUNTED_ON
                    self._damaged(f"its part {_name(kind)} is damaged ({error})")
            first = False
        if ended is None and not self.growing:
            self._damaged("it is cut off")
        return self._profile()

    def _damaged(self, what: str) -> None:
        self.wrong = self.wrong or what

    def _head(self, body: bytes) -> None:
        try:
            head = json_of(body)
            version = int(head["format"])
            self.growing = head.get("growing") is True
        except (ValueError, TypeError, KeyError) as error:
            raise ProfileFileError(f"its part HEAD is damaged ({error})") from None
        if version > VERSION:
            raise ProfileFileError(
                f"it is of format {version}, by spprof {head.get('spprof')}; this is spprof {__version__}, which "
                f"reads formats up to {VERSION}: install a newer one"
            )

    def _meta(self, body: bytes) -> None:
        meta = json_of(body)
        facts = {name: meta["facts"][name] for name in PLAIN_FACTS}
        for name in ("cpu_time_ns", "duration_ns", "interval_ns"):
            facts[name] = _natural(facts[name])
        for name in ("mode", "platform", "program", "python_version"):
            facts[name] = _text(facts[name])
        facts["start_time"] = float(facts["start_time"])
        threads = tuple([ThreadInfo(**_checked(t, ThreadInfo, ("name",), ("end_ns",))) for t in meta["threads"]])
        names = [name for name in _TYPES if name in meta["columns"]]
        if names != meta["columns"] or not {name for name, _ in ALWAYS} <= set(names):
            raise ValueError("columns")
        if ("cpu" in names) and "states" not in names:
            raise ValueError("columns")
        if self.meta is None:
            self.columns = {name: array(_TYPES[name]) for name in names}
        elif names != list(self.columns):
            raise ValueError("columns")
        self.meta = {
            "facts": facts, "threads": threads, "stats": Stats(dict(meta["stats"])),
            "losses": _natural(meta["losses"]), "rows": _natural(meta["rows"]), "unfinished": meta.get("unfinished") is True,
        }  # fmt: skip

    def _now(self, body: bytes) -> None:
        """What has changed. All of it is looked at before any is believed."""
        change = json_of(body)
        meta = self.meta
        if meta is None:
            raise ValueError("what it belongs to is missing")
        rows = _natural(change["rows"])
        facts = {name: _natural(change[name]) for name in ("duration_ns", "cpu_time_ns")}
        threads: list[ThreadInfo] = list(meta["threads"]) if isinstance(meta["threads"], tuple) else meta["threads"]
        told: dict[int, ThreadInfo] = {}
        count = len(threads)
        for index, values in _list(change["threads"]):
            if not 0 <= _natural(index) <= count:
                raise ValueError("a thread without a place")
            before = told.get(index) or (threads[index] if index < len(threads) else None)
            whole = {**(before._asdict() if before is not None else {}), **values}
            told[index] = ThreadInfo(**_checked(whole, ThreadInfo, ("name",), ("end_ns",)))
            count = max(count, index + 1)
        grown = [[_natural(n) for n in _list(column)] for column in _list(change["grown"])]
        weights = self.columns["weights"]
        if len(grown) != 2 or len(grown[0]) != len(grown[1]) or max(grown[0], default=-1) >= len(weights):
            raise ValueError("a sample without a place")
        stats = Stats({**meta["stats"].to_dict(), **dict(change["stats"])})
        grown_to = [weights[row] + more for row, more in zip(*grown)]
        if max(grown_to, default=0) >= 2**63:
            raise ValueError("a sample that is too long")
        for row, more in zip(*grown):
            weights[row] += more
        for index, thread in sorted(told.items()):
            threads[index : index + 1] = [thread]
        meta["facts"].update(facts)
        meta.update(threads=threads, stats=stats, rows=rows)

    def _tasks(self, body: bytes) -> None:
        self.task_names.extend([_text(name) for name in _list(json_of(body))])

    def _losses(self, body: bytes) -> None:
        columns = json_of(body)
        fields: list[list[Any]] = [[_text(kind) for kind in _list(columns["kind"])]]
        fields.extend([[_natural(n) for n in _list(columns[name])] for name in Loss._fields[1:]])
        if len({len(column) for column in fields}) != 1:
            raise ValueError("lengths")
        self.losses.extend([Loss(*values) for values in zip(*fields)])

    def _frames(self, body: bytes) -> None:
        document = json_of(body)
        texts = [_text(text) for text in document["texts"]]
        fields: dict[str, list[Any]] = {}
        for name in TEXTS:
            fields[name] = [texts[_natural(index)] for index in document[name]]
        for name in NUMBERS:
            optional = name in ("column", "end_lineno", "end_column")
            fields[name] = [None if n is None and optional else _natural(n) for n in document[name]]
        for name in FLAGS:
            fields[name] = [bool(_natural(flag)) for flag in document[name]]
        if len({len(column) for column in fields.values()}) != 1:
            raise ValueError("lengths")
        self.frames.extend([Frame(**dict(zip(fields, values))) for values in zip(*fields.values())])

    def _code(self, body: bytes) -> None:
        document = json_of(body)
        objects = [_code_object(each) for each in _list(document["objects"])]
        frames = [_natural(index) for index in _list(document["frame"])]
        columns = [_list(document[name]) for name in (*PLACES, "named")]
        if {len(column) for column in columns} != {len(frames)} or not all(
            index < len(self.frames) and self.frames[index].is_native for index in frames
        ):
            raise ValueError("a place without a frame")
        places, unnamed = {}, set()
        for index, number, address, function, named in zip(frames, *columns):
            if _natural(number) >= len(objects):
                raise ValueError("a place without an object")
            start = None if function is None else _address(function)
            places[index] = Place(len(self.objects) + number, _address(address), start)
            if not _natural(named):
                unnamed.add(index)
        self.fold = bool(document["fold"])
        self.objects += objects
        self.places.update(places)
        self.unnamed |= unnamed

    def _machine_code(self) -> MachineCode | None:
        if b"CODE" not in self.seen:
            return None
        # What could not be named where the program ran may be here, now or by the next version of a debug file.
        return MachineCode(
            tuple(self.objects), self.places, frozenset(self.unnamed), fold=self.fold, pending=bool(self.unnamed)
        )

    def _tree(self, body: bytes) -> None:
        (count,) = COUNT.unpack_from(body)
        if count > max(_SOME_NODES, _NODES_A_BYTE * len(body)):
            raise ValueError("length")
        distances, at = unpacked(body, COUNT.size, count, "I")
        frame_of, at = unpacked(body, at, count, "I")
        if at != len(body):
            raise ValueError("length")
        parents = [node - distance for node, distance in enumerate(distances, len(self.parents))]
        if count and (min(distances) < 1 or min(parents) < 0 or max(frame_of) >= len(self.frames)):
            raise ValueError("a node without a place")
        self.parents.extend(parents)
        self.frame_of.extend(frame_of)

    def _rows(self, body: bytes) -> None:
        if self.meta is None or b"TREE" not in self.seen:
            raise ValueError("what it belongs to is missing")
        (count,) = COUNT.unpack_from(body)
        if count > ROWS_A_CHUNK or len(self.columns["times"]) + count > max(_SOME_ROWS, self.size):
            raise ValueError("length")
        at = COUNT.size
        part: dict[str, array[int]] = {}
        for name, column in self.columns.items():
            part[name], at = unpacked(body, at, count, column.typecode)
        # Threads and tasks may be told of later.
        limits = {"nodes": len(self.parents), "states": len(STATES)}
        if at != len(body) or any(max(part[name], default=0) >= top for name, top in limits.items() if name in part):
            raise ValueError("a sample without a place")
        for name, column in part.items():
            self.columns[name].extend(column)

    def _profile(self) -> Profile:
        meta = self.meta
        if meta is None or not {b"FRMS", b"TREE"} <= self.seen:
            if self.growing and not self.wrong:
                raise ProfileFileError("its program ended, or was killed, before anything was in it")
            raise ProfileFileError(f"{self.wrong or 'a part is missing'}; nothing of it can be shown")
        task_names = self.task_names or [""]
        sizes = {"thread_index": len(meta["threads"]), "tasks": len(task_names)}
        count = len(self.columns["times"])
        if (count < meta["rows"] or (count > meta["rows"] and not self.growing)) and not self.wrong:
            self._damaged("it has another number of samples than it should")
        count = min(count, meta["rows"])  # no more than the threads' sums account for
        for name, size in sizes.items():
            column = self.columns.get(name)
            if column is not None and max(column[:count], default=-1) >= size:
                self._damaged(f"its part ROWS is damaged (a sample without a place: {name})")
                count = next(row for row, value in enumerate(column) if value >= size)
        losses = [loss for loss in self.losses[: meta["losses"]] if loss.thread_index < len(meta["threads"])]
        if len(losses) != meta["losses"]:
            self._damaged("it has another number of losses than it should")
        rows = Rows(**_in_order({name: column[:count] for name, column in self.columns.items()}), task_names=task_names)
        threads, stats = tuple(meta["threads"]), meta["stats"]
        if self.wrong:
            threads, stats = _without_missing(threads, stats, rows)
        facts = Facts(
            **meta["facts"],
            losses=tuple(losses),
            stats=stats,
            threads=threads,
            unfinished=self.growing or meta["unfinished"],
        )
        profile = Profile(facts, StackTree(self.frames, self.parents, self.frame_of), rows, self._machine_code())
        if self.wrong:
            error = ProfileFileError(f"{self.wrong}; {len(rows)} of {meta['rows']} samples can be shown")
            error.partial = profile
            raise error
        return profile


def _in_order(columns: dict[str, array[int]]) -> dict[str, array[int]]:
    """Rows by time: a file that grew has them in the order in which they were met."""
    times = columns["times"]
    if all(map(le, times, times[1:])):
        return columns
    order = sorted(range(len(times)), key=times.__getitem__)
    return {name: array(column.typecode, [column[row] for row in order]) for name, column in columns.items()}


def _without_missing(threads: tuple[ThreadInfo, ...], stats: Stats, rows: Rows) -> tuple[tuple[ThreadInfo, ...], Stats]:
    """What a thread's samples weigh that are not there was dropped: the sums stay right."""
    sums, counts = [0] * len(threads), [0] * len(threads)
    for thread, weight in zip(rows.thread_index, rows.weights):
        sums[thread] += weight
        counts[thread] += 1
    changed = []
    for thread_info, weight, count in zip(threads, sums, counts):
        missing = max(0, thread_info.sampled_ns - weight)
        changed.append(
            thread_info._replace(
                sampled_ns=weight,
                dropped_ns=thread_info.dropped_ns + missing,
                samples=count,
                dropped=thread_info.dropped + max(0, thread_info.samples - count),
            )
        )
    lost = sum(after.dropped - before.dropped for after, before in zip(changed, threads))
    return tuple(changed), Stats({**stats.to_dict(), "collected": len(rows), "dropped": stats.dropped + lost})


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{value!r:.40} where there should be a natural number")
    return value


def _address(value: object) -> int:
    if type(value) is not int or not 0 <= value < MOST:
        raise ValueError(f"{value!r:.40} where there should be an address")
    return value


def _code_object(values: Any) -> CodeObject:
    role = _natural(values["role"])
    bias = None if values["bias"] is None else _address(values["bias"])
    segments = []
    for segment in _list(values["segments"]):
        start, end, offset = [_address(each) for each in _list(segment)]
        if start >= end:
            raise ValueError("an object without a place")
        segments.append((start, end, offset))
    return CodeObject(
        _text(values["path"]), bytes.fromhex(_text(values["build_id"])), bias,
        role if role in (INTERPRETER, RUNTIME) else OTHER, tuple(segments),
    )  # fmt: skip


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} where there should be a text")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} where there should be a list")
    return value


def _checked(values: Any, record: Any, texts: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a record; those that a later version added are left out."""
    return {
        name: _text(values[name])
        if name in texts
        else None
        if name in optional and values[name] is None
        else _natural(values[name])
        for name in record._fields
    }


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace").strip()
