"""Reading pprof's format (https://github.com/google/pprof/blob/main/proto/profile.proto), spprof's and others'.

Profiles of time are read: CPU profiles, wall clock, delays of locks. Threads are told apart by the labels that profilers have for
them; spprof's own labels of state and task come back.
"""

from __future__ import annotations

import os
import re

from .._code import OTHER, CodeObject, Place
from .._errors import ProfileFileError
from ..export._protobuf import fields, numbers, signed
from ._assumptions import NANOSECONDS
from ._builder import Builder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._profile import Profile
    from ._assumptions import Assumptions

_THREAD_NAMES = ("thread", "thread name", "thread_name")
_THREAD_IDS = ("thread native id", "thread id", "thread_id", "tid")
_NO_THREAD = "all threads"
#: Functions that a compiler has put into one place.
_MOST_INLINED = 256


def read(data: bytes, assumed: Assumptions) -> Profile:  # noqa: ARG001  # pprof says all of it
    """The profile. Raises ProfileFileError, or what else a file can make happen (see `load`)."""
    parts: dict[int, list[bytes]] = {field: [] for field in (1, 2, 3, 4, 5, 6)}
    single: dict[int, int | bytes] = {}
    comments: list[int] = []
    try:
        for field, value in fields(data):
            if field in parts:
                parts[field].append(_message(value))
            elif field == 13:
                comments.extend(numbers(value))
            else:
                single[field] = value
    except ProfileFileError:
        raise
    except ValueError as error:
        raise ProfileFileError(f"it is not a profile that spprof can read, or a damaged one ({error})") from None
    strings = [text.decode("utf-8", "replace") for text in parts[6]]
    if not strings or strings[0] or not parts[1]:
        raise ProfileFileError(
            "it is not a profile that spprof can read (.spprof, pprof, speedscope or collapsed stacks)"
        )
    kinds = [_kind(each, strings) for each in parts[1]]
    period = _kind(_message(single.get(11, b"")), strings)
    period_ns = _whole(single.get(12, 0)) * NANOSECONDS.get(period[1], 0)
    shown, factor = _choose(kinds, strings[_whole(single.get(14, 0))], period_ns)
    by_type = {kind: index for index, (kind, unit) in enumerate(kinds) if unit == "nanoseconds"}
    mode = _mode(kinds[shown][0], period[0])
    cpu = by_type.get("cpu") if mode != "cpu" else None
    counted = next((index for index, (_, unit) in enumerate(kinds) if unit == "count"), None)

    builder = Builder()
    locations = _locations(parts[4], parts[5], _objects(parts[3], strings, builder), strings, builder)
    has_states = False
    for sample in parts[2]:
        stack, values, labels = _sample(sample, strings)
        if len(values) != len(kinds):
            raise ProfileFileError("it is damaged: a sample has another number of values than there are types")
        has_states = has_states or "state" in labels
        thread, name = _thread(labels)
        frames = [frame for location in reversed(stack) for frame in locations[location]]
        builder.add(
            thread, name, builder.stack(frames), values[shown] * factor, 1 if counted is None else values[counted],
            cpu=0 if cpu is None else values[cpu],
            state=(labels.get("state", "running"), labels.get("waiting_for", "")), task=labels.get("task", ""),
        )  # fmt: skip
    python_version, platform = _machine([strings[index] for index in comments])
    return builder.profile(
        mode=mode, program=_program(parts[3], strings), platform=platform, python_version=python_version,
        start_time=signed(_whole(single.get(9, 0))) / 1e9, duration_ns=max(0, signed(_whole(single.get(10, 0)))),
        interval_ns=period_ns if 0 < period_ns < 2**63 else 0, with_states=cpu is not None and has_states,
    )  # fmt: skip


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ProfileFileError("it is damaged: a number where there should be a part")
    return value


