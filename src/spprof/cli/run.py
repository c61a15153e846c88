"""`spprof run`: start a program as `python` would, with the profiler already running.

The program is not executed inside this process' interpreter. This process checks the request and
then becomes `python PROGRAM ...`: the same interpreter, options and process id, with a start-up
hook on `PYTHONPATH` that starts the profiler and takes itself out again (`_inject/`). So whatever
a program can observe about how it was started is what plain `python` gives it: `sys.argv`,
`sys.path`, `__main__`, tracebacks, exit codes, signals, the order of shutdown.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from spprof.cli import _interpreter, _output, _request
from spprof.cli._arguments import Parser
from spprof.export import FORMATS

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

_DESCRIPTION = """\
Run a Python program under the profiler, as `python` would run it. When it ends,
the profile is saved and a summary goes to stderr; the exit code is the
program's own. Options of spprof come before the program; everything after it
belongs to the program.

programs:
  SCRIPT      a file, a folder or zip file with a __main__.py, or - for stdin
  -m MODULE   a module or package, as `python -m MODULE`
  -c CODE     a program passed in as a string"""
_EPILOG = """\
Without -o the profile goes next to the program (for -m, -c and -: into the
working directory), as NAME-DATE-TIME-PID.speedscope.json. The interpreter's own
options are kept: python -X dev -m spprof run ...

Ctrl-C ends the program as usual, and the profile is saved. No profile is saved
when the program ends without Python's own shutdown: by os._exit() or
os.exec*(), or by a signal that it has no handler for (SIGTERM, SIGKILL); but
a .spprof file grows meanwhile, and has all but about the last second then."""


_HOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_inject")


class Program(NamedTuple):
    """What to run: `arguments` is what follows `python` on the command line."""

    arguments: list[str]
    kind: str  # script, module, command or stdin
    name: str  # as people call it


def main(argv: Sequence[str]) -> int:
    """Check the request, then become the program. Returns (2) only when that is not possible."""
    own = parser()
    head, program = split(argv)
    options = own.parse_args(head)
    if program is None:
        own.error("nothing to run: name a script, -m MODULE or -c CODE (see spprof run --help)")
    try:
        _check(options, program)
        outputs, notes = _output.choose(options.output, options.format, program.kind, program.name)
    except _output.RequestError as error:
        own.error(str(error))
    _become(
        program,
        _request.Request(
            pid=os.getpid(),
            interval_ms=options.interval_ms,
            memory_limit_mb=options.memory_limit_mb,
            mode=options.mode,
            asyncio=options.asyncio,
            native=options.native,
            outputs=outputs,
            quiet=options.quiet,
            kind=program.kind,
            name=program.name,
            script=os.path.abspath(program.name) if program.kind == "script" else "",
            notes=notes,
            pythonpath=os.environ.get("PYTHONPATH"),
            follow=options.follow,
        ),
    )


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        prog="spprof run",
        usage="spprof run [OPTION]... SCRIPT | -m MODULE | -c CODE [ARGS]...",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        metavar="FILE",
        help="where to save the profile; the ending chooses the format, .gz compresses; may be given more than once",
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="the format, whatever the ending: " + ", ".join(FORMATS),
    )
    parser.add_argument(
        "--interval-ms",
        metavar="N",
        type=_number,
        default=10.0,
        help="milliseconds of CPU time (--mode wall, gil: of elapsed time) between samples of a thread, 0.1 to 10000 "
        "(default: 10)",
    )
    parser.add_argument(
        "--mode",
        metavar="MODE",
        help="what to measure: cpu (CPU time of each thread), wall (elapsed time, waiting included) or gil (who holds the "
        "GIL) (default: cpu, or wall where the system has no CPU ticks)",
    )
    parser.add_argument(
        "--no-asyncio",
        dest="asyncio",
        action="store_false",
        help="--mode wall: leave out asyncio's tasks, which are looked at where the program runs an event loop",
    )
    parser.add_argument(
        "--native",
        action="store_const",
        const=True,
        help="show frames of C, C++ and Rust code between the Python frames",
    )
    parser.add_argument(
        "--native-all",
        dest="native",
        action="store_const",
        const="all",
        help="the same, with the interpreter's own frames",
    )
    parser.add_argument(
        "--memory-limit-mb",
        metavar="N",
        type=_number,
        default=100.0,
        help="megabytes that spprof itself may use (default: 100)",
    )
    parser.add_argument(
        "--follow-children",
        dest="follow",
        action="store_true",
        help="profile the Python processes below the program too; each writes a file of its own, named after the "
        "(first) FILE with -PID before the ending",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no summary, only warnings")
    return parser


_TAKES_VALUE = ("-o", "--output", "--format", "--interval-ms", "--memory-limit-mb", "--mode")


def split(argv: Sequence[str]) -> tuple[list[str], Program | None]:
    """Divide `argv` into spprof's own options and the program with its arguments."""
    position = 0
    while position < len(argv):
        word, rest = argv[position], list(argv[position + 1 :])
        head = list(argv[:position])
        if word[:2] in ("-m", "-c"):
            if word[2:]:
                rest.insert(0, word[2:])
            if not rest:
                return [*head, *rest], None
            kind = "module" if word[1] == "m" else "command"
            name = rest[0] if kind == "module" else "command"
            return head, Program([word[:2], *rest], kind, name)
        if word == "--":
            word, rest = rest[0] if rest else "", rest[1:]
            # A name that begins with a dash needs python's own "--" in front.
            return head, Program(["--", word, *rest], "script", word) if word else None
        if word == "-":
            return head, Program([word, *rest], "stdin", "stdin")
        if not word.startswith("-"):
            return head, Program([word, *rest], "script", word)
        position += 2 if word in _TAKES_VALUE else 1
    return list(argv), None


