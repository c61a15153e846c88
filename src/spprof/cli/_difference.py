"""The tables of `spprof diff`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from spprof.cli._terminal import cut_left, printable, short_location

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spprof._analysis.difference import FunctionChange, LineChange, ProfileDiff
    from spprof._analysis.evidence import ShareChange
    from spprof._profile import Profile
    from spprof.cli._terminal import Style


class _Row(NamedTuple):
    change: ShareChange
    kind: str  # self or total
    name: str
    filename: str
    line: int


def text(
    diff: ProfileDiff, names: tuple[str, str], rows: int, everything: bool, width: int, style: Style
) -> Iterator[str]:
    """The lines for a terminal, none wider than *width*."""
    yield style.bold(cut_left(" -> ".join([printable(os.path.basename(name)) for name in names]), width))
    for name, profile in zip(("before", "after"), (diff.before, diff.after)):
        yield f"{style.dim(f'{name:9}')}{_facts(profile)}"
    for title, found, count in _tables(diff, everything):
        yield ""
        if not found:
            yield f"no {title[:-1]} has changed by more than chance ({count:,} compared)"
            continue
        yield style.bold(_heading(diff, title, everything))
        yield style.dim(f"{'before':>7}{'after':>8}{'points':>8}  {'between':16}  {'':5}  {title[:-1]}")
        for row in found[:rows]:
            change = row.change
            points = f"{_points(change.change):>8}"
            if change.is_significant:
                points = style.bad(points) if change.change > 0 else style.good(points)
            between = f"{_points(change.low)} to {_points(change.high)}"
            room = width - 50
            name = printable(row.name)
            place = short_location(row.filename, row.line, max(room - len(name) - 2, 16))
            name = cut_left(name, room - len(place) - 2) if place else cut_left(name, room)
            yield (
                f"{change.before:7.1%}{change.after:8.1%}{points}  {between:16}  {row.kind:5}  {style.bold(name)}  {place}"
            ).rstrip()
        if found[rows:]:
            yield style.dim(f"and {len(found) - rows:,} more (--rows)")


def markdown(diff: ProfileDiff, names: tuple[str, str], rows: int, everything: bool) -> Iterator[str]:
    """The same in Markdown."""
    yield "# " + " \u2192 ".join([_code(os.path.basename(name)) for name in names])
    yield ""
    for name, profile in zip(("before", "after"), (diff.before, diff.after)):
        yield f"- {name}: {_facts(profile)}"
    for title, found, count in _tables(diff, everything):
        yield ""
        if not found:
            yield f"No {title[:-1]} has changed by more than chance ({count:,} compared)."
            continue
        yield f"## {_heading(diff, title, everything)}"
        yield ""
        yield f"| before | after | points | between | | {title[:-1]} | at |"
        yield "| ---: | ---: | ---: | --- | --- | --- | --- |"
        for row in found[:rows]:
            change = row.change
            points = _points(change.change)
            place = _code(f"{row.filename}:{row.line}") if row.filename else ""
            yield (
                f"| {change.before:.1%} | {change.after:.1%} | {f'**{points}**' if change.is_significant else points} "
                f"| {_points(change.low)} to {_points(change.high)} | {row.kind} | {_code(row.name)} | {place} |"
            )
        if found[rows:]:
            yield f"\nand {len(found) - rows:,} more."


def _tables(diff: ProfileDiff, everything: bool) -> Iterator[tuple[str, list[_Row], int]]:
    """Title, rows and number of what was compared, for functions and for lines."""
    functions = [row for function in diff.functions for row in _of_function(function)]
    lines = [row for line in diff.lines for row in _of_line(line)]
    for title, rows, count in (("functions", functions, len(diff.functions)), ("lines", lines, len(diff.lines))):
        found = [row for row in rows if row.change.is_significant or (everything and row.change.change)]
        # Own time says where it is, total time what it belongs to.
        found.sort(
            key=lambda row: (
                not row.change.is_significant,
                row.kind != "self",
                -round(abs(row.change.change), 9),
                -row.change.change,
            )
        )
        yield title, found, count


def _of_function(function: FunctionChange) -> list[_Row]:
    where = function.function_name, function.filename, function.firstlineno
    return _rows(function.self_change, function.total_change, where)


def _of_line(line: LineChange) -> list[_Row]:
    return _rows(
        line.self_change, line.total_change, (line.function_name, line.filename, line.lineno or line.lineno_before)
    )


def _rows(own: ShareChange, total: ShareChange, where: tuple[str, str, int]) -> list[_Row]:
    """One row where own and total time are the same samples."""
    if own[:6] == total[:6]:
        return [_Row(own, "self", *where)]
    return [_Row(own, "self", *where), _Row(total, "total", *where)]


def _heading(diff: ProfileDiff, title: str, everything: bool) -> str:
    if everything:
        return f"{title} by change of their share of the time"
    return f"{title} whose share of the time has changed ({100 * diff.confidence:g} % sure of all together)"


def _facts(profile: Profile) -> str:
    threads = profile.threads
    lost = sum(thread.dropped_ns + thread.unsampled_ns for thread in threads)
    whole = sum(thread.time_ns for thread in threads)
    measure = {"cpu": "of CPU", "gil": "with the GIL"}.get(profile.mode, "elapsed")
    note = f", {lost / whole:.1%} of it without samples" if whole and lost / whole >= 0.001 else ""
    return f"{whole / 1e9:.2f} s {measure}, {profile.sample_count:,} samples{note}"


def _points(share: float) -> str:
    """Percentage points; small ones with another digit."""
    points = 100 * share
    return f"{points:+.1f}" if abs(points) >= 0.995 else f"{points:+.2f}"


def _code(value: str) -> str:
    clean = printable(value).replace("|", "\\|").replace("`", "'")
    return f"`{clean}`"
