"""Room on the disk: looked at beforehand, and what to say when it is used up."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloome.errors import CloomeError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_room(folder: Path, needed: int, name: str) -> None:
    """Refuse, with a CloomeError, to begin what cannot be written to its end; `needed` in bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CloomeError(
            f"{name}: needs {_giga(needed)} more on the disk of {folder}, free are {_giga(free)}; "
            "free some space, then run the same command again: what has arrived is kept"
        )


@contextmanager
def telling_when_full(folder: Path, name: str) -> Iterator[None]:
    """Make a CloomeError of the system's error on a full disk or a used-up quota."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        free = shutil.disk_usage(folder).free
        raise CloomeError(
            f"{name}: the disk or your quota at {folder} is full ({_giga(free)} free); "
            "free some space, then run the same command again: what has arrived is kept"
        ) from error


def _giga(count: int) -> str:
    return f"{count / 1e9:,.3f} GB"
