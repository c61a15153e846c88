"""Writing profiles to files: which format a name means, and how a file is replaced as a whole.

    .speedscope.json, .json          speedscope       https://www.speedscope.app
    .collapsed, .folded, .txt        collapsed        flamegraph.pl, inferno, speedscope and many others
    .svg                             svg              a picture of the flame graph, for any browser
    .spprof                          spprof           everything, to be read by spprof again (`Profile.load`)
    .pb, .pprof                      pprof            https://github.com/google/pprof; usually compressed: .pb.gz
    .trace.json                      chrome           https://ui.perfetto.dev, chrome://tracing
    .firefox.json                    firefox          https://profiler.firefox.com
    .otlp.pb                         otlp             OpenTelemetry collectors
    .pstats                          pstats           Python's own `pstats`, snakeviz
    .md                              markdown         people, issues, chat
    .html                            html             the report, for any browser

A format is a module with ``render(profile)``, which yields the file's text (or bytes) piece by piece. A new one needs a
line in `FORMATS`.
"""

from __future__ import annotations

import os

from ._file import check_writable as check_writable
from ._file import is_special as is_special
from ._file import writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._base import BaseProfile, PathLike

    Renderer = Callable[[BaseProfile], "Iterator[str] | Iterator[bytes]"]

# Format -> endings that mean it, the one to prefer first.
FORMATS: dict[str, tuple[str, ...]] = {
    "speedscope": (".speedscope.json", ".json"),
    "collapsed": (".collapsed", ".folded", ".txt"),
    "svg": (".svg",),
    "spprof": (".spprof",),
    "pprof": (".pb", ".pprof"),
    "chrome": (".trace.json",),
    "firefox": (".firefox.json",),
    "pstats": (".pstats",),
    "otlp": (".otlp.pb",),
    "markdown": (".md",),
    "html": (".html",),
}
COMPRESSED = ".gz"


def known_formats() -> str:
    """Formats and endings in words, for messages."""
    formats = [f"{name}: {', '.join(endings)}" for name, endings in FORMATS.items()]
    return "; ".join(formats) + f"; each also with {COMPRESSED}"


def format_of(path: PathLike, format: str | None = None) -> tuple[str, bool]:
    """The format that a file is to have, and whether it is to be compressed.

    Raises ValueError, naming the known ones, if neither *format* nor the path's ending is known; TypeError if *path*
    is not a path, or *format* not a string.
    """
    name = os.path.basename(os.fsdecode(path)).lower()
    compressed = name.endswith(COMPRESSED)
    if format is not None:
        if not isinstance(format, str):
            raise TypeError(f"format must be a string, not {type(format).__name__}")
        if format not in FORMATS:
            raise ValueError(f"unknown format {format!r}; known formats: {', '.join(FORMATS)}")
        return format, compressed
    stem = name[: -len(COMPRESSED)] if compressed else name
    matches = [(len(end), known) for known, endings in FORMATS.items() for end in endings if stem.endswith(end)]
    if matches:
        return max(matches)[1], compressed  # the longest: .trace.json is also .json
    raise ValueError(
        f"can't tell the format of {os.fsdecode(path)!r} from its ending; known formats: {known_formats()}"
    )


def renderer(format: str) -> Renderer:
    """The function that renders *format*, one of `FORMATS`. Its module is imported only now."""
    from importlib import import_module

    module = import_module(f".{format}", __name__)
    render: Renderer = module.render
    return render


def check_ready(format: str) -> None:
    """Raises RuntimeError, which says what to do, if this installation can't write *format*."""
    if format == "html":
        from .html import bundle

        bundle()


def save(profile: BaseProfile, path: PathLike, format: str | None = None) -> None:
    """Writes *profile* to *path*; see ``Profile.save``."""
    name, compressed = format_of(path, format)
    with writing(path, compressed) as write:
        for piece in renderer(name)(profile):
            # Names may hold what UTF-8 can't (file names with undecodable bytes): shown escaped, never an error.
            write(piece.encode("utf-8", "backslashreplace") if isinstance(piece, str) else piece)
