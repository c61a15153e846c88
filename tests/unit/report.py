"""Looking into HTML reports: what is markup in them, and the data."""

from __future__ import annotations

import json
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from spprof import export
from spprof.export._columns import unpacked

#: Stands in for the page's script where it was not built: documents can be tested without Node.
STAND_IN = ("/* script */", "/* style */")


@pytest.fixture
def any_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports can be written, built or not."""
    monkeypatch.setattr("spprof.export.html.bundle", lambda: STAND_IN)


class Document(HTMLParser):
    """A page as a browser takes it apart: its elements, and the text in each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"script", "style", "title"}:
            self._inside = tag + (dict(attrs).get("id") or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[self._inside] = self.texts.get(self._inside, "") + data

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def data(self) -> Any:
        return json.loads(self.texts["scriptprofile"])


def page_of(profile: Any) -> str:
    """The report of a profile."""
    return "".join(export.renderer("html")(profile))


def data_of(profile: Any) -> dict[str, Any]:
    """The data of its report, columns unpacked."""
    data: dict[str, Any] = Document(page_of(profile)).data
    for name, text in data["columns"].items():
        count, _, packed = text.partition(":")
        data["columns"][name] = unpacked(b64decode(packed), 0, int(count), "q")[0].tolist()
    return data


def is_built() -> bool:
    """Whether this spprof has the page."""
    folder = Path(export.__file__).parent / "_report"
    return (folder / "report.js").is_file() and (folder / "report.css").is_file()
