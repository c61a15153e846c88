"""What pictures of trees of calls have in common: where boxes are, and how one is drawn.

What would be thinner than a line is merged into one box beside its siblings, so that nothing is lost from the sums.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._analysis.calltree import Box

WIDTH, MARGIN, ROW = 1200, 12, 18
THINNEST = 0.6  # pixels; thinner boxes are merged
_CHARACTER = 6.62  # width of a character of the monospaced font at 11 pixels
_TOP = 92
_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
_STYLE = (
    "text{font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:11px;fill:#1b1b1b;pointer-events:none}"
    "text.h{font-family:'DejaVu Sans',Helvetica,Arial,sans-serif;font-size:12px;fill:#444}"
    "text.t{font-family:'DejaVu Sans',Helvetica,Arial,sans-serif;font-size:17px;font-weight:bold;fill:#111}"
    "rect.b{stroke:#fff;stroke-width:.6}g:hover>rect.b{stroke:#000;stroke-width:1.2}"
)
NOTHING = f'<text class="h" x="{MARGIN}" y="{_TOP + 14}">No samples.</text>\n'


def opening(boxes: list[tuple[Box, int, float, float]]) -> str:
    """The beginning of a picture with room for *boxes*, placed by `layout`, below a heading."""
    depth = max([row for _, row, _, _ in boxes], default=0) + 1
    height = _TOP + max(depth, 2) * ROW + MARGIN
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}">\n<style>{_STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
    )


def height_of(picture: str) -> int:
    """The height of a picture in pixels."""
    return int(picture.partition(' height="')[2].partition('"')[0])


def layout(root: Any) -> Iterator[tuple[Any, int, float, float]]:
    """Boxes with row, left edge and width in pixels, parents before children."""
    if not root.weight:
        return
    scale = (WIDTH - 2 * MARGIN) / root.weight
    waiting: list[tuple[Any, int, int]] = [(root, 0, 0)]
    while waiting:
        box, row, left = waiting.pop()
        yield box, row, MARGIN + left * scale, box.weight * scale
        small: list[Any] = []
        shown = []
        for child in box.sorted_children():
            if child.weight * scale < THINNEST:
                small.append(child)
            else:
                shown.append((child, row + 1, left))
                left += child.weight
        rest = root.merged(small)
        if rest.weight * scale >= THINNEST:
            shown.append((rest, row + 1, left))
        waiting.extend(reversed(shown))


def drawn(name: str, details: list[str], fill: str, row: int, x: float, width: float) -> str:
    """A box in row *row*, with as much of its name as there is room for; *details*: lines that pointing at it shows."""
    y = _TOP + row * ROW
    title = clean("\n".join(details))
    rect = f'x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" rx="1.5" fill="{fill}"'
    parts = [f'<g><title>{title}</title><rect class="b" {rect}/>']
    room = int((width - 6) / _CHARACTER)
    if room >= 3:
        name = name if len(name) <= room else name[: room - 1] + "\u2026"
        parts.append(f'<text x="{x + 3:.2f}" y="{y + 12.5}">{clean(name)}</text>')
    parts.append("</g>\n")
    return "".join(parts)


def percent(part: int, total: int) -> str:
    share = 100 * part / total if total else 0.0
    return f"{share:.1f} %" if share >= 0.05 or not part else "<0.1 %"


def time_text(ns: int) -> str:
    """A time in words, three digits of it."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("\u00b5s", 10**3)):
        if ns >= size:
            value = ns / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{ns} ns"


def clean(text: str) -> str:
    """*text* for XML, which has no way at all to hold most control characters and lone surrogates."""
    return "".join([c if _is_xml(c) else "\ufffd" for c in text]).translate(_ENTITIES)


def _is_xml(c: str) -> bool:
    return " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" or c in "\n\t"
