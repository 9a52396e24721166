"""Taking turns with other processes. A process that ends in whatever way loses its locks, so it holds nobody up."""

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cloome.errors import CloomeError

log = logging.getLogger(__name__)


@contextmanager
def alone(path: str | Path) -> Iterator[None]:
    """Hold the file `path` as a lock, and wait for another process that has it; the file is removed at the end."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def locked(path: Path, wait: bool = True) -> BinaryIO:
    """Open the end of a file, without a buffer, that no other process has.

    The one to wait for may be a job that outlived its killed workflow.

    Raises
    ------
    BlockingIOError
        If another process has it, and this one is not to wait.
    """
    while True:
        file = open(path, "ab", buffering=0)  # noqa: SIM115 (the caller closes it)
        try:
            _lock(file, path, wait)
            # While this one waited, the other may have renamed or removed the file.
            if _is_still(file, path):
                return file
        except OSError as error:
            if error.errno != errno.ESTALE:  # what a network disk calls a file that another machine has removed
                file.close()
                raise
        file.close()


def _lock(file: BinaryIO, path: Path, wait: bool) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            raise
        log.info("%s: waiting for another process that is writing it", path)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        # Some network disks have no locks; there, one workflow per folder is what keeps two apart.
        if error.errno == errno.ESTALE:
            raise


def _is_still(file: BinaryIO, path: Path) -> bool:
    """Whether `path` is this open file, and not gone or another one by now; others may remove it at any moment."""
    try:
        return os.path.samefile(file.fileno(), path)
    except FileNotFoundError:
        return False


def own_folder(folder: Path, otherwise: str) -> Path:
    """Make a folder for this user alone, in a place like /tmp that is everybody's.

    Raises
    ------
    CloomeError
        If something else is there, or the folder of someone else; the text ends with what to do `otherwise`.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise CloomeError(f"{folder} is not a folder of this user; {otherwise}")
    return folder
