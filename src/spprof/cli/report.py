"""`spprof report`: what is in a profile that was saved, on the terminal or for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from spprof.cli import _output
from spprof.cli._arguments import Parser
from spprof.cli._files import add_options, read, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from spprof._profile import Profile

SCHEMA = 1


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    parser = Parser(
        prog="spprof report",
        usage="spprof report [--json | --markdown] [--damaged] [--unit U] [--mode M] [--interval-ms N] FILE",
        description="Show what is in a profile that was saved: hot functions, threads, tasks, losses, costs. FILE is a .spprof "
        "file, or one of\npprof, speedscope or collapsed stacks, also another profiler's.",
        epilog="examples:\n  spprof report profile.spprof\n  spprof report --json profile.spprof | jq .functions[0]\n",
    )
    parser.add_argument("source", metavar="FILE", help="the file; its contents say the format")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--json", action="store_true", help="everything but the samples, as one JSON object")
    kind.add_argument("--markdown", action="store_true", help="a summary in Markdown")
    add_options(parser)
    options = parser.parse_args(argv)
    try:
        profile = read(options.source, options, "report")
    except _output.RequestError as error:
        parser.error(str(error))
    if options.json:
        import json

        return write_lines([json.dumps(document(profile), indent=2)])
    if options.markdown:
        from spprof.export.markdown import render

        return write_lines("".join(render(profile)).splitlines())
    return write_lines(_summary(profile))


def _summary(profile: Profile) -> Iterator[str]:
    from spprof.cli import _summary, _terminal

    style, width = _terminal.style_for(sys.stdout), _terminal.width_of(sys.stdout)
    yield from _summary.render(profile, profile.program or "python", None, width, style)


def document(profile: Profile) -> dict[str, Any]:
    """The object that --json prints. Times are nanoseconds; within a schema number keys are added, not changed."""
    return {
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
