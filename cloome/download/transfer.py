"""Fetching one file: resumed after a cut, verified, from the first host that delivers; whole or absent."""

import hashlib
import logging
import os
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from cloome.data.sources import Source
from cloome.errors import CloomeError

log = logging.getLogger(__name__)

RETRIES = 5
BACKOFF = 1.0  # seconds; doubles with each failure in a row
TIMEOUT = (20, 60)  # seconds to connect, and between two pieces: the archive hosts stall for long before they answer
BUSY = (429, 500, 502, 503, 504)
PIECE = 1 << 20
PROGRESS_SECONDS = 10


class _NotDelivered(Exception):
    """This url did not give the file; another one may."""


def fetch(source: Source, out: Path) -> None:
    """Fetch a file.

    What has arrived is kept in ``{out}.part`` when the transfer fails or is killed, and the next call goes on there,
    unless the file has changed at its host meanwhile. The host's version mark (its ETag or date), by which a change
    is seen, lies in ``{out}.part.version``.

    Parameters
    ----------
    source : Source
        Where the file is, and its size and checksum if known.
    out : Path
        Where it appears once it is complete and verified.

    Raises
    ------
    CloomeError
        If no url gives the file, or what they give has another size or checksum than the table of sources says.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(out)
    failures = []
    for url in source.urls:
        try:
            _copy(url, part) if urlsplit(url).scheme == "file" else _download(url, part, source.name)
            _verify(part, source)
        except _NotDelivered as failure:
            log.warning("%s: %s: %s", source.name, url, failure)
            failures.append(f"{url}: {failure}")
        else:
            part.finish(out)
            log.info("%s: fetched %s bytes from %s", source.name, f"{out.stat().st_size:,}", url)
            return
    raise CloomeError(f"{source.name} could not be fetched; " + "; ".join(failures))


class _Part:
    """The file while it grows, and the version that the host gave it."""

    def __init__(self, out: Path):
        self.path = out.with_name(f"{out.name}.part")
        self._version = out.with_name(f"{out.name}.part.version")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> str:
        return self._version.read_text(encoding="utf-8") if self._version.exists() else ""

    def restart(self, version: str) -> None:
        self.discard()
        self._version.write_text(version, encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def finish(self, out: Path) -> None:
        os.replace(self.path, out)
        self._version.unlink(missing_ok=True)


def _copy(url: str, part: _Part) -> None:
    part.restart(version="")
    try:
        shutil.copyfile(url2pathname(urlsplit(url).path), part.path)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        part.discard()
        raise _NotDelivered(f"{error.strerror}; correct the path in the table of sources") from error


def _download(url: str, part: _Part, name: str) -> None:
    """Receive until the body is complete; a cut is followed by a request for the rest."""
    furthest, stalled = 0, 0
    with _session() as session:
        while True:
            try:
                with _ask(session, url, part) as response:
                    _append(response, part, name)
                return
            except requests.RequestException as error:
                raise _NotDelivered(f"no answer: {error}") from error
            except HTTPError as error:
                # A host that ignores ranges and always cuts would be asked for ever if only the cuts were counted.
                stalled = 0 if part.size > furthest else stalled + 1
                furthest = max(furthest, part.size)
                if stalled > RETRIES:
                    raise _NotDelivered(f"cut after {part.size} bytes, again and again: {error}") from error
                log.warning("%s: cut after %s bytes, going on", name, f"{part.size:,}")
                time.sleep(BACKOFF * 2**stalled)


def _session() -> requests.Session:
    session = requests.Session()
    retry = Retry(total=RETRIES, backoff_factor=BACKOFF, status_forcelist=BUSY, allowed_methods=["GET"])
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _ask(session: requests.Session, url: str, part: _Part) -> requests.Response:
    """Ask for what is missing; afterwards `part` is as long as the place where the answer begins."""
    # Bytes as they are at the host: sizes, ranges and checksums are those of the file, not of a packed transfer.
    headers = {"Accept-Encoding": "identity"}
    resumed = part.size > 0 and part.version != ""
    if resumed:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version}
    response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    if resumed and response.status_code in (206, 416):
        if _continues(response, part):
            return response
        response.close()
        part.discard()
        return _ask(session, url, part)
    if response.status_code != 200:
        response.close()
        raise _NotDelivered(f"{response.status_code} {response.reason}; correct the row in the table of sources")
    part.restart(_version(response))
    return response


def _continues(response: requests.Response, part: _Part) -> bool:
    """Whether the answer is the rest of what `part` holds: 206 with the next byte, or 416 when nothing is missing."""
    # Some hosts honour Range but not If-Range.
    if _version(response) not in ("", part.version):
        return False
    start = r"bytes (\d+)-" if response.status_code == 206 else r"bytes \*/(\d+)"
    match = re.match(start, response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == part.size


def _version(response: requests.Response) -> str:
    """What the host calls this version of the file; without it a partial file cannot be trusted later."""
    tag = response.headers.get("ETag", "")
    # A weak tag allows other bytes, so it says nothing on ranges.
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _append(response: requests.Response, part: _Part, name: str) -> None:
    if response.status_code == 416:
        return
    left = response.headers.get("Content-Length", "")
    total = f"{part.size + int(left):,}" if left.isdigit() else "unknown"
    arrived, said = part.size, time.monotonic()
    with open(part.path, "ab") as file:
        for piece in response.raw.stream(PIECE, decode_content=False):
            file.write(piece)
            arrived += len(piece)
            if time.monotonic() - said > PROGRESS_SECONDS:
                said = time.monotonic()
                log.info("%s: %s of %s bytes", name, f"{arrived:,}", total)


def _verify(part: _Part, source: Source) -> None:
    """Compare with what the table of sources knows; a wrong file is removed, since resuming would keep it wrong."""
    found = {"bytes": part.size, "sha256": None}
    if source.sha256:
        with open(part.path, "rb") as file:
            found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    for what, expected in (("bytes", source.bytes), ("sha256", source.sha256)):
        if expected is not None and found[what] != expected:
            part.discard()
            raise _NotDelivered(
                f"{what} expected {expected}, found {found[what]}; the file was cut or has changed at its host: "
                "try again, or correct the row in the table of sources"
            )
