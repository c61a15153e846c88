"""The `.spprof` file: all that a `Profile` holds, in a few bytes a sample (docs/formats.md, docs/adr/0019).

    HEAD   format version, version of spprof            always first
    META   facts of the session, threads, losses, figures
    FRMS   frames, with their texts in one list
    TREE   columns: distance of each node to its parent, its frame
    ROWS   as often as needed: columns of up to 65,536 samples
    END    number of ROWS chunks

Chunks of other types are skipped: a later version may add some without becoming unreadable for this one.
"""

from __future__ import annotations

import struct
from array import array

from .._base import Facts
from .._errors import ProfileFileError
from .._model import STATES, Frame, Loss, ThreadInfo
from .._profile import Profile
from .._rows import Rows
from .._stats import Stats
from .._tree import StackTree
from .._version import __version__
from ._columns import packed, unpacked
from ._container import END, SIGNATURE, chunk, chunks, json_chunk, json_of
from ._samples import with_samples

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._base import BaseProfile

VERSION = 1
ROWS_A_CHUNK = 65536
# Columns of equal numbers deflate to nothing, those of real profiles do not: more than this is a file made to fill memory.
_SOME_ROWS, _SOME_NODES, _NODES_A_BYTE = 4_000_000, 1_000_000, 64
_COUNT = struct.Struct("<I")
_PLAIN_FACTS = (
    "cpu_time_ns", "duration_ns", "interval_ns", "mode", "platform", "program", "python_version", "start_time",
)  # fmt: skip
_NUMBERS = ("lineno", "column", "end_lineno", "end_column", "firstlineno")
_FLAGS = ("is_native", "is_suspended")
_TEXTS = ("function_name", "filename", "module")
# Columns of the rows and their types; the optional ones are named in META.
_ALWAYS = (("times", "q"), ("weights", "q"), ("nodes", "I"), ("thread_index", "I"))
_SOMETIMES = (("cpu", "q"), ("states", "B"), ("tasks", "I"))


def render(profile: BaseProfile) -> Iterator[bytes]:
    """The file, in pieces."""
    profile = with_samples(profile, "spprof")
    rows, facts = profile._rows, profile._facts
    columns = [*_ALWAYS, *[(name, code) for name, code in _SOMETIMES if getattr(rows, name) is not None]]
    yield SIGNATURE
    yield json_chunk(b"HEAD", {"format": VERSION, "spprof": __version__})
    yield json_chunk(b"META", {
        "facts": {name: getattr(facts, name) for name in _PLAIN_FACTS},
        "stats": facts.stats.to_dict(),
        "threads": [thread._asdict() for thread in facts.threads],
        "losses": [loss._asdict() for loss in facts.losses],
        "columns": [name for name, _ in columns],
        "task_names": rows.task_names,
        "rows": len(rows),
    })  # fmt: skip
    yield json_chunk(b"FRMS", _frames_document(profile._tree.frames[:-2]))
    # The two nodes of losses are added by every tree itself.
    parents, frame_of = profile._tree.parent_of[1:-2], profile._tree.frame_of[1:-2]
    distances = [node - parent for node, parent in enumerate(parents, 1)]
    yield chunk(b"TREE", _COUNT.pack(len(parents)) + packed(distances) + packed(frame_of))
    count = 0
    for start in range(0, len(rows), ROWS_A_CHUNK):
        part = slice(start, start + ROWS_A_CHUNK)
        data = [packed(getattr(rows, name)[part]) for name, _ in columns]
        yield chunk(b"ROWS", _COUNT.pack(min(len(rows) - start, ROWS_A_CHUNK)) + b"".join(data))
        count += 1
    yield chunk(END, _COUNT.pack(count))


def read(data: bytes) -> Profile:
    """The profile that a whole file holds. Raises ProfileFileError."""
    return _Reader().read(data)


def _frames_document(frames: tuple[Frame, ...]) -> dict[str, Any]:
    texts: dict[str, int] = {}
    document: dict[str, Any] = {
        name: [texts.setdefault(getattr(frame, name), len(texts)) for frame in frames] for name in _TEXTS
    }
    document.update({name: [getattr(frame, name) for frame in frames] for name in _NUMBERS})
    document.update({name: [int(getattr(frame, name)) for frame in frames] for name in _FLAGS})
    document["texts"] = list(texts)
    return document


