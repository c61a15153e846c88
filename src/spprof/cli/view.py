"""`spprof view`: the HTML report in a browser, or served to one where there is none."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from spprof.cli import _output
from spprof.cli._arguments import Parser
from spprof.cli._files import add_filters, add_options, filtered, read_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spprof._profile import Profile


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        prog="spprof view",
        usage="spprof view [OPTION]... FILE",
        description="Open the HTML report of a profile in the browser. Where there is none (over ssh, in a container),\n"
        "the report is served on this machine's loopback address, under a name that nobody can guess, until Ctrl-C.",
        epilog="examples:\n  spprof view profile.spprof\n  spprof view --serve --port 8123 profile.spprof    "
        "# and elsewhere: ssh -L 8123:localhost:8123 machine\n",
    )
    parser.add_argument("source", metavar="FILE", help="the file; its contents say the format")
    parser.add_argument("--serve", action="store_true", help="serve it, whether there is a browser or not")
    parser.add_argument("--port", type=int, metavar="N", help="the port to serve on (default: one that is free)")
    add_filters(parser)
    add_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    own = parser()
    options = own.parse_args(argv)
    try:
        if options.port is not None and not 0 <= options.port <= 65535:
            raise _output.RequestError(f"--port must be from 0 to 65535, not {options.port}")
        _output.require("html")
        profile = filtered(read_all([options.source], options, "view")[0], options)
        if not options.serve and options.port is None and has_browser() and _open(profile):
            return 0
        return _serve(_page(profile), options.port or 0)
    except _output.RequestError as error:
        own.error(str(error))


def has_browser() -> bool:
    """Whether there is a browser with windows: one in the terminal can't run the report."""
    import webbrowser

    if os.environ.get("BROWSER"):
        return True
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        return not isinstance(webbrowser.get(), webbrowser.GenericBrowser) or bool(os.environ.get("DISPLAY"))
    except webbrowser.Error:
        return False


def _open(profile: Profile) -> bool:
    """Writes the report to a file of its own, which stays: the browser reads it when it is ready. Whether that began."""
    import tempfile
    import webbrowser
    from pathlib import Path

    from spprof.export import save

    try:
        # Only its owner may read it.
        descriptor, path = tempfile.mkstemp(prefix="spprof-", suffix=".html")
        os.close(descriptor)
        save(profile, path, "html")
    except OSError as error:
        raise _output.RequestError(f"can't write a temporary file: {error.strerror}") from None
    if not webbrowser.open(Path(path).as_uri()):
        os.unlink(path)
        return False
    print(path)
    return True


def _page(profile: Profile) -> bytes:
    from spprof.cli._progress import Progress
    from spprof.export import renderer

    with Progress(1) as progress:
        progress.step("making the report")
        pieces = [
            each if isinstance(each, bytes) else each.encode("utf-8", "backslashreplace")
            for each in renderer("html")(profile)
        ]
    return b"".join(pieces)


def _serve(page: bytes, port: int) -> int:
    from spprof.cli._server import Server

    try:
        server = Server(page, port)
    except OSError as error:
        raise _output.RequestError(f"can't serve on port {port}: {error.strerror}") from None
    with server:
        print(server.url, flush=True)
        print("spprof: Ctrl-C ends", file=sys.stderr)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print(file=sys.stderr)
    return 0
