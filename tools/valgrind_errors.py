"""Print the errors in a report of memcheck that concern one object file. Exit code 1 if there are any.

    valgrind_errors.py REPORT.xml OBJECT

OBJECT is part of the file's name. Errors that do not concern it are only counted.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def described(error: ET.Element) -> Iterator[str]:
    """The error as lines of text."""
    yield f"{error.findtext('kind')}: {error.findtext('what') or error.findtext('xwhat/text')}"
    for child in error:
        if child.tag == "auxwhat":
            yield f"  {child.text}"
        elif child.tag == "stack":
            for frame in child.findall("frame"):
                place = f"{frame.findtext('file')}:{frame.findtext('line')}" if frame.find("file") is not None else ""
                yield f"    {frame.findtext('fn') or '?'} ({place or frame.findtext('obj') or '?'})"


def concerns(error: ET.Element, name: str) -> bool:
    """Whether the object is met before the interpreter's evaluation loop is, from the inside of the stack.

    Python code that the object called, however far below, is not its own. Of an error with several stacks the first one
    is where it happened, the others say where the block came from.
    """
    for frame in error.iterfind("stack[1]/frame"):
        if name in Path(frame.findtext("obj") or "").name:
            return True
        if (frame.findtext("fn") or "").startswith("_PyEval_"):
            return False
    return False


def main(report: str, name: str) -> int:
    """Entry point."""
    errors = ET.parse(report).getroot().findall("error")  # written by valgrind a moment ago
    own = [error for error in errors if concerns(error, name)]
    for error in own:
        print("\n".join(described(error)))
    print(f"{len(own)} errors in {name}, {len(errors) - len(own)} elsewhere")
    return 1 if own else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
