"""`spprof convert`: a profile that was saved as .spprof, in another format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spprof.cli import _output
from spprof.cli._arguments import Parser
from spprof.cli._files import read

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    from spprof.export import FORMATS, known_formats, save

    parser = Parser(
        prog="spprof convert",
        usage="spprof convert [--format F] [--damaged] IN.spprof OUT [OUT ...]",
        description="Write a profile that was saved as .spprof in other formats.\n\nformats by ending:\n  "
        + known_formats().replace("; ", "\n  "),
        epilog="example:\n  spprof convert profile.spprof profile.pb.gz profile.svg\n",
    )
    parser.add_argument("source", metavar="IN", help="the file, as `spprof run -o FILE.spprof` saves it")
    parser.add_argument("targets", metavar="OUT", nargs="+", help="the files to write; their endings say the formats")
    parser.add_argument("--format", metavar="F", choices=list(FORMATS), help="the format, whatever the endings")
    parser.add_argument("--damaged", action="store_true", help="of a damaged file, convert what can be read")
    options = parser.parse_args(argv)
    try:
        outputs, _ = _output.choose(options.targets, options.format, "command", "")
        profile = read(options.source, damaged=options.damaged, command="convert")
        for output in outputs:
            try:
                save(profile, output.path, output.format)
            except OSError as error:
                raise _output.RequestError(f"can't write {output.path!r}: {error.strerror}") from None
    except _output.RequestError as error:
        parser.error(str(error))
    return 0
