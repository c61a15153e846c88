"""One page, served on the loopback address under a name that can't be guessed, to whoever was told it."""

from __future__ import annotations

import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_ADDRESS = "127.0.0.1"


class Server(ThreadingHTTPServer):
    """Other users of the machine can connect to the port as well: only the name in the path, 256 random bits, gives the page."""

    daemon_threads = True

    def __init__(self, page: bytes, port: int) -> None:
        """Raises OSError if the port can't be had."""
        self.page = page
        self.path = f"/{secrets.token_urlsafe(32)}/"
        super().__init__((_ADDRESS, port), _Handler)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{_ADDRESS}:{self.server_port}{self.path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10
    server_version, sys_version = "spprof", ""

    def do_GET(self) -> None:
        self._answer(with_page=True)

    def do_HEAD(self) -> None:
        self._answer(with_page=False)

    def _answer(self, with_page: bool) -> None:
        known = secrets.compare_digest(self.path.encode("utf-8", "replace"), self.server.path.encode("ascii"))
        # A page elsewhere, whose name is made to lead here, would come with that name.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if not known or host not in (_ADDRESS, "localhost"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        if with_page:
            self.wfile.write(self.server.page)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the path is a secret."""
