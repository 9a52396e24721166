"""Images of chosen fields, in a chosen order, from any number of plate stores.

The stores are mapped into memory, so nothing is loaded before it is used, the operating system keeps what fits, and
several threads can read at once, which HDF5 itself does not allow.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from cloome.data.plates import Plate, open_plate
from cloome.errors import FormatError

Part = TypeVar("Part")
Read = TypeVar("Read")

# Enough to keep a disk busy while one reader copies; copying releases the interpreter, so readers run side by side.
READERS = 4


class Fields:
    """Read-only views of stored fields.

    Parameters
    ----------
    plates : sequence of paths
        Plate stores; they must have the same channels.
    sample_key : sequence of str
        The N fields, in the order wanted.

    Attributes
    ----------
    channels : list of str
        Channels of all stores.

    Raises
    ------
    FormatError
        If a store cannot be read or is compressed, two stores differ in their channels, or a field is in none.
    """

    def __init__(self, plates: Sequence[str | Path], sample_key: Sequence[str]):
        wanted = {key: number for number, key in enumerate(sample_key)}
        self._maps: list[np.ndarray] = []
        self._places: list[tuple[int, int, tuple[int, ...]] | None] = [None] * len(wanted)
        self.channels: list[str] = []
        for path in plates:
            with open_plate(path) as plate:
                self._check_channels(plate, path)
                self._add(plate, path, wanted)
        missing = [key for key, number in wanted.items() if self._places[number] is None]
        if missing:
            raise FormatError(
                f"{len(missing)} fields of the index are in no plate store, such as {missing[0]}; "
                "name all plates, or run molecules again"
            )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> np.ndarray:
        """Field as uint8 (C, H, W), a read-only view."""
        store, offset, shape = self._places[number]
        return self._maps[store][offset : offset + int(np.prod(shape))].reshape(shape)

    def sizes(self) -> np.ndarray:
        """Height and width of each field in pixels, int (N, 2)."""
        return np.array([shape[1:] for _, _, shape in self._places], dtype=np.int64).reshape(-1, 2)

    def _check_channels(self, plate: Plate, path: str | Path) -> None:
        if self.channels and plate.channels != self.channels:
            raise FormatError(
                f"{path}: channels {', '.join(plate.channels)}; the plates before it have {', '.join(self.channels)}"
            )
        self.channels = plate.channels

    def _add(self, plate: Plate, path: str | Path, wanted: dict[str, int]) -> None:
        images = plate.images
        if images.chunks != (1, *images.shape[1:]) or images.id.get_create_plist().get_nfilters():
            raise FormatError(f"{path}: compressed or repacked; write it again with the stage images")
        rows = [(row, wanted[key]) for row, key in enumerate(plate.fields()["sample_key"]) if key in wanted]
        if not rows:
            return
        for row, number in rows:
            chunk = images.id.get_chunk_info_by_coord((row, 0, 0, 0))
            self._places[number] = (len(self._maps), chunk.byte_offset, images.shape[1:])
        self._maps.append(np.memmap(path, dtype=np.uint8, mode="r"))


def read_ahead(read: Callable[[Part], Read], parts: Iterable[Part]) -> Iterator[Read]:
    """Yield ``read(part)`` for each part, in order, while background threads read the next ones."""
    parts = iter(parts)
    with ThreadPoolExecutor(READERS) as pool:
        pending = deque(pool.submit(read, part) for part in islice(parts, READERS))
        while pending:
            done = pending.popleft().result()
            pending.extend(pool.submit(read, part) for part in islice(parts, 1))
            yield done
