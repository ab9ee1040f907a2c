"""A web server of a folder that gives parts of files and lists folders, as nginx does."""

from __future__ import annotations

import base64
import functools
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

USER, PASSWORD, SIGNATURE = "reader", "hunter2-hunter2-hunter2", "8f0c5d71ab-signature"
"""What a server may ask for: in ``http://USER:PASSWORD@`` and ``?X-Amz-Signature=SIGNATURE``."""


@contextmanager
def web_server(folder: Path, *, secret: bool = False) -> Iterator[str]:
    """Serve ``folder`` until the end of the block; return its address.

    With ``secret`` only to who knows the user, the password and the signature.
    """
    handler = functools.partial(_Handler, secret, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, secret: bool, *args: object, directory: str) -> None:
        self._secret = secret
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        if self._allowed():
            super().do_HEAD()

    def do_GET(self) -> None:
        if not self._allowed():
            return
        path = Path(self.translate_path(self.path))
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
        if first > last:
            self.send_error(416)
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])

    def _allowed(self) -> bool:
        if not self._secret:
            return True
        known = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == known and SIGNATURE in urlsplit(self.path).query:
            return True
        self.send_error(403)
        return False

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
