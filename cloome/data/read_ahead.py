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


def fill_ahead(
    make: Callable[[Part], Read],
    fill: Callable[[Read, Part, range], None],
    parts: Iterable[tuple[Part, int]],
    readers: int = READERS,
) -> Iterator[tuple[Part, Read]]:
    """Yield (part, whole) for each part, in order; background threads share the rows of one and go on to the next.

    Against one thread for each part, the first is there sooner, and fewer are held in memory: two ahead.

    Parameters
    ----------
    make : callable
        ``make(part)`` gives the empty whole.
    fill : callable
        ``fill(whole, part, rows)`` fills some rows of it; called in other threads.
    parts : iterable of (part, int)
        What is read, and how many rows each has.
    readers : int
        Number of threads.
    """

    def shares() -> Iterator[tuple[Part, Read, range, bool]]:
        for part, rows in parts:
            whole = make(part)
            bounds = [rows * number // readers for number in range(readers + 1)]
            for number in range(readers):
                yield part, whole, range(bounds[number], bounds[number + 1]), number == readers - 1

    def read(share: tuple[Part, Read, range, bool]) -> tuple[Part, Read, bool]:
        part, whole, rows, is_last = share
        fill(whole, part, rows)
        return part, whole, is_last

    for part, whole, is_last in read_ahead(read, shares(), readers, ahead=2 * readers):
        if is_last:
            yield part, whole
