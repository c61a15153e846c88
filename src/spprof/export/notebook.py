"""A profile in a notebook: its flame graph in a frame of its own.

The picture (`svg`) is a document within the page, in a frame that may run no script, load nothing and send nothing, and whose
styles are its own: whatever a profile's names look like, they are text in a picture.
"""

from __future__ import annotations

from ._drawing import height_of
from .svg import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._base import BaseProfile

#: Pixels; taller pictures scroll.
_TALLEST = 620
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def flame_graph(profile: BaseProfile) -> str:
    """HTML that shows the flame graph wherever it stands."""
    return framed("".join(render(profile)))


def framed(picture: str) -> str:
    """A picture, a whole SVG document, as an element of any page."""
    svg = picture.partition("?>\n")[2]  # no XML declaration in HTML
    document = (
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<style>body{{margin:0}}svg{{display:block;width:100%;height:auto}}</style>{svg}"
    )
    height = min(height_of(picture) + 20, _TALLEST)
    # As the value of an attribute in double quotes: only these two have a meaning there.
    source = document.replace("&", "&amp;").replace('"', "&quot;")
    return (
        f'<iframe sandbox="" title="flame graph" width="100%" height="{height}" style="border:0;background:#fff" '
        f'srcdoc="{source}"></iframe>'
    )
