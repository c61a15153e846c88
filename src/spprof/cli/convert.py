"""`spprof convert`: a profile that was saved, in another format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spprof.cli import _output
from spprof.cli._arguments import Parser
from spprof.cli._files import add_filters, add_options, filtered, read_all, write_all

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> Parser:
    """The command's options."""
    from spprof.export import FORMATS, known_formats

    parser = Parser(
        prog="spprof convert",
        usage="spprof convert [OPTION]... IN OUT [OUT ...]",
        description="Write a profile that was saved in other formats. IN is a .spprof file, or one of pprof, speedscope or "
        "collapsed stacks,\nalso another profiler's; what IN has no place for is missing in OUT.\n\nformats of OUT by ending:\n  "
        + known_formats().replace("; ", "\n  "),
        epilog="examples:\n  spprof convert profile.spprof profile.pb.gz profile.svg\n"
        "  spprof convert --interval-ms 10 py-spy.txt py-spy.firefox.json.gz\n",
    )
    parser.add_argument("source", metavar="IN", help="the file to read; its contents say the format")
    parser.add_argument("targets", metavar="OUT", nargs="+", help="the files to write; their endings say the formats")
    parser.add_argument("--format", metavar="F", choices=list(FORMATS), help="the format, whatever the endings")
    add_filters(parser)
    add_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    own = parser()
    options = own.parse_args(argv)
    try:
        outputs, _ = _output.choose(options.targets, options.format, "command", "")
        profile = filtered(read_all([options.source], options, "convert")[0], options)
        write_all(profile, outputs)
    except _output.RequestError as error:
        own.error(str(error))
    return 0
