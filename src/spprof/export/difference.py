"""A differential flame graph: two profiles in one picture.

Root on top; threads are merged. A box's width is the mean of its shares in both profiles, so that what is only in one of them is
there as well. Red takes a larger share in the second profile, blue a smaller one; grey is what may be chance.
"""

from __future__ import annotations

from .._analysis.calltree import Box
from .._analysis.evidence import MIN_SAMPLES, Tally, quantile, share_change
from .._base import MEASURES
from ._drawing import MARGIN, NOTHING, clean, drawn, layout, opening, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from typing import Union

    from .._analysis.difference import ProfileDiff
    from .._analysis.evidence import ShareChange

    PathLike = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]

#: Widths are whole numbers of this part of everything.
_UNIT = 10**12
_GREY = (226, 224, 219)
_RED, _BLUE = (232, 79, 60), (66, 133, 220)


class _Box(Box):
    """A box with its samples in both profiles: numbers, weights and squares of weights."""

    __slots__ = ("after", "before")

    children: dict[tuple[str, str, int], _Box]  # type: ignore[assignment]

    def __init__(self, name: str, place: str = "", kind: str = "function") -> None:
        super().__init__(name, place, kind=kind)
        self.before = [0, 0, 0]
        self.after = [0, 0, 0]

    @classmethod
    def merged(cls, boxes: Iterable[Box]) -> _Box:
        boxes = list(boxes)
        result = cls(f"({len(boxes)} small)", kind="mark")
        for box in boxes:
            assert isinstance(box, _Box)
            result.add(box)
            result.weight += box.weight
        return result

    @property
    def sides(self) -> tuple[list[int], list[int]]:
        """Both."""
        return self.before, self.after

    def add(self, other: _Box) -> None:
        """Adds another box's samples."""
        for mine, its in zip(self.sides, other.sides):
            for i, value in enumerate(its):
                mine[i] += value


def render(diff: ProfileDiff) -> Iterator[str]:
    """The picture, in pieces."""
    root = _tree(diff)
    boxes = list(layout(root))
    tests = sum([box.before[0] + box.after[0] >= MIN_SAMPLES for box, _, _, _ in boxes])
    z = quantile(diff.confidence, tests)
    wholes = Tally(*root.before), Tally(*root.after)
    yield opening(boxes)
    yield from _header(diff)
    if not boxes:
        yield NOTHING
    for box, row, x, width in boxes:
        change = share_change(Tally(*box.before), wholes[0], Tally(*box.after), wholes[1], z)
        yield drawn(box.name, _details(box, change), _fill(change), row, x, width)
    yield "</svg>\n"


def save(diff: ProfileDiff, path: PathLike) -> None:
    """Writes the picture to *path*; see `ProfileDiff.save`."""
    import os

    from ._file import writing

    name = os.fsdecode(path)
    if not name.lower().endswith((".svg", ".svg.gz")):
        raise ValueError(f"a difference is saved as a picture: the name must end with .svg, not {name!r}")
    with writing(path, name.lower().endswith(".gz")) as write:
        for piece in render(diff):
            write(piece.encode("utf-8", "backslashreplace"))


def _tree(diff: ProfileDiff) -> _Box:
    root = _Box("all", kind="all")
    for number, (side, keys) in enumerate(zip(diff._sides, (diff._keys_before, diff._keys_after))):
        tree, canonical = side.profile._tree, side.profile._tree.canonical()
        boxes = {0: root}
        for node in range(1, len(tree)):
            if canonical[node] != node or not side.sums[0][node]:
                continue
            parent, function = boxes[canonical[tree.parent_of[node]]], keys[tree.frame_of[node]]
            first, second = diff._functions[function]
            frame = second or first
            assert frame is not None
            key = (frame.function_name, frame.filename, function)
            box = parent.children.get(key)
            if box is None:
                place = f"{frame.filename}:{frame.firstlineno or frame.lineno}" if frame.filename else ""
                box = parent.children[key] = _Box(frame.function_name, place)
            boxes[node] = box
            for i, column in enumerate(side.sums):
                box.sides[number][i] += column[node]
        for i, column in enumerate(side.sums):
            root.sides[number][i] += column[0]
    _weigh(root)
    return root


def _weigh(root: _Box) -> None:
    """Widths: the mean of the shares. Children never take more than their parent has."""
    wholes = [(side, sums[1]) for side, sums in ((0, root.before), (1, root.after)) if sums[1]]
    waiting = [root]
    while waiting:
        box = waiting.pop()
        own = [box.before[1], box.after[1]]
        box.weight = sum([own[side] * _UNIT // (whole * len(wholes)) for side, whole in wholes])
        waiting.extend(box.children.values())


def _details(box: _Box, change: ShareChange) -> list[str]:
    details = [box.name]
    if box.place:
        details.append(box.place)
    details.append(f"{change.before:.1%} \u2192 {change.after:.1%} of the time: {100 * change.change:+.1f} points")
    doubt = "" if change.is_significant else ": may be chance"
    details.append(f"between {100 * change.low:+.1f} and {100 * change.high:+.1f}{doubt}")
    details.append(
        f"{time_text(change.before_ns)} in {change.before_samples:,} samples \u2192 "
        f"{time_text(change.after_ns)} in {change.after_samples:,} samples"
    )
    return details


def _fill(change: ShareChange) -> str:
    if not change.is_significant:
        return "#" + "".join([f"{channel:02x}" for channel in _GREY])
    # Twice or half as much is already a strong colour; the faintest is still told from grey.
    ratio = abs(change.change) / (change.before + change.after)
    strength = min(0.25 + 1.6 * ratio, 1.0)
    target = _RED if change.change > 0 else _BLUE
    return "#" + "".join([f"{round(grey + (full - grey) * strength):02x}" for grey, full in zip(_GREY, target)])


def _header(diff: ProfileDiff) -> Iterator[str]:
    before, after = diff.before, diff.after
    names = [each.program or "python" for each in (before, after)]
    title = f"{names[0]} \u2192 {names[1]}: change of the share of {MEASURES[after.mode]}"
    yield f'<text class="t" x="{MARGIN}" y="28">{clean(title)}</text>\n'
    facts = [
        f"{_sampled(before)} in {before.sample_count:,} samples \u2192 {_sampled(after)} in {after.sample_count:,} samples",
        f"{len(diff.changed_functions)} of {len(diff.functions)} functions changed by more than chance ({diff.confidence:.0%})",
    ]
    line = " \u00b7 ".join(facts)
    yield f'<text class="h" x="{MARGIN}" y="49">{clean(line)}</text>\n'
    x = MARGIN
    for colour, label in ((_RED, "a larger share"), (_BLUE, "a smaller share"), (_GREY, "may be chance")):
        fill = "#" + "".join([f"{channel:02x}" for channel in colour])
        yield f'<rect x="{x}" y="62" width="12" height="12" rx="2" fill="{fill}"/>'
        yield f'<text class="h" x="{x + 17}" y="72.5">{label}</text>\n'
        x += 140


def _sampled(profile: object) -> str:
    return time_text(sum([thread.sampled_ns for thread in profile.threads]))  # type: ignore[attr-defined]
