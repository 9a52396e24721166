"""How many connections all processes of this machine hold to one host: each holds a locked file while it is connected.

The kernel releases the lock of a process that ends in whatever way, so a killed download blocks nothing.
"""

import fcntl
import logging
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

from cloome.data.locks import own_folder

log = logging.getLogger(__name__)

CONNECTIONS = 4  # per host, where the caller says nothing else
LOOK_AGAIN = 0.2  # seconds


@contextmanager
def connection(url: str, limit: int) -> Iterator[None]:
    """Hold one of the `limit` connections to a url's host; waits until one is free.

    Raises
    ------
    CloomeError
        If the folder of the locks belongs to another user.
    """
    host = urlsplit(url).netloc.lower()
    locks = Path(tempfile.gettempdir()) / f"cloome-connections-{os.getuid()}"
    folder = own_folder(locks, "set TMPDIR to a folder of your own") / quote(host, safe="")
    folder.mkdir(exist_ok=True)
    said = False
    while (lock := _free_slot(folder, limit)) is None:
        if not said:
            log.info("waiting: %d connections to %s are in use on this machine", limit, host)
            said = True
        time.sleep(LOOK_AGAIN * random.uniform(0.5, 1.5))
    with lock:
        yield


def _free_slot(folder: Path, limit: int) -> IO | None:
    """A file that is now locked, or None if others hold all of them."""
    for number in range(limit):
        file = open(folder / str(number), "w")  # noqa: SIM115 (it stays open while the connection lasts)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            file.close()
    return None
