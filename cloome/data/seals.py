"""Seals: what each file was when it was finished, so that one which changed later is found and made again.

Within the workflow each file that the package finishes gets a seal, a small file in the folder that the variable
``CLOOME_SEALS`` names. When the workflow starts, it looks at size and time of each sealed file, and only where these
differ at its contents, so that terabytes are not read. Outside the workflow nothing is sealed.
A seal also says on what kind of machine the file was made.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from cloome.data.machine import describe_machine

FOLDER = "CLOOME_SEALS"


def seal(path: str | Path) -> None:
    """Remember what a finished file is; no seal where the variable is not set, or of a folder."""
    folder = os.environ.get(FOLDER)
    if folder and Path(path).is_file():
        _write(_place(folder, path), Path(path), _digest(path), describe_machine())


def machine_of(path: str | Path) -> dict[str, Any] | None:
    """The kind of machine that made a file, as `describe_machine` gives it; None if no seal says so."""
    folder = os.environ.get(FOLDER)
    try:
        return json.loads(_place(folder, path).read_text(encoding="utf-8"))["machine"] if folder else None
    except (ValueError, KeyError, OSError):
        return None


def changed_files(folder: str | Path) -> list[Path]:
    """Sealed files whose contents have changed, for the caller to remove; a file that is gone loses its seal.

    A file that has only another time is none of them. A time in the future is set back: whatever is made from such a
    file would look older than it, and be made again by every run.
    """
    changed = []
    for place in sorted(Path(folder).glob("*.json")):
        try:
            known = json.loads(place.read_text(encoding="utf-8"))
            path, now = Path(known["path"]), os.stat(known["path"])
        except (ValueError, KeyError, OSError):  # cut off on a full disk, or of a file that is gone
            place.unlink()
            continue
        if (now.st_size, now.st_mtime_ns) == (known["size"], known["mtime_ns"]):
            continue
        if now.st_size != known["size"] or _digest(path) != known["sha256"]:
            changed.append(path)
        elif now.st_mtime > time.time():
            os.utime(path, ns=(now.st_atime_ns, known["mtime_ns"]))
        else:
            _write(place, path, known["sha256"], known.get("machine"))
    return changed


def _write(place: Path, path: Path, digest: str, machine: dict[str, Any] | None) -> None:
    found = path.stat()
    content = {"path": str(path), "size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": digest}
    content["machine"] = machine
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    os.replace(temporary, place)


def _place(folder: str, path: str | Path) -> Path:
    return Path(folder) / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"


def _digest(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
