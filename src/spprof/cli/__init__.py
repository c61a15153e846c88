"""The `spprof` command: one module per sub-command, imported when it is asked for.

Exit codes: 0 well, 1 the command ran and found something wrong (`doctor`), 2 the request itself
cannot be met (one line on stderr says why). `run` ends with the exit code of the program it ran.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "run a program under the profiler, save the profile and sum it up",
    "report": "show what is in a profile that was saved (.spprof)",
    "view": "open a saved profile in the browser",
    "annotate": "show a source file with the time of each line",
    "diff": "compare two profiles: what has changed by more than chance",
    "merge": "make one profile of several",
    "convert": "write a saved profile in another format",
    "doctor": "check that profiling works here, and say why if it does not",
    "completion": "print a script that lets a shell complete all this",
}
_EXAMPLES = """\
examples:
  spprof run app.py --port 8000
  spprof run -o profile.speedscope.json --interval-ms 1 -m package.module
  spprof run -o profile.spprof app.py && spprof report profile.spprof
  spprof view profile.spprof
  spprof diff before.spprof after.spprof
  spprof convert profile.spprof profile.pb.gz
  spprof doctor
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: `sys.argv[1:]`) and return the exit code.

    `run` replaces the process and does not return when it succeeds.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    autostart = sys.modules.get("spprof.cli._autostart")
    if autostart is not None:  # the environment asks for profiles of programs; this is not one
        autostart.cancel()
    if arguments and arguments[0] in COMMANDS:
        import importlib

        command = importlib.import_module(f"spprof.cli.{arguments[0]}")
        try:
            code: int = command.main(arguments[1:])
        except KeyboardInterrupt:  # as shells have it, and without a traceback
            return 130
        return code

    from spprof._version import __version__
    from spprof.cli._arguments import Parser

    width = max(map(len, COMMANDS))
    parser = Parser(
        prog="spprof",
        usage="spprof [-h] [-V] COMMAND ...",
        description="A sampling profiler for Python programs.\n\ncommands:\n"
        + "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
        + "\n\n`spprof COMMAND --help` explains a command.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("-V", "--version", action="version", version=f"spprof {__version__}")
    parser.add_argument("command", metavar="COMMAND", help="one of: " + ", ".join(COMMANDS))
    # Without a command argparse says that one is required; any other word is not one of ours.
    command_name = parser.parse_known_args(arguments)[0].command
    return parser.error(f"unknown command {command_name!r} (known: {', '.join(COMMANDS)})")
