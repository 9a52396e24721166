"""Fetching files: each resumed after a cut, verified, from the first host that delivers; all of them or none."""

import hashlib
import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cloome.data.sources import Source
from cloome.download.disk import check_room, telling_when_full
from cloome.download.mirrors import from_mirrors
from cloome.download.part import Part
from cloome.download.progress import Progress
from cloome.download.records import Records, check
from cloome.download.stream import Changed, NotDelivered, open_stream

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Terms:
    """How to fetch, whatever is fetched."""

    connections: int  # that this machine may hold to one host at a time
    records: Records  # of what was fetched before


def fetch(files: list[tuple[Source, Path]], terms: Terms) -> None:
    """Fetch files that belong together.

    They get their final names when all of them are whole and right. What has arrived lies beside, under names that
    end in ``.part``, when a transfer fails or is killed; the next call goes on there and asks for nothing twice,
    unless a file has changed at its host meanwhile. A file that is there already and is right is not fetched.

    Parameters
    ----------
    files : list of (Source, Path)
        Where each file is, what is known of it, and where it shall appear.
    terms : Terms
        How to fetch them.

    Raises
    ------
    CloomeError
        If no url gives a file, what they give has another size or checksum than the table of sources or the record of
        its first fetch says, the disk has no room, or another process is fetching the same file.
    """
    with ExitStack() as stack:
        arrived = []
        for source, out in files:
            if _is_there(source, out, terms.records):
                log.info("%s: %s is there already", source.name, out)
                continue
            part = stack.enter_context(Part(out))
            with telling_when_full(out.parent, source.name):
                _fetch_part(source, part, terms)
            arrived.append((source, part))
        for source, part in arrived:
            if source.sha256 is None:
                terms.records.keep(source.name, part.size, part.complete_sha256, part.url)
            part.publish()


def _is_there(source: Source, out: Path, records: Records) -> bool:
    known = source.sha256 or records.sha256(source.name)
    if known is None or not out.is_file():
        return False
    with open(out, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == known


def _fetch_part(source: Source, part: Part, terms: Terms) -> None:
    """Afterwards `part` holds the whole file, verified."""

    def deliver(url: str) -> None:
        try:
            _append(source, url, part, terms.connections)
            _verify(source, part, terms.records)
        except Changed:
            part.clear()
            raise
        log.info("%s: %s bytes from %s", source.name, f"{part.size:,}", url)

    if part.complete_sha256 and _still_right(source, part, terms.records):
        log.info("%s: has arrived before", source.name)
    else:
        from_mirrors(source, deliver, begun_at=part.url)


def _still_right(source: Source, part: Part, records: Records) -> bool:
    """Whether a file that was found complete is so now; if not, it is cleared."""
    if part.sha256() != part.complete_sha256:
        part.clear()
        return False
    try:
        _verify(source, part, records)
    except NotDelivered as difference:
        log.warning("%s: %s", source.name, difference)
        return False
    return True


def _verify(source: Source, part: Part, records: Records) -> None:
    """Note that the file is complete; or clear it and raise NotDelivered, since resuming would keep it wrong."""
    digest = part.sha256()
    try:
        check(source, source.name, part.size, digest, records)
    except NotDelivered:
        part.clear()
        raise
    part.note_complete(digest)


def _append(source: Source, url: str, part: Part, connections: int) -> None:
    """Receive what is missing."""
    begun = part.url == url and part.version != ""
    start = part.size if begun else 0
    with open_stream(url, source.name, connections, start, part.version if begun else "") as stream:
        total = stream.begin()
        if start == 0:
            part.restart(url, stream.version)
        check_room(part.path.parent, (total or source.bytes or 0) - start, source.name)
        with Progress(source.name, total, start) as progress:
            while piece := stream.read():
                part.write(piece)
                progress.add(len(piece))
