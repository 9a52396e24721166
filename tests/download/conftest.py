"""A web server on this machine that misbehaves as told."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cloome.data.sources import COLUMNS
from cloome.download import stream

CONTENT = bytes(range(256)) * 400
PATIENCE = 20  # seconds that a test waits for what another process does


@dataclass
class Host:
    """One file at one url, and how the host delivers it."""

    content: bytes = CONTENT
    etag: str = '"one"'
    ranges: bool = True  # False: Range is ignored and the whole file sent
    if_range: bool = True  # False: a range is sent even of another version
    length: int | None = -1  # Content-Length of a whole file: -1 the true one, None: none is sent
    cut_after: list[int] = field(default_factory=list)  # body bytes of the first answers, before the line drops
    stall_after: list[int] = field(default_factory=list)  # the same, before nothing comes any more
    statuses: list[int] = field(default_factory=list)  # the first answers
    headers: dict[str, str] = field(default_factory=dict)  # sent with those, and with every answer
    asked: list[str | None] = field(default_factory=list)  # Range of each request
    during: Callable[[], None] = lambda: None  # called when half of a body is sent
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)  # ends stalls

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.statuses:
            self._send(handler, self.statuses.pop(0), b"")
            return
        same = handler.headers.get("If-Range") in (None, self.etag) or not self.if_range
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges and same else 0
        size = len(self.content)
        if start and start >= size:
            self._send(handler, 416, b"", {"Content-Range": f"bytes */{size}"})
        elif start:
            self._send(handler, 206, self.content[start:], {"Content-Range": f"bytes {start}-{size - 1}/{size}"})
        else:
            self._send(handler, 200, self.content, length=self.length)

    def _send(self, handler, status: int, body: bytes, headers: dict | None = None, length: int | None = -1) -> None:
        handler.send_response(status)
        for name, value in {**self.headers, **(headers or {})}.items():
            handler.send_header(name, value)
        if length is not None:
            handler.send_header("Content-Length", str(len(body) if length == -1 else length))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        if body and self.stall_after:
            handler.wfile.write(body[: self.stall_after.pop(0)])
            handler.wfile.flush()
            self.released.wait(PATIENCE)
            return
        body = body[: self.cut_after.pop(0)] if self.cut_after else body
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        self.during()
        handler.wfile.write(body[len(body) // 2 :])


class Web:
    """A server with files at different paths, and a table of sources that names them."""

    def __init__(self, folder: Path):
        self.folder, self.hosts = folder, {}
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                web.hosts[self.path].answer(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A client that goes away in the middle is what these tests are about, and no error of the server.
        self._server.handle_error = lambda *_: None
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def host(self, path: str = "/file", **behaviour) -> Host:
        """A further file."""
        self.hosts[path] = Host(url=f"http://127.0.0.1:{self.port}{path}", **behaviour)
        return self.hosts[path]

    def plate(self, *channels: str) -> dict[str, Host]:
        """The archives of plate 7, each of other bytes."""
        return {
            channel: self.host(f"/7-{channel}.zip", content=CONTENT[number:]) for number, channel in enumerate(channels)
        }

    def table(self, url: str, source: str = "plate_archive", **values: str) -> Path:
        """A table of sources with one row."""
        values = {"source": source, "url": url} | values
        path = self.folder / "sources.csv"
        path.write_text(f"{','.join(COLUMNS)}\n{','.join(values.get(column, '') for column in COLUMNS)}\n")
        return path

    def plate_table(self) -> Path:
        """One whose template leads to the archives of `plate`."""
        return self.table(f"http://127.0.0.1:{self.port}/{{plate}}-{{channel}}.zip")

    def close(self) -> None:
        for host in self.hosts.values():
            host.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path) -> None:
    """No waiting, and locks of connections that no other run shares."""
    monkeypatch.setattr(stream, "BACKOFF", 0.001)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def web(tmp_path) -> Iterator[Web]:
    server = Web(tmp_path)
    yield server
    server.close()


@pytest.fixture
def host(web) -> Host:
    return web.host()


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """How long the code would have slept before it asked again, in seconds."""
    found = []
    monkeypatch.setattr(stream, "sleep", found.append)
    return found


class Command:
    """``python -m cloome download`` as a process of its own."""

    def __init__(self, root: Path, folder: Path):
        self._root, self._folder, self._processes = root, folder, []

    def start(self, *words: str | Path) -> subprocess.Popen:
        """Start it; its messages go to the file ``{number}.log``."""
        log = self._folder / f"{len(self._processes)}.log"
        process = subprocess.Popen(
            [sys.executable, "-m", "cloome", "download", *map(str, words)],
            cwd=self._root,
            env=os.environ | {"PYTHONPATH": str(self._root)},
            stderr=log.open("w"),
        )
        process.said = log.read_text
        self._processes.append(process)
        return process

    def run(self, *words: str | Path) -> str:
        """Run it to its end, which must be a good one; returns its messages."""
        process = self.start(*words)
        assert process.wait(PATIENCE) == 0, process.said()
        return process.said()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def command(root, tmp_path) -> Iterator[Command]:
    runner = Command(root, tmp_path)
    yield runner
    runner.end()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process or thread does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def wait_until() -> Callable:
    return until


class OtherServer:
    """One file served by a process of its own, at the same port each time."""

    def __init__(self, folder: Path):
        self._folder, self._process, self.port = folder, None, multiprocessing.get_context("fork").Value("i", 0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port.value}/file"

    def start(self, **behaviour) -> None:
        """Serve until `kill`."""
        self._process = multiprocessing.get_context("fork").Process(target=self._serve, args=(Host(**behaviour),))
        self._process.start()
        until(lambda: self.port.value != 0)

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        if self._process.is_alive():
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()

    def _serve(self, host: Host) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                host.answer(self)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port.value), Handler)
        self.port.value = server.server_port
        server.serve_forever()


@pytest.fixture
def other_server(tmp_path) -> Iterator[OtherServer]:
    server = OtherServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no right to mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
