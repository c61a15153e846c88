"""JSON as every exporter writes it."""

from __future__ import annotations

import json


def dumps(value: object) -> str:
    """One value, without spaces. ASCII: a lone surrogate in a file name stays an escape, and the file is valid UTF-8."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
