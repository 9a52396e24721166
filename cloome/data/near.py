"""Copies of plates on a disk of this machine, for as long as jobs read them there."""

import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cloome.data.locks import alone, own_folder
from cloome.errors import FormatError

log = logging.getLogger(__name__)

GIGABYTE = 1e9


@contextmanager
def copied_near(plates: Sequence[str | Path], folder: str | Path | None) -> Iterator[list[str]]:
    """Yield the paths of copies of the plates below a folder; without a folder, those of the plates themselves.

    Jobs of one user on one machine share the copies, and the last one removes them, with what a killed job has left.
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
    # All that is in the folder goes in the end, so it has to be this user's.
    folder = own_folder(Path(folder) / f"cloome-plates-{os.getuid()}", "name another local_disk in the profile")
    with open(folder / "in_use", "a+") as users:
        if not _takes_a_share(users.fileno(), folder):
            yield plates
            return
        try:
            copies = _copies([Path(plate) for plate in plates], folder)
            yield copies
        except FormatError as error:
            text = str(error)
            for plate, copy in zip(plates, copies, strict=True):
                text = text.replace(copy, plate)
            raise FormatError(text) from error
        finally:
            _remove_unless_read(users.fileno(), folder)


def _takes_a_share(users: int, folder: Path) -> bool:
    """Take a share of the lock that keeps the copies; False on a disk without locks."""
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
    except OSError as error:
        log.warning("%s: %s: plates are read where they lie", folder, error.strerror)
        return False
    return True


def _copies(plates: list[Path], folder: Path) -> list[str]:
    """Copy what is not there yet, as far as there is space; where the plates are to be read."""
    start = time.perf_counter()
    with alone(folder / "copying"):
        copies = {plate: _place(plate, folder) for plate in plates}
        missing = [plate for plate, copy in copies.items() if not _same(plate, copy)]
        size, free = sum(plate.stat().st_size for plate in missing), shutil.disk_usage(folder).free
        if size <= free:
            left = _copy_in_turn(missing, copies)
        else:
            left = missing
            log.warning("%s has %.3g GB left, the plates take %.3g GB", folder, free / GIGABYTE, size / GIGABYTE)
    log.info(
        "%d of %d plates copied to %s, %.3g GB in %.0f s; %d are read where they lie",
        len(missing) - len(left),
        len(plates),
        folder,
        sum(copies[plate].stat().st_size for plate in missing if plate not in left) / GIGABYTE,
        time.perf_counter() - start,
        len(left),
    )
    return [str(plate if plate in left else copy) for plate, copy in copies.items()]


def _place(plate: Path, folder: Path) -> Path:
    """Where the copy of a plate lies: plates of other screens or settings may have the same name."""
    return folder / f"{plate.stem}-{sha256(os.fsencode(plate.resolve())).hexdigest()[:12]}{plate.suffix}"


def _same(plate: Path, copy: Path) -> bool:
    """Whether a copy is there, and of the plate as it is now."""
    if not copy.is_file():
        return False
    one, other = plate.stat(), copy.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _copy_in_turn(plates: list[Path], copies: dict[Path, Path]) -> list[Path]:
    """Copy plates until the disk is full; those that are left. A copy that is cut off never has the name of one."""
    for number, plate in enumerate(plates):
        temporary = copies[plate].with_suffix(".tmp")
        try:
            shutil.copy2(plate, temporary)
            os.replace(temporary, copies[plate])
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return plates[number:]
        finally:
            temporary.unlink(missing_ok=True)
    return []


def _remove_unless_read(users: int, folder: Path) -> None:
    """Remove all copies, unless another job holds its share of the lock, and so reads them."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    for pattern in ("*.h5", "*.tmp"):
        for file in folder.glob(pattern):
            file.unlink()
