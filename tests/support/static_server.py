"""A static web server of one folder, as anybody may have: it sends no header of its own."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Site:
    """``address`` has no slash at its end.

    ``replaced`` are files below it, such as ``labels.txt``, and what to send; None: not found.
    """

    address: str
    replaced: dict[str, bytes | None] = field(default_factory=dict)


@contextmanager
def serve(folder: Path, path: str) -> Iterator[Site]:
    """Serve ``folder``, of which ``path`` is the site, until the end of the block."""
    replaced: dict[str, bytes | None] = {}
    handler = functools.partial(_Handler, f"/{path}/", replaced, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{server.server_port}/{path}", replaced)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(
        self, start: str, replaced: dict[str, bytes | None], *args: object, directory: str
    ) -> None:
        self._start = start
        self._replaced = replaced
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        file = urlsplit(self.path).path.removeprefix(self._start)
        if file not in self._replaced:
            super().do_GET()
            return
        body = self._replaced[file]
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(file))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing: the page does."""
