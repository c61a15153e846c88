"""A flame graph as one self-contained picture: root on top, width is time, colour is the package.

Boxes are functions (lines of one function are merged); threads are the first row. What would be thinner than a line is
merged into one grey box beside its siblings, so that nothing is lost from the sums. No scripts, no fonts, no links: any
browser, and any program that draws SVG, shows the same. Pointing at a box shows its figures.
"""

from __future__ import annotations

from .._base import MEASURES
from ._flame import Box, flame_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._base import BaseProfile

WIDTH, MARGIN, ROW = 1200, 12, 18
THINNEST = 0.6  # pixels; thinner boxes are merged
_CHARACTER = 6.62  # width of a character of the monospaced font at 11 pixels
_TOP = 92

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
_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
_STYLE = (
    "text{font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:11px;fill:#1b1b1b;pointer-events:none}"
    "text.h{font-family:'DejaVu Sans',Helvetica,Arial,sans-serif;font-size:12px;fill:#444}"
    "text.t{font-family:'DejaVu Sans',Helvetica,Arial,sans-serif;font-size:17px;font-weight:bold;fill:#111}"
    "rect.b{stroke:#fff;stroke-width:.6}g:hover>rect.b{stroke:#000;stroke-width:1.2}"
)


def render(profile: BaseProfile) -> Iterator[str]:
    """The picture, in pieces."""
    root = flame_tree(profile)
    boxes = list(_layout(root))
    colours = _colours(root)
    depth = max([row for _, row, _, _ in boxes], default=0) + 1
    height = _TOP + max(depth, 2) * ROW + MARGIN
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}">\n<style>{_STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
    )
    yield from _header(profile, root, colours)
    if not root.weight:
        yield f'<text class="h" x="{MARGIN}" y="{_TOP + 14}">No samples.</text>\n'
    for box, row, x, width in boxes:
        yield _drawn(box, row, x, width, root.weight, colours)
    yield "</svg>\n"


def _layout(root: Box) -> Iterator[tuple[Box, int, float, float]]:
    """Boxes with row, left edge and width in pixels, parents before children."""
    if not root.weight:
        return
    scale = (WIDTH - 2 * MARGIN) / root.weight
    waiting = [(root, 0, 0)]
    while waiting:
        box, row, left = waiting.pop()
        yield box, row, MARGIN + left * scale, box.weight * scale
        small: list[Box] = []
        shown = []
        for child in box.sorted_children():
            if child.weight * scale < THINNEST:
                small.append(child)
            else:
                shown.append((child, row + 1, left))
                left += child.weight
        rest = Box.merged(small)
        if rest.weight * scale >= THINNEST:
            shown.append((rest, row + 1, left))
        waiting.extend(reversed(shown))


def _drawn(box: Box, row: int, x: float, width: float, total: int, colours: dict[str, str]) -> str:
    y = _TOP + row * ROW
    details = [box.name]
    if box.place:
        details.append(box.place)
    details.append(f"{_percent(box.weight, total)} of all, {time_text(box.weight)}, {box.samples:,} samples")
    if box.own and box.own != box.weight:
        details.append(f"{_percent(box.own, total)} itself, {time_text(box.own)}")
    title = _clean("\n".join(details))
    fill = _fill(box, colours)
    rect = f'x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" rx="1.5" fill="{fill}"'
    parts = [f'<g><title>{title}</title><rect class="b" {rect}/>']
    room = int((width - 6) / _CHARACTER)
    if room >= 3:
        name = box.name if len(box.name) <= room else box.name[: room - 1] + "\u2026"
        parts.append(f'<text x="{x + 3:.2f}" y="{y + 12.5}">{_clean(name)}</text>')
    parts.append("</g>\n")
    return "".join(parts)


def _header(profile: BaseProfile, root: Box, colours: dict[str, str]) -> Iterator[str]:
    stats = profile.stats
    measure = MEASURES[profile.mode]
    title = f"{profile.program or 'python'}: {time_text(root.weight)} of {measure}"
    yield f'<text class="t" x="{MARGIN}" y="28">{_clean(title)}</text>\n'
    facts = [
        f"{stats.collected:,} samples, one every {profile.interval_ms:g} ms",
        f"{len(profile.threads)} thread{'' if len(profile.threads) == 1 else 's'}",
        f"{profile.total_duration_ms / 1000:.2f} s elapsed",
    ]
    for name, lost in _losses(profile):
        if lost:
            facts.append(f"{_percent(lost, root.weight)} {name}")
    facts.append(f"Python {profile.python_version}")
    line = " \u00b7 ".join(facts)
    yield f'<text class="h" x="{MARGIN}" y="49">{_clean(line)}</text>\n'
    x = float(MARGIN)
    for package, colour in colours.items():
        label = f"{package[:24]} {_percent(root.packages.get(package, 0), root.weight)}"
        if x + 40 + 7.2 * len(label) > WIDTH:
            break
        yield f'<rect x="{x:.1f}" y="62" width="12" height="12" rx="2" fill="{colour}"/>'
        yield f'<text class="h" x="{x + 17:.1f}" y="72.5">{_clean(label)}</text>\n'
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
    if box.kind == "thread":
        return _THREAD
    return _shade(colours.get(box.package, _OTHER), box.name)


def _shade(colour: str, name: str) -> str:
    """*colour*, lighter or darker by a little that depends on *name* only: neighbours can be told apart."""
    from zlib import crc32

    factor = 0.93 + (crc32(name.encode("utf-8", "surrogatepass")) % 8) / 60
    channels = [min(255, round(int(colour[place : place + 2], 16) * factor)) for place in (1, 3, 5)]
    return "#" + "".join([f"{channel:02x}" for channel in channels])


def _percent(part: int, total: int) -> str:
    share = 100 * part / total if total else 0.0
    return f"{share:.1f} %" if share >= 0.05 or not part else "<0.1 %"


def time_text(ns: int) -> str:
    """A time in words, three digits of it."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("\u00b5s", 10**3)):
        if ns >= size:
            value = ns / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{ns} ns"


def _clean(text: str) -> str:
    """*text* for XML, which has no way at all to hold most control characters and lone surrogates."""
    return "".join([c if _is_xml(c) else "\ufffd" for c in text]).translate(_ENTITIES)


def _is_xml(c: str) -> bool:
    return " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" or c in "\n\t"
