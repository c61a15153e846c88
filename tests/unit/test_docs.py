"""The documents point at things that exist: files, headings, tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_TEST = re.compile(r"`((?:tests|tools|bench|csrc|src|docs|examples)/[\w./-]+)`")


def anchors(path: Path) -> set[str]:
    """What a heading can be linked by, as forges have it."""
    text = _CODE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", path.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(path: Path) -> None:
    named = _TEST.findall(path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_decision_is_listed_and_numbered_once() -> None:
    folder = ROOT / "docs" / "adr"
    files = sorted(file.name for file in folder.glob("[0-9]*.md"))
    listed = re.findall(r"^\| \[(\d{4})\]\((\1[\w-]*\.md)\)", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [name for _, name in listed] == files
    assert len({name[:4] for name in files}) == len(files)
