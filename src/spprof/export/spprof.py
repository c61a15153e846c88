"""The `.spprof` file: all that a `Profile` holds, in a few bytes a sample (docs/formats.md, docs/adr/0019).

    HEAD   format version, version of spprof            always first
    META   facts of the session, threads, figures; numbers of samples and losses
    TASK   names of tasks
    LOSS   losses
    FRMS   frames, with their texts in one list
    CODE   objects of machine code that were in memory, and where in them native frames are
    TREE   columns: distance of each node to its parent, its frame
    ROWS   columns of up to 65,536 samples
    END    number of ROWS chunks; a file that grows has none
    NOW    in a file that grows: what has changed, and what is accounted for by now

A file may grow while a program runs: TASK, LOSS, FRMS, CODE, TREE and ROWS add to those before, META replaces the one before
and says how many samples and losses it accounts for, NOW changes parts of that. A file without an end is what the last of them
says.
Chunks of other types are skipped: a later version may add some without becoming unreadable for this one.
"""

from __future__ import annotations

import struct

from .._model import Loss
from .._version import __version__
from ._columns import packed
from ._container import END, SIGNATURE, chunk, json_chunk
from ._samples import with_samples

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .._base import BaseProfile, Facts
    from .._code import MachineCode
    from .._model import Frame

VERSION = 1
ROWS_A_CHUNK = 65536
LOSSES_A_CHUNK = 16384
COUNT = struct.Struct("<I")
PLAIN_FACTS = (
    "cpu_time_ns", "duration_ns", "interval_ns", "mode", "platform", "program", "python_version", "start_time",
)  # fmt: skip
NUMBERS = ("lineno", "column", "end_lineno", "end_column", "firstlineno")
FLAGS = ("is_native", "is_suspended")
TEXTS = ("function_name", "filename", "module")
PLACES = ("object", "address", "function")
# Columns of the rows and their types; the optional ones are named in META.
ALWAYS = (("times", "q"), ("weights", "q"), ("nodes", "I"), ("thread_index", "I"))
SOMETIMES = (("cpu", "q"), ("states", "B"), ("tasks", "I"))


def render(profile: BaseProfile) -> Iterator[bytes]:
    """The file, in pieces."""
    profile = with_samples(profile, "spprof")
    rows, facts = profile._rows, profile._facts
    columns = [*ALWAYS, *[(name, code) for name, code in SOMETIMES if getattr(rows, name) is not None]]
    yield SIGNATURE
    yield json_chunk(b"HEAD", {"format": VERSION, "spprof": __version__})
    yield _meta(facts, columns, len(rows))
    if rows.tasks is not None:
        yield json_chunk(b"TASK", rows.task_names)
    for start in range(0, len(facts.losses), LOSSES_A_CHUNK):
        part_of_losses = facts.losses[start : start + LOSSES_A_CHUNK]
        columns_of_losses = {name: [getattr(loss, name) for loss in part_of_losses] for name in Loss._fields}
        yield json_chunk(b"LOSS", columns_of_losses)
    yield part_of_frames(profile._tree.frames[:-2])
    if profile._code is not None:
        yield part_of_code(profile._code)
    # The two nodes of losses are added by every tree itself.
    parents, frame_of = profile._tree.parent_of[1:-2], profile._tree.frame_of[1:-2]
    yield part_of_tree([node - parent for node, parent in enumerate(parents, 1)], frame_of)
    count = 0
    for part in part_of_rows({name: getattr(rows, name) for name, _ in columns}):
        yield part
        count += 1
    yield chunk(END, COUNT.pack(count))


def growing_head(facts: Facts, *, elapsed: bool) -> bytes:
    """The beginning of a file that grows while its program runs. *elapsed*: its rows have CPU time and states as well."""
    columns = [*ALWAYS, *(SOMETIMES[:2] if elapsed else ())]
    head = json_chunk(b"HEAD", {"format": VERSION, "spprof": __version__, "growing": True})
    return SIGNATURE + head + _meta(facts, columns, 0)


def part_of_changes(changes: dict[str, Any]) -> bytes:
    """What is different from all that came before, which it accounts for."""
    return json_chunk(b"NOW ", changes)


def part_of_frames(frames: tuple[Frame, ...]) -> bytes:
    """More frames."""
    return json_chunk(b"FRMS", _frames_document(frames))


def part_of_code(code: MachineCode) -> bytes:
    """More objects, and where in them native frames are."""
    return json_chunk(b"CODE", _code_document(code))


def part_of_tree(distances: Sequence[int], frame_of: Sequence[int]) -> bytes:
    """More nodes."""
    return chunk(b"TREE", COUNT.pack(len(frame_of)) + packed(distances) + packed(frame_of))


def part_of_rows(columns: dict[str, Any]) -> Iterator[bytes]:
    """More samples, in as many parts as it takes."""
    count = len(columns["times"])
    for start in range(0, count, ROWS_A_CHUNK):
        part = slice(start, start + ROWS_A_CHUNK)
        data = [packed(column[part]) for column in columns.values()]
        yield chunk(b"ROWS", COUNT.pack(min(count - start, ROWS_A_CHUNK)) + b"".join(data))


def _meta(facts: Facts, columns: list[tuple[str, str]], rows: int) -> bytes:
    meta = {
        "facts": {name: getattr(facts, name) for name in PLAIN_FACTS},
        "stats": facts.stats.to_dict(),
        "threads": [thread._asdict() for thread in facts.threads],
        "columns": [name for name, _ in columns],
        "losses": len(facts.losses),
        "rows": rows,
    }
    if facts.unfinished:
        meta["unfinished"] = True
    return json_chunk(b"META", meta)


def _frames_document(frames: tuple[Frame, ...]) -> dict[str, Any]:
    texts: dict[str, int] = {}
    document: dict[str, Any] = {
        name: [texts.setdefault(getattr(frame, name), len(texts)) for frame in frames] for name in TEXTS
    }
    document.update({name: [getattr(frame, name) for frame in frames] for name in NUMBERS})
    document.update({name: [int(getattr(frame, name)) for frame in frames] for name in FLAGS})
    document["texts"] = list(texts)
    return document


def _code_document(code: MachineCode) -> dict[str, Any]:
    places = {index: place for index, place in sorted(code.places.items()) if place.object >= 0}
    objects = [{**each._asdict(), "build_id": each.build_id.hex()} for each in code.objects]
    document: dict[str, Any] = {"fold": code.fold, "objects": objects, "frame": list(places)}
    document.update({name: [getattr(place, name) for place in places.values()] for name in PLACES})
    document["named"] = [int(index not in code.unnamed) for index in places]
    return document
