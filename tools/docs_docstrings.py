"""Extension of griffe (mkdocs.yml): the lists of arguments in docstrings become lists of Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ITEM = re.compile(r"(\w+(?:, \w+)*): (?=\S)")


def as_markdown(text: str) -> str:
    """A docstring with ``name: text`` and the indented lines after it as items of a list."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        match = _ITEM.match(line)
        if match:
            if not inside and lines and lines[-1]:
                lines.append("")
            names = ", ".join(f"`{name}`" for name in match.group(1).split(", "))
            lines.append(f"- {names}: {line[match.end() :]}")
            inside = True
        else:
            inside = inside and line.startswith(" ")
            lines.append(line)
    return "\n".join(lines)


class Lists(griffe.Extension):
    """What mkdocstrings loads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Griffe's hook."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
