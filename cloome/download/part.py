"""A file while it grows, beside the place where it appears once it is whole."""

import hashlib
import json
import os
from pathlib import Path

from cloome.data.files import replacing
from cloome.data.locks import locked
from cloome.data.seals import seal
from cloome.errors import CloomeError


class Part:
    """The file ``{out}.part``, and ``{out}.part.json`` with what is known of it. Use it with ``with``.

    Only one process at a time has it; what has arrived stays when the process ends, in whatever way.

    Parameters
    ----------
    out : Path
        Where the file appears in the end.

    Raises
    ------
    CloomeError
        On entering, if another process is fetching the same file.
    """

    def __init__(self, out: Path):
        self.out = out
        self.path = out.with_name(f"{out.name}.part")
        self._notes_path = out.with_name(f"{out.name}.part.json")
        self._file = None
        self._notes = {}

    def __enter__(self):
        self.out.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = locked(self.path, wait=False)
        except BlockingIOError:
            raise CloomeError(f"{self.out}: another process is fetching it; wait for that one") from None
        try:
            self._notes = json.loads(self._notes_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            self.clear()
        return self

    def __exit__(self, *_) -> None:
        if self.path.exists() and self.size == 0:
            self.path.unlink()
            self._notes_path.unlink(missing_ok=True)
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self._file.tell()

    @property
    def url(self) -> str:
        """Where these came from."""
        return self._notes.get("url", "")

    @property
    def version(self) -> str:
        """What the host called the version of the file; empty: not known, so that it cannot be continued."""
        return self._notes.get("version", "")

    @property
    def complete_sha256(self) -> str | None:
        """The digest of the file if it was found whole and right; None: something is missing."""
        return self._notes.get("sha256")

    def restart(self, url: str, version: str) -> None:
        """Begin anew with what a host gives."""
        self.clear()
        self._note(url=url, version=version)

    def clear(self) -> None:
        """Forget what has arrived."""
        self._file.seek(0)
        self._file.truncate()
        self._notes = {}
        self._notes_path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Add to the end."""
        # Without a buffer, so that on a full disk every byte that has arrived is kept and none is left over to write.
        left = memoryview(piece)
        while left:
            left = left[self._file.write(left) :]

    def sha256(self) -> str:
        """The digest of what lies on the disk."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def note_complete(self, sha256: str) -> None:
        """Remember that the file is whole and right."""
        self._note(**(self._notes | {"sha256": sha256}))

    def publish(self) -> None:
        """Give the file its final name."""
        os.replace(self.path, self.out)
        seal(self.out)
        self._notes_path.unlink(missing_ok=True)

    def _note(self, **notes: str) -> None:
        self._notes = notes
        with replacing(self._notes_path) as temporary:
            temporary.write_text(json.dumps(notes), encoding="utf-8")
