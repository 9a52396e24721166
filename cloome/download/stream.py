"""The bytes of one url from a position to the end; goes on after cuts, and never mixes two versions of a file."""

import logging
import random
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from cloome.download.slots import connection

log = logging.getLogger(__name__)

RETRIES = 5  # failures in a row without a new byte
BACKOFF = 1.0  # seconds; doubles with each failure in a row
LONGEST_BACKOFF = 60.0
LONGEST_RETRY_AFTER = 600.0  # seconds; a host that asks for more is left for its mirror
TIMEOUT = (20, 60)  # seconds to connect, and between two pieces: the archive hosts stall for long before they answer
BUSY = (408, 429, 500, 502, 503, 504)
PIECE = 1 << 20
sleep = time.sleep

Result = TypeVar("Result")


class NotDelivered(Exception):
    """This url did not give the file; another one may."""


class Changed(Exception):
    """What comes now does not continue what is there; start again at the first byte."""


class _Interrupted(Exception):
    def __init__(self, why: str, wait: float = 0.0):
        super().__init__(why)
        self.wait = wait


def open_stream(url: str, name: str, connections: int, position: int = 0, version: str = "") -> "Stream | LocalFile":
    """A reader of the url's bytes, of the same use for hosts and local files; close it, or use it with ``with``."""
    if urlsplit(url).scheme == "file":
        return LocalFile(url)
    return Stream(url, name, connections, position, version)


