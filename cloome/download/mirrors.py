"""One url after another until one delivers, as the table of sources orders them."""

import logging
from collections.abc import Callable

from cloome.data.sources import Source
from cloome.download.stream import RETRIES, Changed, NotDelivered
from cloome.errors import CloomeError

log = logging.getLogger(__name__)


def from_mirrors(source: Source, deliver: Callable[[str], None], begun_at: str = "") -> None:
    """Call `deliver` with each url of a source until it returns.

    Parameters
    ----------
    source : Source
        What is fetched.
    deliver : callable
        Raises NotDelivered if the url does not give the file, or Changed to be called once more with the same one.
    begun_at : str
        A url that has given a part already: it goes first, as others cannot continue its work.

    Raises
    ------
    CloomeError
        If none delivers; it names the reason of each.
    """
    failures = []
    for url in sorted(source.urls, key=lambda url: url != begun_at):
        try:
            _while_it_changes(deliver, url, source.name)
        except NotDelivered as failure:
            log.warning("%s: %s: %s", source.name, url, failure)
            failures.append(f"{url}: {failure}")
        else:
            return
    raise CloomeError(f"{source.name} could not be fetched; " + "; ".join(failures))


def _while_it_changes(deliver: Callable[[str], None], url: str, name: str) -> None:
    for _ in range(RETRIES):
        try:
            deliver(url)
        except Changed as change:
            log.warning("%s: %s; starting again at the first byte", name, change)
        else:
            return
    raise NotDelivered(f"started again {RETRIES} times, as it changed or cannot be continued; run it again later")
