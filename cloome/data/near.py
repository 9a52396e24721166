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

from cloome.data.files import alone

log = logging.getLogger(__name__)

GIGABYTE = 1e9


@contextmanager
def copied_near(plates: Sequence[str | Path], folder: str | Path | None) -> Iterator[list[str]]:
    """Yield the paths of copies of the plates below a folder; without a folder, those of the plates themselves.

    Jobs of one user on one machine share the copies, and the last one removes them, with what a killed job has left.
    Plates for which there is no space are read where they lie, and a line of the log says so.

    Raises
    ------
    OSError
        If a plate cannot be read, or the folder cannot be written to.
    """
    if not folder:
        yield [str(plate) for plate in plates]
        return
    # Of its own, as all that is in there goes in the end; and of one user, as /tmp is everybody's.
    folder = Path(folder) / f"cloome-plates-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "in_use", "a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield _copies([Path(plate) for plate in plates], folder)
        finally:
            _remove_unless_read(users.fileno(), folder)


def _copies(plates: list[Path], folder: Path) -> list[str]:
    """Copy what is not there yet, as far as there is space."""
    copies = {plate: _place(plate, folder) for plate in plates}
    missing = [plate for plate, copy in copies.items() if not _same(plate, copy)]
    size, free = sum(plate.stat().st_size for plate in missing), shutil.disk_usage(folder).free
    if size > free:
        log.warning(
            "%s has %.3g GB left, and %d plates of %.3g GB are to be copied: they are read where they lie",
            folder,
            free / GIGABYTE,
            len(missing),
            size / GIGABYTE,
        )
        return [str(plate if plate in missing else copy) for plate, copy in copies.items()]
    start = time.perf_counter()
    for number, plate in enumerate(missing):
        try:
            _copy(plate, copies[plate])
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            rest = missing[number:]
            log.warning("%s is full: %d plates are read where they lie", folder, len(rest))
            return [str(plate if plate in rest else copy) for plate, copy in copies.items()]
    log.info(
        "%d of %d plates copied to %s, %.3g GB in %.0f s",
        len(missing),
        len(plates),
        folder,
        size / GIGABYTE,
        time.perf_counter() - start,
    )
    return [str(copy) for copy in copies.values()]


def _place(plate: Path, folder: Path) -> Path:
    """Where the copy of a plate lies: plates of other screens or settings may have the same name."""
    return folder / f"{plate.stem}-{sha256(os.fsencode(plate.resolve())).hexdigest()[:12]}{plate.suffix}"


def _same(plate: Path, copy: Path) -> bool:
    """Whether a copy is there, and of the plate as it is now."""
    if not copy.is_file():
        return False
    one, other = plate.stat(), copy.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _copy(plate: Path, copy: Path) -> None:
    """Copy a plate, unless another job does or did; a copy that is cut off never has the name of one."""
    temporary = copy.with_suffix(".tmp")
    with alone(copy.with_suffix(".lock")):
        if _same(plate, copy):
            return
        try:
            shutil.copy2(plate, temporary)
            os.replace(temporary, copy)
        finally:
            temporary.unlink(missing_ok=True)


def _remove_unless_read(users: int, folder: Path) -> None:
    """Remove all copies, unless another job holds its share of the lock, and so reads them."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    for pattern in ("*.h5", "*.tmp"):
        for file in folder.glob(pattern):
            file.unlink()
