"""Copies of plates on a disk of this machine, for as long as jobs read them there."""

import errno
import fcntl
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TextIO

from cloome.data.locks import alone, own_folder
from cloome.errors import FormatError

log = logging.getLogger(__name__)

GIGABYTE = 1e9
# Copies leave this share of the disk to others: a training itself needs a little of it.
KEPT_FREE = 0.02
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def copied_near(plates: Sequence[str | Path], folder: str | Path | None) -> Iterator[list[str]]:
    """Yield the paths of copies of the plates below a folder; without a folder, those of the plates themselves.

    Jobs of one user on one machine share the copies, and the last one removes them, also when it ends by SIGTERM, as at
    the end of a job's time. What a killed job has left serves the next one, or makes room for it.
    Plates for which there is no space are read where they lie, and a line of the log says so.

    Raises
    ------
    CloomeError
        If the folder of the copies belongs to another user.
    FormatError
        As raised while the copies are read, with the plate in place of its copy.
    OSError
        If a plate cannot be read, or the folder cannot be written to.
    """
    plates = [str(plate) for plate in plates]
    if not folder:
        yield plates
        return
    folder = Path(folder) / f"cloome-plates-{os.getuid()}"
    places = {Path(plate): _place(Path(plate), folder) for plate in plates}
    users = _take_a_share(folder, set(places.values()))
    if users is None:
        yield plates
        return
    with users, _removed_by_a_signal(users):
        try:
            copies = _copies(places, folder)
            yield copies
        except FormatError as error:
            text = str(error)
            for plate, copy in zip(plates, copies, strict=True):
                text = text.replace(copy, plate)
            raise FormatError(text) from error
        finally:
            _leave(users)


def _take_a_share(folder: Path, wanted: Set[Path]) -> TextIO | None:
    """Take a share of the lock that keeps the copies; None on a disk without locks, or with no space even for that."""
    users = None
    try:
        # All that is in the folder goes in the end, so it has to be this user's.
        own_folder(folder, "name another local_disk in the profile")
        users = open(folder / "in_use", "a+")  # noqa: SIM115 (the caller closes it)
        _remove_unless_read(users, wanted)
        fcntl.flock(users, fcntl.LOCK_SH)
    except OSError as error:
        if users:
            users.close()
        elif error.errno not in FULL:
            raise
        log.warning("%s: %s: plates are read where they lie", folder, error.strerror)
        return None
    return users


def _folder_of(users: TextIO) -> Path:
    return Path(users.name).parent


@contextmanager
def _removed_by_a_signal(users: TextIO) -> Iterator[None]:
    """Let SIGTERM remove the copies before it ends the process."""
    if threading.current_thread() is not threading.main_thread():  # others have no signals
        yield
        return

    def leave(number: int, frame: object) -> None:
        _leave(users)
        signal.signal(number, before)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _copies(copies: dict[Path, Path], folder: Path) -> list[str]:
    """Copy what is not there yet, as far as there is space; where the plates are to be read."""
    start = time.perf_counter()
    with alone(folder / "copying"):
        missing = [plate for plate, copy in copies.items() if not copy.is_file()]
        size, disk = sum(plate.stat().st_size for plate in missing), shutil.disk_usage(folder)
        free = max(0, disk.free - KEPT_FREE * disk.total)
        if size <= free:
            left = _copy_in_turn(missing, copies)
        else:
            left = missing
            log.warning("%s has %.3g GB for plates, they take %.3g GB", folder, free / GIGABYTE, size / GIGABYTE)
    log.info(
        "%d of %d plates copied to %s, %.3g GB in %.0f s; %d are read where they lie",
        len(missing) - len(left),
        len(copies),
        folder,
        sum(copies[plate].stat().st_size for plate in missing if plate not in left) / GIGABYTE,
        time.perf_counter() - start,
        len(left),
    )
    return [str(plate if plate in left else copy) for plate, copy in copies.items()]


def _place(plate: Path, folder: Path) -> Path:
    """Where the copy of a plate as it is now lies: plates of other screens or settings may have the same name.

    The time is in the name, as some disks keep it less exactly.
    """
    now = plate.stat()
    this = f"{plate.resolve()} {now.st_size} {now.st_mtime_ns}"
    return folder / f"{plate.stem}-{sha256(os.fsencode(this)).hexdigest()[:12]}{plate.suffix}"


def _copy_in_turn(plates: list[Path], copies: dict[Path, Path]) -> list[Path]:
    """Copy plates until the disk is full; those that are left. A copy that is cut off never has the name of one."""
    for number, plate in enumerate(plates):
        temporary = copies[plate].with_suffix(".tmp")
        try:
            shutil.copyfile(plate, temporary)
            os.replace(temporary, copies[plate])
        except OSError as error:
            if error.errno not in FULL:
                raise
            return plates[number:]
        finally:
            temporary.unlink(missing_ok=True)
    return []


def _leave(users: TextIO) -> None:
    """End the use of the copies. What cannot be removed stops nothing: what was computed from it is worth more."""
    try:
        _remove_unless_read(users)
    except OSError as error:
        log.warning("%s: copies of plates stay: %s", _folder_of(users), error.strerror)


def _remove_unless_read(users: TextIO, but: Set[Path] = frozenset()) -> None:
    """Give up a share, and remove copies unless another job holds one, and so reads them."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    for pattern in ("*.h5", "*.tmp"):
        for file in set(_folder_of(users).glob(pattern)) - but:
            file.unlink(missing_ok=True)
