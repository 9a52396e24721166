"""Reading in background threads, in order, never more than a few parts ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Part = TypeVar("Part")
Read = TypeVar("Read")

# Enough to keep a disk busy while one reader copies; copying releases the interpreter, so readers run side by side.
READERS = 4


def read_ahead(
    read: Callable[[Part], Read], parts: Iterable[Part], readers: int = READERS, ahead: int | None = None
) -> Iterator[Read]:
    """Yield ``read(part)`` for each part, in order, while background threads read the next ones.

    Parameters
    ----------
    read : callable
        Called in other threads.
    parts : iterable
        What is read; taken from it as needed.
    readers : int
        Number of threads.
    ahead : int, optional
        Parts in work or waiting to be taken; as many as readers if not given.
    """
    parts = iter(parts)
    with ThreadPoolExecutor(readers) as pool:
        pending = deque(pool.submit(read, part) for part in islice(parts, ahead or readers))
        try:
            while pending:
                done = pending.popleft().result()
                pending.extend(pool.submit(read, part) for part in islice(parts, 1))
                yield done
        finally:
            for part in pending:
                part.cancel()
