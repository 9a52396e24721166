"""Single members of a plate's tar.gz, taken from the stream; nothing else of it is unpacked, no path of it is used."""

import gzip
import hashlib
import logging
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cloome.data.files import replacing
from cloome.data.sources import Source
from cloome.download.disk import telling_when_full
from cloome.download.mirrors import from_mirrors
from cloome.download.progress import Progress
from cloome.download.records import Records, check
from cloome.download.stream import PIECE, LocalFile, NotDelivered, Stream, open_stream
from cloome.download.transfer import Terms
from cloome.errors import CloomeError

log = logging.getLogger(__name__)

# The well profiles of a plate have some 10 MB. Larger ones would be another file, or a bomb.
LARGEST_MEMBER = 1 << 30
# Members that some plates lack, and the empty table that stands for them (FACTS 5.2).
EMPTY_TABLES = {"quality_control/qc.csv": "Image_Metadata_Plate,Well,Site,isSaturated,isBlurry\n"}


@dataclass(frozen=True)
class Member:
    """A member to take, and the file that it becomes."""

    ending: str  # of its path, in whole components: quality_control/qc.csv
    file_name: str
    optional: bool = False  # where it is absent, write its empty table


def parse_members(needed: list[str], optional: list[str]) -> list[Member]:
    """Read words such as ``profiles/mean_well_profiles.csv`` or ``functions/7_IllumDNA.mat=Hoechst.mat``.

    Raises
    ------
    CloomeError
        If two would have the same file name, a name is a path, or there is no empty table for an optional one.
    """
    members = []
    for word in [*needed, *optional]:
        ending, _, name = word.partition("=")
        members.append(Member(ending, name or PurePosixPath(ending).name, word in optional))
    names = [member.file_name for member in members]
    if len(set(names)) < len(names):
        raise CloomeError(f"--members {' '.join([*needed, *optional])}: two have the same file name; write ENDING=NAME")
    for member in members:
        if member.file_name != PurePosixPath(member.file_name).name or member.file_name == "..":
            raise CloomeError(f"--members: {member.file_name!r} is no plain file name; write one without folders")
        if member.optional and member.ending not in EMPTY_TABLES:
            raise CloomeError(f"--optional {member.ending}: only {', '.join(EMPTY_TABLES)} may be absent")
    return members


def fetch_members(source: Source, members: list[Member], folder: Path, terms: Terms) -> None:
    """Write members of a tar.gz into a folder.

    The archive is read from its host up to the last member that is wanted, and is never stored. Where the table of
    sources knows its size or checksum, it is read and verified to its end. After a cut the stream goes on where it
    stopped as long as this process lives; a killed one starts again.

    Parameters
    ----------
    source : Source
        The archive.
    members : list of Member
        What to take.
    folder : Path
        Where they are written; all of them appear, or none.
    terms : Terms
        How to fetch.

    Raises
    ------
    CloomeError
        If no url gives all members, whole and as recorded, or the disk is full. An archive that is truncated, lacks a
        member, or holds one that is too large, a link, or leaves its folder, counts as not given.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def deliver(url: str) -> None:
        with ExitStack() as stack:
            files = {member: stack.enter_context(replacing(folder / member.file_name)) for member in members}
            with open_stream(url, source.name, terms.connections) as stream:
                _extract(_Counted(stream, source), files, source, terms.records)
            if source.sha256 is None:
                _record(
                    {f"{source.name}-{member.file_name}": file for member, file in files.items()}, url, terms.records
                )
        log.info("%s: %s from %s", source.name, ", ".join(member.file_name for member in members), url)

    with telling_when_full(folder, source.name):
        from_mirrors(source, deliver)


class _Counted:
    """A stream whose bytes are counted and digested."""

    def __init__(self, stream: Stream | LocalFile, source: Source):
        self._stream, self._digest, self.size = stream, hashlib.sha256(), 0
        self.progress = Progress(source.name, stream.begin())

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = PIECE) -> bytes:
        piece = self._stream.read(size)
        self._digest.update(piece)
        self.size += len(piece)
        self.progress.add(len(piece))
        return piece


def _extract(stream: _Counted, files: dict[Member, Path], source: Source, records: Records) -> None:
    """Write each member to its file; verify as much of the archive as is read."""
    left = list(files)
    with stream.progress:
        try:
            for entry, content in _entries(stream):
                member = next((m for m in left if f"/{entry.name}".endswith(f"/{m.ending}")), None)
                if member is None:
                    continue
                _write(entry, content, files[member])
                left.remove(member)
                if not left and source.sha256 is None and source.bytes is None:
                    return
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise NotDelivered(f"truncated or not a tar.gz: {error}; run it again later") from error
        while stream.read():
            pass
    check(source, source.name, stream.size, stream.sha256, records)
    absent = [member.ending for member in left if not member.optional]
    if absent:
        raise NotDelivered(f"no member {', '.join(absent)}; look into the archive at its source")
    for member in left:
        log.warning("%s: no member %s; an empty table stands for it", source.name, member.ending)
        files[member].write_text(EMPTY_TABLES[member.ending], encoding="utf-8")


def _entries(stream: _Counted) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    # Unlike the gzip reader within tarfile, this one holds the content against its checksum.
    with gzip.GzipFile(fileobj=stream, mode="rb") as inflated, tarfile.open(fileobj=inflated, mode="r|") as tar:
        for entry in tar:
            yield entry, tar
        while inflated.read(PIECE):
            pass


def _write(entry: tarfile.TarInfo, tar: tarfile.TarFile, path: Path) -> None:
    parts = PurePosixPath(entry.name).parts
    if ".." in parts or parts[0] == "/" or not entry.isfile():
        raise NotDelivered(f"{entry.name} leaves its folder or is no plain file; do not use the archive")
    if entry.size > LARGEST_MEMBER:
        raise NotDelivered(f"{entry.name} has {entry.size} bytes, allowed are {LARGEST_MEMBER}")
    with open(path, "wb") as file:
        shutil.copyfileobj(tar.extractfile(entry), file)


def _record(found: dict[str, Path], url: str, records: Records) -> None:
    """Compare with what was fetched first, and remember what is fetched for the first time."""
    facts = {name: (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in found.items()}
    for name, (size, digest) in facts.items():
        records.check(name, size, digest)
    for name, (size, digest) in facts.items():
        records.keep(name, size, digest, url)
