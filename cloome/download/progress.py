"""How far a transfer is: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time

from tqdm import tqdm

log = logging.getLogger(__name__)

LOG_SECONDS = 10


class Progress:
    """Counts the bytes of one file.

    Parameters
    ----------
    name : str
        What is fetched.
    total : int or None
        Bytes of the whole file; None: not known.
    done : int
        Bytes that are there already.
    """

    def __init__(self, name: str, total: int | None, done: int = 0):
        self._name, self._total, self._done = name, total, done
        self._said = time.monotonic()
        hidden = not sys.stderr.isatty()
        self._bar = tqdm(
            desc=name, total=total, initial=done, unit="B", unit_scale=True, file=sys.stderr, disable=hidden
        )

    def add(self, count: int) -> None:
        """So many more bytes have arrived."""
        self._done += count
        self._bar.update(count)
        if self._bar.disable and time.monotonic() - self._said >= LOG_SECONDS:
            self._said = time.monotonic()
            log.info("%s: %s of %s MB", self._name, _mega(self._done), _mega(self._total))

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()


def _mega(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e6:,.1f}"