def _whole(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ProfileFileError("it is damaged: a part where there should be a number")
    return value


def _kind(message: bytes, strings: list[str]) -> tuple[str, str]:
    """Name and unit of a type of value."""
    entry = dict(fields(message))
    return strings[_whole(entry.get(1, 0))], strings[_whole(entry.get(2, 0))]


def _choose(kinds: list[tuple[str, str]], preferred: str, period_ns: int) -> tuple[int, int]:
    """Which of a sample's values is its weight, and the nanoseconds of 1 in it."""
    timed = [index for index, (_, unit) in enumerate(kinds) if unit in NANOSECONDS]
    if timed:
        named = [index for index in timed if kinds[index][0] == preferred]
        index = (named or timed[-1:])[0]
        return index, NANOSECONDS[kinds[index][1]]
    for index, (_, unit) in enumerate(kinds):
        if unit == "count" and period_ns:
            return index, period_ns
    found = ", ".join([f"{kind} in {unit}" for kind, unit in kinds])
    raise ProfileFileError(f"its values are no times ({found}); spprof shows profiles of time")


def _mode(kind: str, period: str) -> str:
    if kind in ("samples", "sample"):  # with the period's time
        kind = period
    return kind if kind in ("cpu", "gil") else "wall"


def _objects(mappings: list[bytes], strings: list[str], builder: Builder) -> dict[int, int]:
    """By its id: number of the object of a mapping of machine code. Only a build id says later which file it was."""
    result: dict[int, int] = {}
    for mapping in mappings:
        entry = {field: _whole(value) for field, value in fields(mapping)}
        try:
            build_id = bytes.fromhex(strings[entry.get(6, 0)])
        except ValueError:  # what other systems than ELF's call so
            build_id = b""
        start, end = entry.get(2, 0), entry.get(3, 0)
        if start < end:
            result[entry.get(1, 0)] = len(builder.objects)
            segments = ((start, end, entry.get(4, 0)),)
            builder.objects.append(CodeObject(strings[entry.get(5, 0)], build_id, None, OTHER, segments))
    return result


def _locations(
    messages: list[bytes], functions: list[bytes], objects: dict[int, int], strings: list[str], builder: Builder
) -> dict[int, list[int]]:
    """By its id: the frames of a location, the outermost first."""
    known: dict[int, tuple[str, str, int]] = {}
    for message in functions:
        entry = {field: _whole(value) for field, value in fields(message)}
        name = strings[entry.get(2, 0)] or strings[entry.get(3, 0)]
        known[entry.get(1, 0)] = name, strings[entry.get(4, 0)], signed(entry.get(5, 0))
    result: dict[int, list[int]] = {}
    for message in messages:
        number = address = mapping = 0
        lines: list[tuple[str, str, int, int | None, int]] = []
        for field, value in fields(message):
            if field == 1:
                number = _whole(value)
            elif field == 2:
                mapping = _whole(value)
            elif field == 3:
                address = _whole(value)
            elif field == 4:
                line = dict(fields(_message(value)))
                name, file, first = known[_whole(line.get(1, 0))]
                column = signed(_whole(line.get(3, 0)))
                at = signed(_whole(line.get(2, 0)))
                lines.append((name, file, at, column - 1 if column > 0 else None, first))
        if len(lines) > _MOST_INLINED:
            raise ProfileFileError("it is damaged: hundreds of functions in one place")
        code = objects.get(mapping) if address else None
        if code is None:
            result[number] = [builder.frame(*line) for line in reversed(lines)] or [builder.frame(f"{address:#x}")]
        else:
            result[number] = _native(builder, lines, code, address)
    return result


def _native(builder: Builder, lines: list[tuple[str, str, int, int | None, int]], code: int, address: int) -> list[int]:
    """The frames of a location in machine code."""
    path = builder.objects[code].path
    module = os.path.basename(path)
    if lines and not re.fullmatch(re.escape(module) + r"\+0x[0-9a-f]+", lines[0][0]):
        is_native = bool(builder.objects[code].build_id)  # profilers of Python have mappings too, for the format's sake
        frames = [builder.frame(*line, module if is_native else "", is_native) for line in reversed(lines)]
        if is_native and len(frames) == 1:
            builder.place(frames[0], Place(code, address, None), True)
        return frames
    [(start, _, offset)] = builder.objects[code].segments
    name = lines[0][0] if lines else f"{module}+{address - start + offset:#x}"
    number = builder.frame(name, path, 0, None, 0, module, True)
    builder.place(number, Place(code, address, None), False)
    return [number]


def _sample(message: bytes, strings: list[str]) -> tuple[list[int], list[int], dict[str, str]]:
    """Locations, leaf first, values and labels of a sample; labels that are numbers are written out."""
    stack: list[int] = []
    values: list[int] = []
    labels: dict[str, str] = {}
    for field, value in fields(message):
        if field == 1:
            stack.extend(numbers(value))
        elif field == 2:
            values.extend([signed(each) for each in numbers(value)])
        elif field == 3:
            entry = {field: _whole(each) for field, each in fields(_message(value))}
            text = strings[entry.get(2, 0)]
            labels[strings[entry.get(1, 0)]] = text or str(signed(entry.get(3, 0)))
    return stack, values, labels


def _thread(labels: dict[str, str]) -> tuple[tuple[str, str], str]:
    """What tells threads apart, and a name."""
    name = next((labels[key] for key in _THREAD_NAMES if key in labels), "")
    number = next((labels[key] for key in _THREAD_IDS if key in labels), "")
    return (name, number), name or (f"thread {number}" if number else _NO_THREAD)


def _program(mappings: list[bytes], strings: list[str]) -> str:
    """The first mapping is the program, by the format's rules."""
    for mapping in mappings[:1]:
        return os.path.basename(strings[_whole(dict(fields(mapping)).get(5, 0))])
    return ""


def _machine(comments: list[str]) -> tuple[str, str]:
    """Python's version and the platform, where spprof has written them."""
    for comment in comments:
        match = re.fullmatch(r"spprof \S+, Python (\S+), (.*)", comment)
        if match:
            return match[1], match[2]
    return "", ""
