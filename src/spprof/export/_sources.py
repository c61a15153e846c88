"""Source text for the report: of each file with samples the lines of its functions, as far as they have any.

A report is made to be passed on, and a profile may come from elsewhere and name any file. So only source files are read (regular
files with a known ending, or scripts whose first line names Python), of these only lines around samples, and all in all not more
than a limit: the files with the most time come first. `SPPROF_REPORT_SOURCE=0` in the environment leaves all text out.
"""

from __future__ import annotations

import os
import stat

from ._report_data import weight_by_node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._base import BaseProfile

#: Characters of text in a report, lines that are shown around a sample, and the largest file that is looked at (bytes).
LIMIT, AROUND, LARGEST = 2_000_000, 6, 8_000_000
_LONGEST_LINE = 500
_ENDINGS = (
    ".py", ".pyw", ".pyx", ".pxd", ".pxi", ".c", ".h", ".cc", ".hh", ".cpp", ".hpp", ".cxx", ".hxx", ".rs", ".go", ".f90",
)  # fmt: skip


class _MissingError(Exception):
    """There is no text to show; says why."""


def sources(profile: BaseProfile) -> list[dict[str, Any]]:
    """By file: its name, and either ``parts`` (first line, text) or ``missing``, the reason why there are none.

    ``changed``: the file is younger than the profile, so that lines may not be where they were.
    """
    left = LIMIT
    result = []
    for file, ranges in _wanted(profile):
        entry: dict[str, Any] = {"file": file}
        try:
            lines, modified = _read(file)
            parts = _parts(lines, ranges)
            size = sum(len(text) for _, text in parts)
            if size > left:
                raise _MissingError("left out: the report has as much source text as it may have, of hotter files")
            left -= size
            entry["parts"] = parts
            if modified > profile._facts.start_time + profile._facts.duration_ns / 1e9 + 1:
                entry["changed"] = True
        except _MissingError as missing:
            entry["missing"] = str(missing)
        result.append(entry)
    return result


def _wanted(profile: BaseProfile) -> list[tuple[str, list[tuple[int, int]]]]:
    """Files, those with the most own time first, and ranges of lines of each: sorted, apart from each other."""
    tree = profile._tree
    own: dict[str, int] = {}
    by_node = weight_by_node(profile)
    for node, weight in by_node.items():
        if node:
            file = tree.frames[tree.frame_of[node]].filename
            own[file] = own.get(file, 0) + weight
    wanted: dict[str, dict[int, list[int]]] = {}
    for index in tree.frames_in(by_node):
        frame = tree.frames[index]
        if frame.filename and frame.lineno > 0:
            wanted.setdefault(frame.filename, {}).setdefault(frame.firstlineno, []).append(frame.lineno)
    result = []
    for file in sorted(wanted, key=lambda name: (-own.get(name, 0), name)):
        ranges = []
        for first, lines in wanted[file].items():
            ranges.extend([(max(line - AROUND, 1), line + AROUND) for line in lines])
            if first > 0:
                ranges.append((first, first + 1))
        result.append((file, _joined(sorted(ranges))))
    return result


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1] + 3:  # a gap of two lines is shown rather than marked
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined


def _parts(lines: list[str], ranges: list[tuple[int, int]]) -> list[tuple[int, str]]:
    if any(first > len(lines) for first, _ in ranges):
        raise _MissingError("the file has fewer lines than the profile saw: it is not the one that ran")
    return [
        (first, "\n".join([line.rstrip("\r\n")[:_LONGEST_LINE] for line in lines[first - 1 : last]]))
        for first, last in ranges
    ]


def _read(file: str) -> tuple[list[str], float]:
    """Lines, and when the file was changed."""
    if os.environ.get("SPPROF_REPORT_SOURCE") == "0":
        raise _MissingError("left out: SPPROF_REPORT_SOURCE=0 was set when the report was written")
    if file.startswith("<"):
        import linecache

        lines = linecache.cache.get(file)  # of cells of notebooks
        if lines is not None and len(lines) > 2:
            return list(lines[2]), 0.0
        raise _MissingError("this code did not come from a file")
    try:
        status = os.stat(file)  # before it is opened: opening a device can do things
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise _MissingError("left out: not a regular file, or a very large one")
        with open(file, "rb") as opened:
            data = opened.read(LARGEST)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise _MissingError(f"the file could not be read when the report was written: {reason}") from None
    if not file.lower().endswith(_ENDINGS) and not (data.startswith(b"#!") and b"python" in data.partition(b"\n")[0]):
        raise _MissingError("left out: not known to be a source file")
    return _decoded(data), status.st_mtime


def _decoded(data: bytes) -> list[str]:
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding, errors="replace").readlines()
    except (SyntaxError, LookupError):  # a file may claim any encoding, also one that is none
        return io.TextIOWrapper(io.BytesIO(data), "utf-8", errors="replace").readlines()
