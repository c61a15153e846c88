"""Write seed inputs for ``fuzz_linetable``: line tables of real code objects of the interpreter that runs this.

Usage: ``python make_corpus.py DIRECTORY``. Adds files, named after their content, and removes none: run it with
several interpreters to get seeds of several formats. The seeds are short and differ in the kinds of entry in them.
"""

from __future__ import annotations

import hashlib
import sys
from importlib import import_module
from inspect import getsourcefile
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = ("asyncio.base_events", "collections", "enum", "heapq", "inspect", "json.decoder", "typing")
SEEDS = 12
MAX_TABLE = 400


def table_format(version: tuple[int, int]) -> int:
    """Number of the line table format of a CPython version, as ``enum sp_linetable_format`` counts them."""
    return 0 if version < (3, 10) else 1 if version < (3, 11) else 2


def line_table(code: CodeType) -> bytes:
    """The table as it is stored in the code object."""
    return code.co_lnotab if sys.version_info < (3, 10) else code.co_linetable


def features(table: bytes) -> frozenset[object]:
    """What a table makes the decoder do: entry kinds (3.11), or rare increments (before)."""
    if sys.version_info >= (3, 11):
        return frozenset((byte >> 3 & 15, byte & 7) for byte in table if byte & 0x80)
    pairs = zip(table[::2], table[1::2])
    return frozenset((a in (0, 254, 255), b if b in (0, 127, 128) else b > 127) for a, b in pairs)


def code_objects(code: CodeType) -> Iterator[CodeType]:
    """A code object and all those in its constants."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from code_objects(const)


def seeds() -> Iterator[bytes]:
    """Few tables that together have as many features as can be had: greedy, in a fixed order."""
    tables = {}
    for name in MODULES:
        path = getsourcefile(import_module(name))
        assert path is not None
        for code in code_objects(compile(Path(path).read_bytes(), name, "exec")):
            table = line_table(code)
            if len(table) <= MAX_TABLE:
                tables[table] = (code.co_firstlineno & 0xFFFF).to_bytes(2, "little")
    seen: frozenset[object] = frozenset()
    head = bytes([table_format(sys.version_info[:2])])
    for _ in range(SEEDS):
        best = max(sorted(tables), key=lambda table: (len(features(table) - seen), -len(table)))
        if not features(best) - seen:
            break
        seen |= features(best)
        yield head + tables.pop(best) + best


def main() -> None:
    """Entry point."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for seed in seeds():
        (directory / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main()