def _number(text: str) -> float:
    """A number as argparse's `type`; the name of this function is not shown to the user."""
    from argparse import ArgumentTypeError

    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None


def _check(options: Namespace, program: Program) -> None:
    """Everything that can be known to be wrong before the program starts."""
    from spprof._session import check_interval, check_memory_limit, check_mode
    from spprof._unwinding import check_native

    try:
        check_interval(options.interval_ms)
        check_memory_limit(options.memory_limit_mb)
        check_mode(options.mode)
        check_native(options.native)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _output.RequestError(str(error)) from None
    if sys.flags.ignore_environment or sys.flags.no_site:
        raise _output.RequestError(
            "cannot run a program under python -E, -I or -S: the profiler is started by way of PYTHONPATH and site"
        )
    if os.pathsep in _HOOK:
        raise _output.RequestError(f"can't work from a folder with {os.pathsep!r} in its name: {_HOOK}")
    if not sys.executable:
        raise _output.RequestError("sys.executable is not set: no interpreter to start")
    if program.kind == "script":
        _check_script(program.name)


def _check_script(name: str) -> None:
    """Errors in the words of `python`, for what can be seen without reading from a pipe."""
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISREG(mode):
            with open(name, "rb"):
                return
    except OSError as error:
        raise _output.RequestError(
            f"can't open file {os.path.abspath(name)!r}: [Errno {error.errno}] {error.strerror}"
        ) from None
    if stat.S_ISDIR(mode) and not any(
        os.path.exists(os.path.join(name, "__main__" + ending)) for ending in (".py", ".pyc")
    ):
        raise _output.RequestError(f"can't find '__main__' module in {os.path.abspath(name)!r}")


def _become(program: Program, request: _request.Request) -> NoReturn:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [_HOOK, request.pythonpath]))
    environment[_request.VARIABLE] = _request.encode(request)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, *_interpreter.options(), *program.arguments]
    os.execve(sys.executable, command, environment)
