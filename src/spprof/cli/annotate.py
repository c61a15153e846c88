"""`spprof annotate`: a source file with the time of each line beside it."""

from __future__ import annotations

import os
import sys
import tokenize
from typing import TYPE_CHECKING

from spprof.cli import _output, _terminal
from spprof.cli._arguments import Parser
from spprof.cli._files import add_filters, add_options, filtered, read_all, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spprof._analysis.tables import FileLines
    from spprof._profile import Profile
    from spprof.cli._terminal import Style

_AROUND = 5
_LARGEST = 50_000_000


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        prog="spprof annotate",
        usage="spprof annotate [OPTION]... FILE SOURCE",
        description="Show a source file with the own (self) and the total time of each line. SOURCE is the file, or as many of\n"
        "the last parts of its path as leave no doubt; the text is read from SOURCE if that is a file, else from where the\n"
        "profile says it is.",
        epilog="examples:\n  spprof annotate profile.spprof app.py\n  spprof annotate --all profile.spprof package/mod.py\n",
    )
    parser.add_argument("source", metavar="FILE", help="the profile")
    parser.add_argument("text", metavar="SOURCE", help="the source file")
    parser.add_argument(
        "--all", action="store_true", help=f"all lines, not only those within {_AROUND} of a line with time"
    )
    parser.add_argument("--json", action="store_true", help="lines with their times and text, as one JSON object")
    add_filters(parser)
    add_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    own = parser()
    options = own.parse_args(argv)
    try:
        profile = filtered(read_all([options.source], options, "annotate")[0], options)
        try:
            table = _lines(profile, options.text)
        except ValueError as error:
            raise _output.RequestError(str(error)) from None
        assert table.filename is not None
        path = options.text if os.path.isfile(options.text) else table.filename
        lines, modified = _read(path)
        for warning in _doubts(profile, table, lines, modified):
            print(f"spprof annotate: warning: {path}: {warning}", file=sys.stderr)
    except _output.RequestError as error:
        own.error(str(error))
    if options.json:
        import json

        return write_lines([json.dumps(_document(table, lines), indent=2)])
    style, width = _terminal.manner_of(sys.stdout)
    return write_lines(_annotated(profile, table, lines, options.all, width, style))


def _lines(profile: Profile, text: str) -> FileLines:
    """The profile's lines of a file, which may lie elsewhere now: as many of the last parts of its path count as are known."""
    try:
        return profile.lines(text)
    except ValueError:
        if not os.path.isfile(text):
            raise
        parts = os.path.abspath(text).split(os.sep)
        for start in range(1, len(parts)):
            try:
                return profile.lines(os.sep.join(parts[start:]))
            except ValueError:
                continue
        raise


def _read(path: str) -> tuple[list[str], float]:
    """The lines of a file, and when it was changed. Raises RequestError."""
    try:
        status = os.stat(path)
        if not os.path.isfile(path) or status.st_size > _LARGEST:
            raise _output.RequestError(f"{path!r} is no source file")
        try:
            with tokenize.open(path) as file:
                text = file.read()
        except (SyntaxError, UnicodeDecodeError, LookupError):  # not Python's, or not what it says it is
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
    except OSError as error:
        raise _output.RequestError(
            f"can't read the source {path!r}: {error.strerror}; name the file itself, or where it is now"
        ) from None
    # Lines as the compiler counts them: a form feed is none.
    return text.split("\n")[: -1 if text.endswith("\n") else None], status.st_mtime


def _doubts(profile: Profile, table: FileLines, lines: list[str], modified: float) -> Iterator[str]:
    last = max([line.lineno for line in table], default=0)
    if last > len(lines):
        yield f"it has {len(lines)} lines, the profile saw line {last}: it is not the file that ran"
    elif modified > profile._facts.start_time + profile._facts.duration_ns / 1e9 + 1 and profile._facts.start_time:
        yield "it was changed after the profile was made; lines may not be where they were"


def _annotated(
    profile: Profile, table: FileLines, lines: list[str], everything: bool, width: int, style: Style
) -> Iterator[str]:
    from spprof.cli._tables import unit_of

    whole = table.time_ns
    times = {line.lineno: line for line in table}
    yield style.bold(_terminal.cut_left(f"{_terminal.printable(str(table.filename))} ({unit_of(profile)})", width))
    own, total = (each / whole if whole else 0.0 for each in (table.self_ns, table.total_ns))
    yield f"{table.self_ns / 1e9:.2f} s ({own:.1%}) in its lines, {table.total_ns / 1e9:.2f} s ({total:.1%}) with what they call"
    yield style.dim(f"{'self':>9}{'%':>7}{'total':>9}{'%':>7}  line")
    digits = max(len(str(max([len(lines), *times]))), 4)
    room = width - 34 - digits - 3
    shown = range(1, max([len(lines), *times]) + 1)
    near = {number + step for number in times for step in range(-_AROUND, _AROUND + 1)}
    before = 0
    for number in shown:
        if not everything and number not in near:
            continue
        if number != before + 1:
            yield style.dim(f"{'...':>{34 + digits}}")
        before = number
        text = (
            _terminal.printable(lines[number - 1].expandtabs(4).rstrip()) if number <= len(lines) else "(no such line)"
        )
        text = text if len(text) <= room or not sys.stdout.isatty() else text[: room - 2] + ".."
        line = times.get(number)
        if line is None:
            yield f"{'':32}  {style.dim(f'{number:>{digits}}')} | {text}".rstrip()
            continue
        share, total = (each / whole if whole else 0.0 for each in (line.self_ns, line.total_ns))
        numbers = f"{line.self_ns / 1e9:9.2f}{share:7.1%}" if line.self_ns else " " * 16
        yield (
            f"{style.heat(share, numbers)}{line.total_ns / 1e9:9.2f}{total:7.1%}  "
            f"{number:>{digits}} | {style.heat(max(share, total / 4), text)}"
        ).rstrip()


def _document(table: FileLines, lines: list[str]) -> dict[str, object]:
    return {
        "schema": 1,
        "filename": table.filename,
        "time_ns": table.time_ns,
        "self_ns": table.self_ns,
        "total_ns": table.total_ns,
        "elsewhere_ns": table.elsewhere_ns,
        "dropped_ns": table.dropped_ns,
        "unsampled_ns": table.unsampled_ns,
        "lines": [
            {**line._asdict(), "text": lines[line.lineno - 1] if 0 < line.lineno <= len(lines) else None}
            for line in table
        ],
    }
