"""The report: one HTML file with the whole profile in it, for any browser, without a network.

The page's script and style are built from ``web/`` (docs/adr/0022) and lie beside this module, in ``_report/``; the profile is
added as JSON (`_report_data`). A profile is untrusted input: nothing of it is ever markup or code. Its JSON has no ``<``, the
script makes text nodes of it, and the page's Content-Security-Policy allows the script and the style that are part of it, by
their hashes, and no request to anywhere.
"""

from __future__ import annotations

import json

from ._report_data import head, packed_columns
from ._sources import sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._base import BaseProfile

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}
_BUNDLE = ("report.js", "report.css")


class ReportNotBuiltError(RuntimeError):
    """Raised where spprof was installed without the page's script; the message says how to get it."""


def render(profile: BaseProfile) -> Iterator[str]:
    """The page, in pieces."""
    script, style = bundle()
    title = _escaped(f"{profile.program or 'python'} \u00b7 spprof")
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script, style)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n'
        "<noscript>This report needs JavaScript. It makes no requests: all of it is in this file.</noscript>\n"
        '<script type="application/json" id="profile">'
    )
    names = head(profile)
    names["sources"] = sources(profile)
    yield _inert(json.dumps(names, ensure_ascii=True, separators=(",", ":"))[:-1])
    yield ',"columns":{'
    for index, (name, column) in enumerate(packed_columns(profile)):
        yield f'{"," if index else ""}"{name}":"{column}"'
    yield f"}}}}</script>\n<script>{script}</script>\n</body>\n</html>\n"


def bundle() -> tuple[str, str]:
    """The page's script and style. Raises `ReportNotBuiltError` if this installation has none."""
    from pkgutil import get_data

    texts = []
    for name in _BUNDLE:
        try:
            data = get_data(__package__, f"_report/{name}")
        except OSError:
            data = None
        if data is None:
            raise ReportNotBuiltError(
                "this installation of spprof can't write HTML: it was made from a checkout in which the page was not built. "
                "Run `make web` there (it needs Node.js 18 or newer and npm) and install again; releases have it built in"
            )
        texts.append(data.decode("utf-8"))
    script, style = texts
    if "</script" in script.lower() or "<!--" in script or "</style" in style.lower():
        raise ReportNotBuiltError("the page's script in this installation is damaged: run `make web` and install again")
    return script, style


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    from base64 import b64encode
    from hashlib import sha256

    return "sha256-" + b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")


def _inert(text: str) -> str:
    """JSON without the characters that markup could be made of: still the same JSON."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _escaped(text: str) -> str:
    """*text* for markup; what can't be shown becomes a mark.

    Not with `html.escape`: reports are written within the program, which may have a module of that name.
    """
    return "".join([_ENTITIES.get(c, c) if c.isprintable() else "\ufffd" for c in text])
