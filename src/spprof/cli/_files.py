"""Profiles that commands are given as files."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from spprof._base import MEASURES
from spprof._errors import ProfileFileError
from spprof._profile import Profile
from spprof.cli._output import RequestError
from spprof.cli._terminal import printable
from spprof.reading import UNITS

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from spprof.cli._arguments import Parser
    from spprof.cli._request import Output


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


def add_filters(parser: Parser) -> None:
    """What `read` leaves out, see `Profile.filter`."""
    part = parser.add_argument_group("only a part of the profile (names may have * and ?)")
    part.add_argument(
        "--thread", metavar="NAME", action="append", help="threads of that name; may be given more than once"
    )
    part.add_argument("--module", metavar="NAME", action="append", help="stacks through that module or package")
    part.add_argument("--function", metavar="NAME", action="append", help="stacks through that function")
    part.add_argument("--state", metavar="STATE", action="append", help="running, sleeping, 'waiting for the GIL', ...")
    part.add_argument(
        "--time", metavar="FROM,TO", type=_range, help="seconds since the start of the profile; either may be left out"
    )


def _range(text: str) -> tuple[float | None, float | None]:
    """A range of time as argparse's `type`."""
    from argparse import ArgumentTypeError

    first, comma, last = text.partition(",")
    try:
        if not comma:
            raise ValueError
        return float(first) if first.strip() else None, float(last) if last.strip() else None
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not two numbers of seconds with a comma between them, such as 1.5,3"
        ) from None


def filtered(profile: Profile, options: Namespace) -> Profile:
    """The part of the profile that `add_filters` asks for. Raises RequestError."""
    wanted = {name: getattr(options, name) for name in ("thread", "module", "function", "state", "time")}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if not wanted:
        return profile
    try:
        part = profile.filter(**wanted)
    except ValueError as error:
        raise RequestError(str(error)) from None
    if not part.threads or not (part.sample_count or part.losses):
        raise RequestError(
            "nothing in the profile fits " + " and ".join(f"--{name} {_shown(value)}" for name, value in wanted.items())
        )
    return part


def _shown(value: object) -> str:
    if isinstance(value, tuple):  # a range
        return ",".join(["" if each is None else f"{each:g}" for each in value])
    return " ".join(value) if isinstance(value, list) else str(value)


def read_all(paths: Iterable[str], options: Namespace, command: str) -> list[Profile]:
    """The profiles in several files, with a bar if that takes long. Raises RequestError."""
    from spprof.cli._progress import Progress

    sizes = [(path, _size(path)) for path in paths]
    profiles = []
    with Progress(sum(size for _, size in sizes)) as progress:
        for path, size in sizes:
            progress.step(f"reading {printable(os.path.basename(path))}", size)
            profiles.append(read(path, options, command))
    return profiles


def write_all(profile: Profile, outputs: Iterable[Output]) -> None:
    """Saves the profile under each name, with a bar if that takes long. Raises RequestError."""
    from spprof.cli._progress import Progress
    from spprof.export import save

    outputs = list(outputs)
    with Progress(len(outputs)) as progress:
        for output in outputs:
            progress.step(f"writing {printable(os.path.basename(output.path))}")
            try:
                save(profile, output.path, output.format)
            except OSError as error:
                raise RequestError(f"can't write {output.path!r}: {error.strerror}") from None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size + 1
    except OSError:
        return 1


def read(path: str, options: Namespace, command: str) -> Profile:
    """The profile in *path*; of a damaged file what can be shown, with a warning on stderr, if the options allow that.

    Raises RequestError.
    """
    try:
        profile = Profile.load(path, unit=options.unit, mode=options.mode, interval_ms=options.interval_ms)
        if profile.is_unfinished:
            print(f"spprof {command}: note: {unfinished(profile, path)}", file=sys.stderr)
        return profile
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


def unfinished(profile: Profile, path: str) -> str:
    """Until when a profile goes whose program was killed."""
    until = profile.end_time.astimezone().isoformat(" ", "seconds")
    return (
        f"{path} was not finished, its program was killed or still runs: it goes until {until}, "
        f"{profile.total_duration_ms / 1000:.1f} s after its start"
    )


def write_lines(lines: Iterable[str]) -> int:
    """Prints *lines*; the exit code. A reader that has seen enough (``| head``) is no error."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not tried again at exit
    return 0