class Stream:
    """One file at a web host.

    Parameters
    ----------
    url : str
        http or https.
    name : str
        What to call the file in messages.
    connections : int
        How many this machine may hold to the host at a time.
    position : int
        Bytes that are there already.
    version : str
        What the host called the version of these: its ETag or date.
    """

    def __init__(self, url: str, name: str, connections: int, position: int = 0, version: str = ""):
        self.version = version
        self.total: int | None = None
        self._url, self._name, self._connections = url, name, connections
        self._position = self._furthest = position
        self._failures = 0
        self._session = requests.Session()
        self._connected = ExitStack()
        self._body = None
        self._ended = False

    def begin(self) -> int | None:
        """Connect; returns the size of the whole file where the host says it. Raises as `read` does."""
        self._persist(self._connect)
        return self.total

    def read(self, size: int = PIECE) -> bytes:
        """Up to `size` bytes as they arrive; empty at the end of the file.

        Raises
        ------
        NotDelivered
            If the host does not have the file, or has failed again and again without giving a further byte.
        Changed
            If the file is another one since the bytes before, or the host gives no way to tell.
        """
        return self._persist(lambda: self._piece(size))

    def close(self) -> None:
        """Drop the connection."""
        self._disconnect()
        self._session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _persist(self, action: Callable[[], Result]) -> Result:
        """Do it again after a failure that may pass."""
        while True:
            try:
                return action()
            except _Interrupted as failure:
                self._pause(failure)
            except (HTTPError, requests.ConnectionError, requests.Timeout) as error:
                self._pause(_Interrupted(f"no answer: {error}" if self._body is None else f"cut: {error}"))
            except requests.RequestException as error:
                raise NotDelivered(f"no answer: {error}") from error

    def _pause(self, failure: _Interrupted) -> None:
        self._disconnect()
        # Without this, a host that always cuts at the same byte would be asked for ever.
        self._failures = 0 if self._position > self._furthest else self._failures + 1
        self._furthest = max(self._furthest, self._position)
        if self._failures > RETRIES:
            raise NotDelivered(f"after {self._position} bytes, again and again: {failure}; run it again later")
        if failure.wait > LONGEST_RETRY_AFTER:
            raise NotDelivered(f"{failure}, and asks to wait for {failure.wait:.0f} s; run it again later")
        # Jitter: what was cut off at one moment does not come back at one moment.
        backoff = min(BACKOFF * 2**self._failures, LONGEST_BACKOFF) * random.uniform(0.5, 1.5)
        log.warning("%s: %s; going on at byte %s", self._name, failure, f"{self._position:,}")
        sleep(max(backoff, failure.wait))

    def _connect(self) -> None:
        """Ask for what is missing."""
        # Bytes as they are at the host: sizes, ranges and checksums are those of the file, not of a packed transfer.
        headers = {"Accept-Encoding": "identity"}
        if self._position:
            if not self.version:
                raise Changed("the host gives no mark by which to continue")
            headers |= {"Range": f"bytes={self._position}-", "If-Range": self.version}
        self._connected.enter_context(connection(self._url, self._connections))
        response = self._session.get(self._url, headers=headers, stream=True, timeout=TIMEOUT)
        self._connected.callback(response.close)
        if response.status_code in BUSY:
            raise _Interrupted(f"{response.status_code} {response.reason}", _retry_after(response))
        self._body = response.raw
        if self._position and response.status_code in (206, 416):
            self._continue(response)
        elif response.status_code == 200:
            self._start(response)
        else:
            raise NotDelivered(f"{response.status_code} {response.reason}; correct the row in the table of sources")

    def _continue(self, response: requests.Response) -> None:
        """The rest has come: 206 with the next byte, or 416 when nothing is missing."""
        start = r"bytes (\d+)-\d+/(\d+|\*)" if response.status_code == 206 else r"bytes \*/(\d+)"
        match = re.match(start, response.headers.get("Content-Range", ""))
        # Some hosts honour Range but not If-Range, so the version is compared here too.
        if not match or int(match[1]) != self._position or _version(response) not in ("", self.version):
            raise Changed("the file has changed at its host")
        size = match[match.lastindex]
        if size.isdigit() and self.total not in (None, int(size)):
            raise Changed(f"the host said {self.total} bytes before, now {size}")
        self.total = int(size) if size.isdigit() else self.total
        self._ended = response.status_code == 416

    def _start(self, response: requests.Response) -> None:
        """The whole file has come; if a rest was asked for, read up to where that begins."""
        version, left = _version(response), response.headers.get("Content-Length", "")
        self.total = int(left) if left.isdigit() else None
        if self._position and version != self.version:
            raise Changed("the file has changed at its host")
        self.version = version
        skip = self._position
        while skip:
            piece = self._body.read1(min(skip, PIECE), decode_content=False)
            if not piece:
                raise Changed("the file has become shorter at its host")
            skip -= len(piece)

    def _piece(self, size: int) -> bytes:
        if self._ended:
            return b""
        if self._body is None:
            self._connect()
            if self._ended:
                return b""
        # `read` would lose, with a cut, what has arrived of a piece.
        piece = self._body.read1(size, decode_content=False)
        self._position += len(piece)
        if not piece:
            self._ended = True
            self._disconnect()
        return piece

    def _disconnect(self) -> None:
        self._body = None
        self._connected.close()


class LocalFile:
    """A file of this machine, read as if it were a host's; always from its first byte."""

    version = ""

    def __init__(self, url: str):
        self._path = Path(url2pathname(urlsplit(url).path))
        self._file = None

    def begin(self) -> int:
        """Open it; returns its size. Raises NotDelivered if it cannot be opened."""
        try:
            self._file = open(self._path, "rb")  # noqa: SIM115 (`close` closes it)
        except OSError as error:
            raise NotDelivered(f"{error.strerror}; correct the path in the table of sources") from error
        return self._path.stat().st_size

    def read(self, size: int = PIECE) -> bytes:
        """Up to `size` bytes; empty at the end."""
        return self._file.read(size)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        if self._file:
            self._file.close()


def _version(response: requests.Response) -> str:
    """What the host calls this version of the file; without it a partial file cannot be trusted later."""
    tag = response.headers.get("ETag", "")
    # A weak tag allows other bytes, so it says nothing on ranges.
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _retry_after(response: requests.Response) -> float:
    """Seconds that a busy host asks to wait: it may give a number or a date."""
    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0
