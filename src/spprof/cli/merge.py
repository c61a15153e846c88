"""`spprof merge`: several profiles as one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from spprof.cli import _output
from spprof.cli._arguments import Parser
from spprof.cli._files import add_options, read_all

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        prog="spprof merge",
        usage="spprof merge FILE... -o OUT [-o OUT]...",
        description="Write one profile with the samples, threads and losses of several: of a program's processes, or of many "
        "runs of it.\nAll sums are the sums of the files'. Sessions that ran at the same time keep their places in time.",
        epilog="examples:\n  spprof merge worker-*.spprof -o all.spprof\n  spprof merge run1.spprof run2.spprof -o runs.html\n",
    )
    parser.add_argument("sources", metavar="FILE", nargs="+", help="the files to read; their contents say the formats")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        action="append",
        required=True,
        help="where to write; the ending says the format",
    )
    add_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    from spprof._analysis.merging import merge_profiles
    from spprof.cli._files import write_all

    own = parser()
    options = own.parse_args(argv)
    try:
        outputs, _ = _output.choose(options.output, None, "command", "")
        profiles = read_all(options.sources, options, "merge")
        try:
            merged = merge_profiles(profiles)
        except ValueError as error:  # of different modes
            raise _output.RequestError(str(error)) from None
        write_all(merged, outputs)
    except _output.RequestError as error:
        own.error(str(error))
    count = len(options.sources)
    print(
        f"spprof: {count} profile{'' if count == 1 else 's'} merged: {merged.sample_count:,} samples, "
        f"{len(merged.threads):,} threads, {sum(thread.time_ns for thread in merged.threads) / 1e9:.2f} s",
        file=sys.stderr,
    )
    return 0
