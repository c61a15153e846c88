"""A flame graph as one self-contained picture: root on top, width is time, colour is the package.

Boxes are functions (lines of one function are merged); threads are the first row. What would be thinner than a line is
merged into one grey box beside its siblings, so that nothing is lost from the sums. No scripts, no fonts, no links: any
browser, and any program that draws SVG, shows the same. Pointing at a box shows its figures.
"""

from __future__ import annotations

from .._analysis.calltree import Box, flame_tree
from .._base import MEASURES
from ._drawing import MARGIN, NOTHING, WIDTH, clean, drawn, layout, opening, percent, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._base import BaseProfile

# Light enough for black text, told apart by the colour-blind; the heaviest packages get them in this order.
_PALETTE = (
    "#f2a65a",
    "#7fb7de",
    "#8fce9b",
    "#e8c547",
    "#c9a0dc",
    "#f28b82",
    "#7ed0c6",
    "#c8b08c",
    "#a3b8f0",
    "#b9cc66",
)
_OTHER, _GREY, _THREAD = "#dcd6c8", "#d4d4d4", "#e6e9ee"


def render(profile: BaseProfile) -> Iterator[str]:
    """The picture, in pieces."""
    root = flame_tree(profile)
    boxes = list(layout(root))
    colours = _colours(root)
    yield opening(boxes)
    yield from _header(profile, root, colours)
    if not root.weight:
        yield NOTHING
    for box, row, x, width in boxes:
        yield drawn(box.name, _details(box, root.weight), _fill(box, colours), row, x, width)
    yield "</svg>\n"


def _details(box: Box, total: int) -> list[str]:
    """What pointing at a box shows, a line each."""
    details = [box.name]
    if box.place:
        details.append(box.place)
    details.append(f"{percent(box.weight, total)} of all, {time_text(box.weight)}, {box.samples:,} samples")
    if box.own and box.own != box.weight:
        details.append(f"{percent(box.own, total)} itself, {time_text(box.own)}")
    return details


def _header(profile: BaseProfile, root: Box, colours: dict[str, str]) -> Iterator[str]:
    stats = profile.stats
    measure = MEASURES[profile.mode]
    title = f"{profile.program or 'python'}: {time_text(root.weight)} of {measure}"
    yield f'<text class="t" x="{MARGIN}" y="28">{clean(title)}</text>\n'
    facts = [
        f"{stats.collected:,} samples, one every {profile.interval_ms:g} ms",
        f"{len(profile.threads)} thread{'' if len(profile.threads) == 1 else 's'}",
        f"{profile.total_duration_ms / 1000:.2f} s elapsed",
    ]
    for name, lost in _losses(profile):
        if lost:
            facts.append(f"{percent(lost, root.weight)} {name}")
    facts.append(f"Python {profile.python_version}")
    line = " \u00b7 ".join(facts)
    yield f'<text class="h" x="{MARGIN}" y="49">{clean(line)}</text>\n'
    x = float(MARGIN)
    for package, colour in colours.items():
        label = f"{package[:24]} {percent(root.packages.get(package, 0), root.weight)}"
        if x + 40 + 7.2 * len(label) > WIDTH:
            break
        yield f'<rect x="{x:.1f}" y="62" width="12" height="12" rx="2" fill="{colour}"/>'
        yield f'<text class="h" x="{x + 17:.1f}" y="72.5">{clean(label)}</text>\n'
        x += 40 + 7.2 * len(label)


def _losses(profile: BaseProfile) -> list[tuple[str, int]]:
    return [
        ("dropped", sum(thread.dropped_ns for thread in profile.threads)),
        ("unsampled", sum(thread.unsampled_ns for thread in profile.threads)),
    ]


def _colours(root: Box) -> dict[str, str]:
    """Colours of the packages with the most time of their own."""
    ranked = sorted((package for package in root.packages if package), key=lambda p: (-root.packages[p], p))
    return dict(zip(ranked, _PALETTE))


def _fill(box: Box, colours: dict[str, str]) -> str:
    if box.kind == "mark":
        return _GREY
    if box.kind in ("all", "thread"):
        return _THREAD
    return _shade(colours.get(box.package, _OTHER), box.name)


def _shade(colour: str, name: str) -> str:
    """*colour*, lighter or darker by a little that depends on *name* only: neighbours can be told apart."""
    from zlib import crc32

    factor = 0.93 + (crc32(name.encode("utf-8", "surrogatepass")) % 8) / 60
    channels = [min(255, round(int(colour[place : place + 2], 16) * factor)) for place in (1, 3, 5)]
    return "#" + "".join([f"{channel:02x}" for channel in channels])
