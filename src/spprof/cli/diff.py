"""`spprof diff`: what takes another share of the time in a second profile, and how sure that is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from spprof.cli import _output
from spprof.cli._arguments import Parser
from spprof.cli._files import add_filters, add_options, filtered, read_all, write_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spprof._analysis.difference import ProfileDiff

SCHEMA = 1
_ROWS = 20


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        prog="spprof diff",
        usage="spprof diff [OPTION]... BEFORE AFTER",
        description="Compare two profiles: functions and lines whose share of the time has changed by more than chance,\n"
        "with the interval in which the change is. Samples are the evidence: the more there are, the smaller the changes\n"
        "that can be told from noise. What sampling does by chance is not shown, 19 times out of 20 (--confidence). Runs\n"
        "of one program can truly differ as well, by the machine's load or hash seeds: merge several runs to compare what\n"
        "they have in common.",
        epilog="examples:\n  spprof diff before.spprof after.spprof\n  spprof diff before.spprof after.spprof -o diff.svg\n"
        "  spprof merge run*.spprof -o after.spprof    # several runs see smaller changes\n",
    )
    parser.add_argument("before", metavar="BEFORE", help="the first profile")
    parser.add_argument("after", metavar="AFTER", help="the second one")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--json", action="store_true", help="all functions and lines, as one JSON object")
    kind.add_argument("--markdown", action="store_true", help="the same as the terminal shows, in Markdown")
    parser.add_argument("-o", "--output", metavar="OUT.svg", action="append", help="write a differential flame graph")
    parser.add_argument("--all", action="store_true", help="show also what may be chance, the largest changes first")
    parser.add_argument(
        "-n", "--rows", type=int, default=_ROWS, metavar="N", help=f"rows of a table (default: {_ROWS})"
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=95.0,
        metavar="P",
        help="per cent, of all rows of a table together (default: 95)",
    )
    add_filters(parser)
    add_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    from spprof.cli import _difference, _terminal

    own = parser()
    options = own.parse_args(argv)
    try:
        if options.rows < 1:
            raise _output.RequestError(f"--rows must be at least 1, not {options.rows}")
        if not 0 < options.confidence < 100:
            raise _output.RequestError(f"--confidence must be between 0 and 100, not {options.confidence:g}")
        for path in options.output or ():
            if not path.endswith((".svg", ".svg.gz")):
                raise _output.RequestError(f"a difference is written as a picture: {path!r} must end with .svg")
        outputs, _ = _output.choose(options.output, None, "command", "") if options.output else ([], [])
        profiles = read_all([options.before, options.after], options, "diff")
        before, after = (filtered(each, options) for each in profiles)
        try:
            diff = before.diff(after, confidence=options.confidence / 100)
        except ValueError as error:  # of different modes
            raise _output.RequestError(str(error)) from None
        for output in outputs:
            _write(diff, output.path)
    except _output.RequestError as error:
        own.error(str(error))
    names = options.before, options.after
    if options.json:
        import json

        return write_lines([json.dumps({"schema": SCHEMA, **diff.to_dict()}, indent=2)])
    if options.markdown:
        return write_lines(_difference.markdown(diff, names, options.rows, options.all))
    style, width = _terminal.manner_of(sys.stdout)
    return write_lines(_difference.text(diff, names, options.rows, options.all, width, style))


def _write(diff: ProfileDiff, path: str) -> None:
    try:
        diff.save(path)
    except OSError as error:
        raise _output.RequestError(f"can't write {path!r}: {error.strerror}") from None
