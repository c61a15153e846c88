"""The laboratory's tables, in Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from bench.tools import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: By program, profiler: the verdicts of all repeats.
Verdicts = "Mapping[tuple[str, str], list[dict[str, Any]]]"


def _spread(values: list[float], form: str) -> str:
    middle = form.format(statistics.median(values))
    low, high = form.format(min(values)), form.format(max(values))
    return middle if low == high else f"{middle} ({low} to {high})"


def _good(verdicts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in verdicts if "error" not in each or not isinstance(each["error"], str)]


def error_cell(verdicts: list[dict[str, Any]], key: str, can: bool = True) -> str:
    """Median and range of an error in points."""
    if not can:
        return "no lines"
    good = _good(verdicts)
    if not good:
        return "failed" if verdicts else ""
    values = [each[key] for each in good if each[key] is not None]
    return _spread(values, "{:.1f}") if len(values) == len(good) else "nothing found"


def coverage_cell(verdicts: list[dict[str, Any]], can: bool = True) -> str:
    """Median and range of the part of the CPU time that is accounted for."""
    good = _good(verdicts)
    if not can or not good:
        return ""
    return _spread([100 * each["coverage"] for each in good], "{:.0f}") + " %"


def names_cell(verdicts: list[dict[str, Any]], can: bool = True) -> str:
    """Names that are wrong, labels that are missing, and time in stacks that never were; of the worst repeat."""
    good = _good(verdicts)
    if not good:
        return ""
    parts = []
    wrong = max(len(each["wrong"]) for each in good)
    missing = max(len(each["missing"]) for each in good) if can else 0
    impossible = statistics.median(each["impossible"] for each in good)
    if wrong:
        parts.append(f"{wrong} wrong")
    if missing:
        parts.append(f"{missing} missing")
    if impossible >= 0.0005:
        parts.append(f"{100 * impossible:.1f} % in impossible stacks")
    return ", ".join(parts) or "0"


def grid(programs: list[str], rivals: list[str], cell: Callable[[str, str], str]) -> str:
    """A row for each program, a column for each profiler; those with nothing at all are left out."""
    columns = {rival: [cell(program, rival) for program in programs] for rival in rivals}
    shown = [rival for rival, cells in columns.items() if any(cells)]
    rows = [[program, *(columns[rival][i] or "" for rival in shown)] for i, program in enumerate(programs)]
    return table(rows, ["", *shown])
