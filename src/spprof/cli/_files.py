"""Profiles that commands are given as files."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from spprof._base import MEASURES
from spprof._errors import ProfileFileError
from spprof._profile import Profile
from spprof.cli._output import RequestError
from spprof.reading import UNITS

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from spprof.cli._arguments import Parser


def add_options(parser: Parser) -> None:
    """What `read` wants to know of any file."""
    parser.add_argument("--damaged", action="store_true", help="of a damaged .spprof file, take what can be read")
    others = parser.add_argument_group("for files of other profilers that do not say it")
    others.add_argument(
        "--unit",
        choices=UNITS,
        help="of their numbers (default: samples; of stacks that spprof has written: ns)",
    )
    others.add_argument("--mode", choices=list(MEASURES), help="what the numbers measure (default: cpu)")
    others.add_argument("--interval-ms", metavar="N", type=float, help="what one sample stands for (default: 10)")


def read(path: str, options: Namespace, command: str) -> Profile:
    """The profile in *path*; of a damaged file what can be shown, with a warning on stderr, if the options allow that.

    Raises RequestError.
    """
    try:
        return Profile.load(path, unit=options.unit, mode=options.mode, interval_ms=options.interval_ms)
    except OSError as error:
        raise RequestError(f"can't read {path!r}: {error.strerror}") from None
    except ProfileFileError as error:
        if error.partial is None:
            raise RequestError(str(error)) from None
        if not options.damaged:
            raise RequestError(f"{error} (with --damaged they are)") from None
        print(f"spprof {command}: warning: {error}", file=sys.stderr)
        return error.partial
    except ValueError as error:  # of the options
        raise RequestError(str(error).replace("interval_ms", "--interval-ms")) from None


def write_lines(lines: Iterable[str]) -> int:
    """Prints *lines*; the exit code. A reader that has seen enough (``| head``) is no error."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not tried again at exit
    return 0
