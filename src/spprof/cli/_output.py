"""Which files a run writes: what was asked for, or a name of its own; checked before the program starts."""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING

from spprof.cli._request import Output
from spprof.export import FORMATS, check_ready, check_writable, format_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class RequestError(Exception):
    """What was asked for cannot be done; the text is the one line for the user."""


def choose(asked: Sequence[str] | None, format: str | None, kind: str, name: str) -> tuple[list[Output], list[str]]:
    """The files to write and notes about their choice.

    asked: paths given with -o; None or empty: one file is named after the program.
    format: name of the format for all of them; None: by each path's ending.
    kind, name: of the program, as in `Request`.

    Raises RequestError.
    """
    if format is not None and format not in FORMATS:
        raise RequestError(f"unknown format {format!r}; known formats: {', '.join(FORMATS)}")
    if format is not None:
        require(format)
    if asked:
        return [_checked(path, format) for path in asked], []
    return _default(format or "speedscope", kind, name)


def _checked(path: str, format: str | None) -> Output:
    if not path:
        raise RequestError("the name of the output file is empty")
    try:
        name, _ = format_of(path, format)
    except ValueError as error:
        raise RequestError(str(error)) from None
    require(name)
    try:
        return Output(check_writable(path), name)
    except OSError as error:
        raise RequestError(f"can't write {path!r}: {error.strerror}") from None


def require(format: str) -> None:
    """Raises RequestError if this installation can't write *format*."""
    try:
        check_ready(format)
    except RuntimeError as error:
        raise RequestError(str(error)) from None


def _default(format: str, kind: str, name: str) -> tuple[list[Output], list[str]]:
    script = kind == "script"
    beside = os.path.dirname(os.path.abspath(name)) if script else os.getcwd()
    stem = os.path.basename(os.path.abspath(name)) if script else name
    if script:
        base, ending = os.path.splitext(stem)
        stem = base if ending in (".py", ".pyw", ".pyc", ".pyz", ".zip") else stem
    stem = f"{stem.replace(os.sep, '_') or 'program'}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"

    folders = list(dict.fromkeys([beside, os.getcwd(), tempfile.gettempdir()]))
    for folder in folders:
        path = _unused(os.path.join(folder, stem), FORMATS[format][0])
        try:
            path = check_writable(path)
        except OSError:
            continue
        notes = [f"no profile can be written to {beside}, so it is elsewhere"] if folder != beside else []
        return [Output(path, format)], notes
    raise RequestError("no folder to write a profile to: name one with -o (tried " + ", ".join(folders) + ")")


def _unused(stem: str, ending: str) -> str:
    path, number = stem + ending, 1
    while os.path.lexists(path):
        path, number = f"{stem}-{number}{ending}", number + 1
    return path
