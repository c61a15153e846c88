"""What the run says at its end: files, the slowest tests with their hot lines, the comparison."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .gate import Comparison
    from .plugin import ProfiledRun

_NOTES = 10
_REGRESSIONS = 20


def write_summary(reporter: Any, run: ProfiledRun) -> None:
    """Writes it to pytest's terminal reporter."""
    reporter.section("spprof", sep="=")
    by_cpu = run.options.mode in (None, "cpu")
    slowest = run.slowest()
    if slowest:
        reporter.write_line(
            f"slowest tests ({'CPU' if by_cpu else 'elapsed'} seconds, with setup and teardown) and their hot lines"
        )
    for record in slowest:
        reporter.write_line(f"{record.cost(by_cpu) / 1e9:9.2f}  {_printable(record.nodeid)}", bold=True)
        for function, file, line, share in record.hot:
            place = f"{_short(file)}:{line}" if file else "(no source)"
            reporter.write_line(f"{share:13.1%}  {_printable(function)}  {_printable(place)}")
    for path in run.written:
        reporter.write_line(f"profile: {_printable(_short(path))}")
    for note in run.notes[:_NOTES]:
        reporter.write_line(f"note: {_printable(note)}", yellow=True)
    if len(run.notes) > _NOTES:
        reporter.write_line(f"note: and {len(run.notes) - _NOTES} more", yellow=True)
    if run.comparison is not None:
        _write_comparison(reporter, run.comparison)


def _write_comparison(reporter: Any, comparison: Comparison) -> None:
    base = _printable(_short(os.path.abspath(comparison.base.path)))
    if comparison.left_out:
        count = len(comparison.left_out)
        shown = ", ".join(map(_printable, comparison.left_out[:3])) + (f" and {count - 3} more" if count > 3 else "")
        reporter.write_line(f"not compared, since their cases are not the same in both runs: {shown}")
    if comparison.failure:
        reporter.write_line(f"FAILED: can't compare with {base}: {_printable(comparison.failure)}", red=True)
        return
    if comparison.passed:
        reporter.write_line(
            f"compared with {base}: nothing takes significantly more ({comparison.compared} functions)", green=True
        )
        return
    count = len(comparison.regressions)
    what = "1 function takes" if count == 1 else f"{count} functions take"
    reporter.write_line(f"FAILED: compared with {base}, {what} significantly more", red=True)
    reporter.write_line(f"{'before':>9} {'after':>8} {'share':>15}   {'95 % interval':17} function")
    for worse in comparison.regressions[:_REGRESSIONS]:
        change, function = worse.change, worse.function
        reporter.write_line(
            f"{change.before_ns / 1e9:7.2f} s {change.after_ns / 1e9:6.2f} s {change.before:6.1%} -> {change.after:5.1%}   "
            f"{100 * change.low:+5.1f} to {100 * change.high:+5.1f}   {_printable(function.function_name)}"
            f"{' (self)' if worse.kind == 'self' else ''}  {_printable(_short(function.filename))}:{function.firstlineno}"
        )
    if count > _REGRESSIONS:
        reporter.write_line(f"and {count - _REGRESSIONS} more")


def _short(path: str) -> str:
    try:
        here = os.getcwd() + os.sep
    except OSError:  # removed meanwhile
        return path
    return path.removeprefix(here)


def _printable(text: str) -> str:
    """*text* without what would move the cursor or switch the terminal's state."""
    return "".join([char if char.isprintable() else "?" for char in text])
