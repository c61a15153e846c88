"""The Python blocks of docs/troubleshooting.md, and their hashes as the contract has them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
HASHES = Path(__file__).resolve().with_name("blocks.sha256")

_HEADING_OR_BLOCK = re.compile(
    r"^#{1,6} (?P<heading>[^\n]*)$|^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """One block, named after the heading that it stands under."""

    name: str
    code: str

    @property
    def sha256(self) -> str:
        """Of its UTF-8 bytes, without the fences."""
        return hashlib.sha256(self.code.encode("utf-8")).hexdigest()


def python_blocks(text: str | None = None) -> list[Block]:
    """All of them, in the document's order. A second one under the same heading is "heading (2)"."""
    if text is None:
        text = DOCUMENT.read_bytes().decode("utf-8")  # bytes: no line end is translated
    heading = ""
    seen: dict[str, int] = {}
    blocks = []
    for match in _HEADING_OR_BLOCK.finditer(text):
        if match["heading"] is not None:
            heading = match["heading"].strip()
        elif match["language"] == "python":
            seen[heading] = seen.get(heading, 0) + 1
            name = heading if seen[heading] == 1 else f"{heading} ({seen[heading]})"
            blocks.append(Block(name, match["code"]))
    return blocks


def recorded_hashes() -> list[tuple[str, str]]:
    """Name and hash of each block of the contract, in its order."""
    lines = HASHES.read_text(encoding="utf-8").splitlines()
    return [(name, digest) for digest, _, name in (line.partition("  ") for line in lines if line)]
