"""A small file server on this machine, with the faults that real ones have."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Served:
    """What the server does, and what it was asked.

    Attributes:
        content: of every path.
        ranges: answer a Range header with the rest; otherwise with the whole file.
        cut: bytes of a body after which the connection ends, once; None for all of it.
        says_length: send Content-Length.
        status: to answer with; 200 and 206 are chosen by the request.
        asked: the Range header of each request, None where there was none.
        url: of a file.
    """

    content: bytes
    ranges: bool = True
    cut: int | None = None
    says_length: bool = True
    status: int | None = None
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(content: bytes, **options: object) -> Iterator[Served]:
    """Serve ``content`` under every path on a free loopback port."""
    served = Served(content, **options)  # type: ignore[arg-type]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            served.asked.append(wanted)
            if served.status is not None:
                self.send_error(served.status)
                return
            start = int(wanted[6:].rstrip("-")) if wanted and served.ranges else 0
            size = len(served.content)
            if start >= size > 0 and wanted and served.ranges:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if wanted and served.ranges else 200)
            if wanted and served.ranges:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            if served.says_length:
                self.send_header("Content-Length", str(size - start))
            self.end_headers()
            body = served.content[start:]
            if served.cut is not None:
                body, served.cut = body[: served.cut], None
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_address[1]}/w.pth"
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
