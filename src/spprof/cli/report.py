"""`spprof report`: what is in a profile that was saved, on the terminal or for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from spprof.cli import _output
from spprof.cli._arguments import Parser
from spprof.cli._files import add_filters, add_options, filtered, read_all, write_lines

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence
    from typing import Any

    from spprof._profile import Profile

SCHEMA = 1
_ROWS = 20


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        prog="spprof report",
        usage="spprof report [OPTION]... FILE",
        description="Show what is in a profile that was saved: hot functions, threads, tasks, losses, costs. FILE is a .spprof "
        "file, or one of\npprof, speedscope or collapsed stacks, also another profiler's.",
        epilog="examples:\n  spprof report profile.spprof\n  spprof report --tree --thread MainThread profile.spprof\n"
        "  spprof report --callers Parser.feed --callees Parser.feed profile.spprof\n"
        "  spprof report --json profile.spprof | jq .functions[0]\n",
    )
    parser.add_argument("source", metavar="FILE", help="the file; its contents say the format")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--json", action="store_true", help="everything but the samples, as one JSON object")
    kind.add_argument("--markdown", action="store_true", help="a summary in Markdown")
    parser.add_argument("--tree", action="store_true", help="the tree of calls, with the hot path marked")
    parser.add_argument(
        "--lines", nargs="?", const="", metavar="SOURCE", help="the hottest lines, of one source file or of all"
    )
    parser.add_argument("--callers", metavar="FUNCTION", help="who called a function, and how long that took")
    parser.add_argument("--callees", metavar="FUNCTION", help="what a function called, and how long that took")
    parser.add_argument(
        "-n", "--rows", type=int, default=_ROWS, metavar="N", help=f"lines of --lines (default: {_ROWS})"
    )
    parser.add_argument(
        "--min-percent",
        type=float,
        default=1.0,
        metavar="P",
        help="smallest branches of --tree that are shown (default: 1)",
    )
    add_filters(parser)
    add_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    own = parser()
    options = own.parse_args(_source_last(argv))
    try:
        if options.rows < 1:
            raise _output.RequestError(f"--rows must be at least 1, not {options.rows}")
        if not 0 <= options.min_percent <= 100:
            raise _output.RequestError(f"--min-percent must be from 0 to 100, not {options.min_percent:g}")
        sections = [name for name in ("tree", "callers", "callees") if getattr(options, name)]
        if options.markdown and (sections or options.lines is not None):
            raise _output.RequestError(
                "--markdown is a summary of its own: it can't be combined with --tree, --lines, ..."
            )
        profile = filtered(read_all([options.source], options, "report")[0], options)
        if options.json:
            import json

            return write_lines([json.dumps(document(profile, options), indent=2)])
        if options.markdown:
            from spprof.export.markdown import render

            return write_lines("".join(render(profile)).splitlines())
        if sections or options.lines is not None:
            return write_lines(list(_sections(profile, options)))
    except (_output.RequestError, ValueError) as error:  # ValueError: no such function or file
        own.error(str(error))
    return write_lines(_summary(profile))


def _source_last(argv: Sequence[str]) -> list[str]:
    """*argv* with a lone ``--lines`` before the file told apart from one with a value: ``--lines p.spprof`` is the former."""
    words = list(argv)
    if len(words) >= 2 and words[-2] == "--lines":
        words[-2:] = [words[-1], "--lines"]
    return words


def _summary(profile: Profile) -> Iterator[str]:
    from spprof.cli import _summary, _terminal

    style, width = _terminal.manner_of(sys.stdout)
    yield from _summary.render(profile, profile.program or "python", None, width, style)


def _sections(profile: Profile, options: Namespace) -> Iterator[str]:
    from spprof.cli import _tables, _terminal

    style, width = _terminal.manner_of(sys.stdout)
    parts: list[Iterator[str]] = []
    if options.tree:
        parts.append(_tables.tree(profile, options.min_percent / 100, width, style))
    if options.lines is not None:
        table = profile.lines(options.lines or None)
        parts.append(_tables.lines(profile, table, options.rows, width, style))
    if options.callers:
        parts.append(_tables.calls(profile, profile.callers(options.callers), width, style))
    if options.callees:
        parts.append(_tables.calls(profile, profile.callees(options.callees), width, style))
    for number, part in enumerate(parts):
        if number:
            yield ""
        yield from part


def document(profile: Profile, options: Namespace | None = None) -> dict[str, Any]:
    """The object that --json prints. Times are nanoseconds; within a schema number keys are added, not changed."""
    result = {
        "schema": SCHEMA,
        "program": profile.program,
        "mode": profile.mode,
        "interval_ms": profile.interval_ms,
        "start_time": profile.start_time.isoformat(),
        "duration_ns": profile._facts.duration_ns,
        "cpu_time_ns": profile.cpu_time_ns,
        "time_ns": sum([thread.time_ns for thread in profile.threads]),
        "samples": profile.sample_count,
        "dropped": profile.dropped_count,
        "gil_contention": profile.gil_contention,
        "python_version": profile.python_version,
        "platform": profile.platform,
        "functions": [function._asdict() for function in profile.functions()],
        "threads": [{**thread._asdict(), "time_ns": thread.time_ns} for thread in profile.threads],
        "tasks": [
            {**task._asdict(), "waits": [{**wait._asdict(), "frame": wait.frame._asdict()} for wait in task.waits]}
            for task in profile.tasks()
        ],
        "losses": [loss._asdict() for loss in profile.losses],
        "stats": profile.stats.to_dict(),
    }
    if options is None:
        return result
    if options.tree:
        result["tree"] = profile.tree().to_dict()
    if options.lines is not None:
        result["lines"] = [line._asdict() for line in profile.lines(options.lines or None)]
    for direction in ("callers", "callees"):
        if getattr(options, direction):
            result[direction] = [call._asdict() for call in getattr(profile, direction)(getattr(options, direction))]
    return result
