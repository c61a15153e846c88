"""Profiles that commands are given as files."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from spprof._errors import ProfileFileError
from spprof._profile import Profile
from spprof.cli._output import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable


def read(path: str, *, damaged: bool, command: str) -> Profile:
    """The profile in *path*; of a damaged file what can be shown, with a warning on stderr, if *damaged* allows that.

    Raises RequestError.
    """
    try:
        return Profile.load(path)
    except OSError as error:
        raise RequestError(f"can't read {path!r}: {error.strerror}") from None
    except ProfileFileError as error:
        if error.partial is None:
            raise RequestError(str(error)) from None
        if not damaged:
            raise RequestError(f"{error} (with --damaged they are)") from None
        print(f"spprof {command}: warning: {error}", file=sys.stderr)
        return error.partial


def write_lines(lines: Iterable[str]) -> int:
    """Prints *lines*; the exit code. A reader that has seen enough (``| head``) is no error."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not tried again at exit
    return 0
