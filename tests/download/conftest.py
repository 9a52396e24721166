"""A web server on this machine that misbehaves as told."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cloome.download import transfer

CONTENT = bytes(range(256)) * 400


@dataclass
class Host:
    """One file at one url, and how the host delivers it."""

    content: bytes = CONTENT
    etag: str = '"one"'
    ranges: bool = True  # False: Range is ignored and the whole file sent
    if_range: bool = True  # False: a range is sent even of another version
    cut_after: list[int] = field(default_factory=list)  # body bytes of the first answers, before the line drops
    statuses: list[int] = field(default_factory=list)  # the first answers
    asked: list[str | None] = field(default_factory=list)  # Range of each request
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.statuses:
            handler.send_response(self.statuses.pop(0))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        same = handler.headers.get("If-Range") in (None, self.etag) or not self.if_range
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges and same else 0
        if start and start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            body = b""
        elif start:
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
            body = self.content[start:]
        else:
            handler.send_response(200)
            body = self.content
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", self.etag)
        handler.end_headers()
        handler.wfile.write(body[: self.cut_after.pop(0)] if self.cut_after else body)


@pytest.fixture
def host(monkeypatch) -> Iterator[Host]:
    monkeypatch.setattr(transfer, "BACKOFF", 0.001)
    told = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            told.answer(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/file"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield told
    server.shutdown()
    server.server_close()
