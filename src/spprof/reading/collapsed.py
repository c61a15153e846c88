r"""Reading collapsed stacks, spprof's and others': a line each, ``root;...;leaf number``.

spprof's lines begin with the thread and have frames as ``name (file:line)``, their numbers are nanoseconds. Of other
files the numbers are taken to be samples, unless `Assumptions.unit` says more; ``name (file:line)`` (as py-spy has it) is
understood, and a first element ``thread (...)`` is a thread. Escapes in names stay as they are.
"""

from __future__ import annotations

import re

from .._errors import ProfileFileError
from ._builder import Builder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._profile import Profile
    from ._assumptions import Assumptions

_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,40})?")
_DIGITS = re.compile(r"[0-9]{1,12}")
_MARK = re.compile(r"\[[a-z -]+\]")
_NO_THREAD = "all threads"


def read(data: bytes, assumed: Assumptions) -> Profile:
    """The profile. Raises ProfileFileError."""
    lines = _lines(data.decode("utf-8", "backslashreplace").split("\n"))
    ours = bool(lines) and all(_is_ours(stack) for stack, _ in lines)
    unit = assumed.unit or ("ns" if ours else "samples")
    factor = assumed.factor(unit)
    builder = Builder()
    known: dict[str, int] = {}
    for stack, number in lines:
        thread, frames = (stack[0], stack[1:]) if ours or stack[0].startswith("thread (") else (_NO_THREAD, stack)
        for label in frames:
            if label not in known:
                known[label] = _frame(label, builder)
        weight = int(number) * factor if number.isdigit() else round(float(number) * factor)
        count = int(number) if unit == "samples" and number.isdigit() else 1
        builder.add(thread, thread, builder.stack([known[label] for label in frames]), weight, count)
    return builder.profile(mode=assumed.mode, interval_ns=factor if unit == "samples" else 0)


def _lines(lines: list[str]) -> list[tuple[list[str], str]]:
    """Stack and number of each line. By hand: a regular expression may take the square of a line's length."""
    result: list[tuple[list[str], str]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (line.startswith("# ") and not result):
            continue  # Austin has facts of its own before the first stack
        stack, _, weight = line.rstrip().replace("\t", " ").rpartition(" ")
        stack = stack.rstrip(" ")
        if not stack or _NUMBER.fullmatch(weight) is None:
            raise ProfileFileError(
                f"line {number} is not a collapsed stack (frames with ';' between them, a space, a number): {line!r:.60}"
                if result
                else "it is not a profile that spprof can read (.spprof, pprof, speedscope or collapsed stacks)"
            )
        result.append((stack.split(";"), weight))
    return result


def _is_ours(stack: list[str]) -> bool:
    """Whether it could be a line of spprof's: all but the first, the thread, have places, or are marks."""
    if stack[0].startswith("thread (") or _place(stack[0]) is not None:
        return False
    return all(_place(label) is not None or _MARK.fullmatch(label) for label in stack[1:])


def _place(label: str) -> tuple[str, str, int] | None:
    """Name, file and line of ``name (file:line)``."""
    head, _, line = label[:-1].rpartition(":")
    name, _, file = head.partition(" (")
    if label[-1:] != ")" or not name or not file or _DIGITS.fullmatch(line) is None:
        return None
    return name, file, int(line)


def _frame(label: str, builder: Builder) -> int:
    place = _place(label)
    return builder.frame(label) if place is None else builder.frame(*place)
