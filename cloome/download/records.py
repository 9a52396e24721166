"""What each item was when it was first fetched, so that a silent change at its host is noticed later.

One small JSON file per item; it outlives the item itself.
"""

import datetime
import json
from pathlib import Path

from cloome.data.files import replacing
from cloome.data.sources import Source
from cloome.download.stream import NotDelivered
from cloome.errors import FormatError


class Records:
    """The records of a folder.

    Parameters
    ----------
    folder : Path or None
        Where they lie; None: nothing is recorded, and nothing compared.
    """

    def __init__(self, folder: Path | None):
        self._folder = folder

    def sha256(self, name: str) -> str | None:
        """What an item was when it was first fetched; None: not known. Raises FormatError for a damaged record."""
        record = self._read(name)
        return record and record["sha256"]

    def check(self, name: str, size: int, sha256: str) -> None:
        """Refuse, with NotDelivered, an item that is not as recorded."""
        record = self._read(name)
        if record and record["sha256"] != sha256:
            raise NotDelivered(
                f"{name} has changed: {record['bytes']} bytes with sha256 {record['sha256']} when it was first "
                f"fetched on {record['date']} from {record['url']}, now {size} bytes with sha256 {sha256}; "
                f"if the change is right, delete {self._path(name)} and run it again"
            )

    def keep(self, name: str, size: int, sha256: str, url: str) -> None:
        """Record an item, unless it is recorded already."""
        if self._folder is None or self._path(name).exists():
            return
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        record = {"item": name, "bytes": size, "sha256": sha256, "url": url, "date": today}
        with replacing(self._path(name)) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _read(self, name: str) -> dict | None:
        if self._folder is None or not self._path(name).exists():
            return None
        try:
            record = json.loads(self._path(name).read_text(encoding="utf-8"))
            return {key: record[key] for key in ("bytes", "sha256", "url", "date")}
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{self._path(name)}: not a record of a download; delete it and run it again") from error


def check(source: Source, name: str, size: int, sha256: str, records: Records) -> None:
    """Compare an item with what the table of sources says, or else with its record; NotDelivered if it differs."""
    for what, expected, found in (("bytes", source.bytes, size), ("sha256", source.sha256, sha256)):
        if expected is not None and found != expected:
            raise NotDelivered(
                f"{what} expected {expected}, found {found}; the file was cut or has changed at its host: "
                "try again, or correct the row in the table of sources"
            )
    if source.sha256 is None:
        records.check(name, size, sha256)