class _Reader:
    """One file. Nothing of it is believed: every number is checked before it is used."""

    def __init__(self) -> None:
        self.meta: dict[str, Any] | None = None
        self.frames: list[Frame] | None = None
        self.parents: array[int] | None = None
        self.frame_of: array[int] | None = None
        self.columns: dict[str, array[int]] = {}
        self.wrong = ""
        self.size = 0

    def read(self, data: bytes) -> Profile:
        self.size = len(data)
        steps = {b"META": self._meta, b"FRMS": self._frames, b"TREE": self._tree, b"ROWS": self._rows}
        first = True
        ended = None
        for kind, body in chunks(data):
            if kind == b"":
                self._damaged("it is cut off")
            elif body is None:
                self._damaged(f"its part {_name(kind)} is damaged (checksum)")
            elif first != (kind == b"HEAD"):
                raise ProfileFileError("it is damaged: the version of its format is missing or comes twice")
            elif kind == b"HEAD":
                self._head(body)
            elif kind == END:
                ended = body
            elif kind in steps:
                try:
                    steps[kind](body)
                except (
                    ValueError,
                    TypeError,
                    KeyError,
                    IndexError,
                    OverflowError,
                    AttributeError,
                    struct.error,
                ) as error:
                    self._damaged(f"its part {_name(kind)} is damaged ({error})")
            first = False
        if ended is None:
            self._damaged("it is cut off")
        return self._profile()

    def _damaged(self, what: str) -> None:
        self.wrong = self.wrong or what

    def _head(self, body: bytes) -> None:
        try:
            head = json_of(body)
            version = int(head["format"])
        except (ValueError, TypeError, KeyError) as error:
            raise ProfileFileError(f"its part HEAD is damaged ({error})") from None
        if version > VERSION:
            raise ProfileFileError(
                f"it is of format {version}, by spprof {head.get('spprof')}; this is spprof {__version__}, which "
                f"reads formats up to {VERSION}: install a newer one"
            )

    def _meta(self, body: bytes) -> None:
        meta = json_of(body)
        facts = {name: meta["facts"][name] for name in _PLAIN_FACTS}
        for name in ("cpu_time_ns", "duration_ns", "interval_ns"):
            facts[name] = _natural(facts[name])
        for name in ("mode", "platform", "program", "python_version"):
            facts[name] = _text(facts[name])
        facts["start_time"] = float(facts["start_time"])
        threads = tuple([ThreadInfo(**_checked(t, ThreadInfo, ("name",), ("end_ns",))) for t in meta["threads"]])
        losses = tuple([Loss(**_checked(loss, Loss, ("kind",), ())) for loss in meta["losses"]])
        if any(loss.thread_index >= len(threads) for loss in losses):
            raise ValueError("a loss of a thread that is not there")
        names = [name for name, _ in (*_ALWAYS, *_SOMETIMES) if name in meta["columns"]]
        if names != meta["columns"] or not {name for name, _ in _ALWAYS} <= set(names):
            raise ValueError("columns")
        if ("cpu" in names) and "states" not in names:
            raise ValueError("columns")
        self.meta = {
            "facts": facts, "threads": threads, "losses": losses, "columns": names, "stats": Stats(dict(meta["stats"])),
            "task_names": [_text(name) for name in meta["task_names"]] or [""], "rows": _natural(meta["rows"]),
        }  # fmt: skip
        self.columns = {name: array(dict((*_ALWAYS, *_SOMETIMES))[name]) for name in names}

    def _frames(self, body: bytes) -> None:
        document = json_of(body)
        texts = [_text(text) for text in document["texts"]]
        fields: dict[str, list[Any]] = {}
        for name in _TEXTS:
            fields[name] = [texts[_natural(index)] for index in document[name]]
        for name in _NUMBERS:
            optional = name in ("column", "end_lineno", "end_column")
            fields[name] = [None if n is None and optional else _natural(n) for n in document[name]]
        for name in _FLAGS:
            fields[name] = [bool(_natural(flag)) for flag in document[name]]
        if len({len(column) for column in fields.values()}) != 1:
            raise ValueError("lengths")
        self.frames = [Frame(**dict(zip(fields, values))) for values in zip(*fields.values())]

    def _tree(self, body: bytes) -> None:
        (count,) = _COUNT.unpack_from(body)
        if count > max(_SOME_NODES, _NODES_A_BYTE * len(body)):
            raise ValueError("length")
        distances, at = unpacked(body, _COUNT.size, count, "I")
        frame_of, at = unpacked(body, at, count, "I")
        if at != len(body):
            raise ValueError("length")
        parents = [node - distance for node, distance in enumerate(distances, 1)]
        if count and (min(distances) < 1 or min(parents) < 0 or max(frame_of) >= len(self.frames or ())):
            raise ValueError("a node without a place")
        self.parents, self.frame_of = array("I", [0, *parents]), array("I", [0xFFFFFFFF, *frame_of])

    def _rows(self, body: bytes) -> None:
        if self.meta is None or self.parents is None:
            raise ValueError("what it belongs to is missing")
        (count,) = _COUNT.unpack_from(body)
        if count > ROWS_A_CHUNK or len(self.columns["times"]) + count > max(_SOME_ROWS, self.size):
            raise ValueError("length")
        at = _COUNT.size
        part: dict[str, array[int]] = {}
        for name in self.meta["columns"]:
            part[name], at = unpacked(body, at, count, self.columns[name].typecode)
        limits = {
            "nodes": len(self.parents), "thread_index": len(self.meta["threads"]), "states": len(STATES),
            "tasks": len(self.meta["task_names"]), "times": 2**63, "weights": 2**63, "cpu": 2**63,
        }  # fmt: skip
        if at != len(body) or any(max(column, default=0) >= limits[name] for name, column in part.items()):
            raise ValueError("a sample without a place")
        for name, column in part.items():
            self.columns[name].extend(column)

    def _profile(self) -> Profile:
        meta, frames, parents, frame_of = self.meta, self.frames, self.parents, self.frame_of
        if meta is None or frames is None or parents is None or frame_of is None:
            raise ProfileFileError(f"{self.wrong or 'a part is missing'}; nothing of it can be shown")
        rows = Rows(**self.columns, task_names=meta["task_names"])
        if not self.wrong and len(rows) != meta["rows"]:
            self.wrong = "it has another number of samples than it should"
        threads, stats = meta["threads"], meta["stats"]
        if self.wrong:
            threads, stats = _without_missing(threads, stats, rows)
        facts = Facts(**meta["facts"], losses=meta["losses"], stats=stats, threads=threads)
        profile = Profile(facts, StackTree(frames, parents, frame_of), rows)
        if self.wrong:
            error = ProfileFileError(f"{self.wrong}; {len(rows)} of {meta['rows']} samples can be shown")
            error.partial = profile
            raise error
        return profile


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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} where there should be a text")
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
