"""Reading speedscope's format (https://www.speedscope.app/file-format-schema.json), spprof's and others': sampled and evented.

A profile in the file is a thread. The order of samples is the file's. Of spprof's own profiles of elapsed time, whose
second half is the CPU time in it, the first half is read.
"""

from __future__ import annotations

import json
import re

from .._base import MEASURES
from .._errors import ProfileFileError
from ._assumptions import NANOSECONDS
from ._builder import Builder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._profile import Profile
    from ._assumptions import Assumptions

_OURS = re.compile(rf"(.*) \(({'|'.join(MEASURES.values())}), every ([0-9.e+-]+) ms\)", re.DOTALL)
_CPU_HALF = " (CPU time)"


def read(data: bytes, assumed: Assumptions) -> Profile:
    """The profile. Raises ProfileFileError, or what else a file can make happen (see `load`)."""
    try:
        document = json.loads(data.decode("utf-8-sig", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ProfileFileError(f"it begins like JSON, but is not ({error!s:.100})") from None
    if not isinstance(document, dict) or not isinstance(document.get("profiles"), list) or "shared" not in document:
        raise ProfileFileError("it is JSON, but not a speedscope file")
    builder = Builder(in_order=True)
    frames = [
        builder.frame(
            _text(each["name"]), _text(each.get("file") or ""), int(each.get("line") or 0),
            int(each["col"]) - 1 if each.get("col") else None,
        )
        for each in document["shared"]["frames"]
    ]  # fmt: skip
    nodes = _Nodes(builder, frames)
    mode, program, interval_ns = assumed.mode, _text(document.get("name") or ""), 0
    ours = _OURS.fullmatch(program) if str(document.get("exporter", "")).startswith("spprof@") else None
    if ours:
        mode = next(mode for mode, measure in MEASURES.items() if measure == ours[2])
        program, interval_ns = ours[1], round(float(ours[3]) * 1e6)
    names = {str(each.get("name")) for each in document["profiles"]}
    for index, each in enumerate(document["profiles"]):
        name = _text(each.get("name") or "")
        if ours and mode != "cpu" and name.endswith(_CPU_HALF) and name[: -len(_CPU_HALF)] in names:
            continue
        factor, counts = _unit(each.get("unit", "none"), assumed)
        if each["type"] == "sampled":
            rows = _sampled(each, factor, nodes)
        elif each["type"] == "evented":
            rows = _evented(each, factor, nodes)
        else:
            raise ProfileFileError(f"a profile in it is of an unknown type: {each['type']!r:.40}")
        for node, weight in rows:
            count = weight // factor if counts and weight % factor == 0 else 1
            builder.add(index, name, node, weight, count)
    return builder.profile(mode=mode, program=program, interval_ns=interval_ns if 0 < interval_ns < 2**63 else 0)


def _unit(unit: object, assumed: Assumptions) -> tuple[int, bool]:
    """Nanoseconds of 1, and whether it is a number of samples."""
    if unit == "none":
        return assumed.factor(), assumed.unit in (None, "samples")
    if unit not in NANOSECONDS:
        raise ProfileFileError(f"its values are no times ({unit!r:.40}); spprof shows profiles of time")
    return NANOSECONDS[str(unit)], False


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ProfileFileError(f"it is damaged: {value!r:.40} where there should be a text")
    return value


def _nanoseconds(value: Any, factor: int) -> int:
    """Whole numbers stay exact, whatever their size."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProfileFileError(f"it is damaged: {value!r:.40} where there should be a number")
    return value * factor if isinstance(value, int) else round(value * factor)


class _Nodes(dict["tuple[int, ...]", int]):
    """The node of a stack of frames' numbers in the file, found out once."""

    def __init__(self, builder: Builder, frames: list[int]) -> None:
        super().__init__()
        self.builder = builder
        self.frames = frames

    def __missing__(self, stack: tuple[Any, ...]) -> int:
        node = self[stack] = self.builder.stack([self.frame(number) for number in stack])
        return node

    def frame(self, number: object) -> int:
        """The builder's number of a frame."""
        if type(number) is not int or not 0 <= number < len(self.frames):
            raise ProfileFileError(f"it is damaged: there is no frame {number!r:.40}")
        return self.frames[number]


def _sampled(profile: dict[str, Any], factor: int, nodes: _Nodes) -> Iterator[tuple[int, int]]:
    samples, weights = profile["samples"], profile["weights"]
    if len(samples) != len(weights):
        raise ProfileFileError("it is damaged: another number of weights than of samples")
    for stack, weight in zip(samples, weights):
        yield nodes[tuple(stack)], _nanoseconds(weight, factor)


def _evented(profile: dict[str, Any], factor: int, nodes: _Nodes) -> Iterator[tuple[int, int]]:
    """Each stretch between two events is a sample, of what is open there."""
    stack = [(0, 0)]  # frame and node of what is open, below it the root
    last = _nanoseconds(profile.get("startValue", 0), factor)
    for event in profile["events"]:
        kind, frame, at = event["type"], nodes.frame(event["frame"]), _nanoseconds(event["at"], factor)
        if at < last:
            raise ProfileFileError("it is damaged: an event is earlier than the one before it")
        if at > last and len(stack) > 1:
            yield stack[-1][1], at - last
        last = at
        if kind == "O":
            stack.append((frame, nodes.builder.child(stack[-1][1], frame)))
        elif kind == "C" and len(stack) > 1 and stack[-1][0] == frame:
            stack.pop()
        else:
            raise ProfileFileError("it is damaged: a function ends that is not the innermost")
