"""Images of chosen fields, in a chosen order, from any number of plate stores.

Plain stores are mapped into memory, so nothing is loaded before it is used and the operating system keeps what fits;
compressed ones are unpacked image by image. Several threads can read at once, which HDF5 itself does not allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import imagecodecs
import numpy as np

from cloome.data.plates import Plate, Statistics, open_plate
from cloome.errors import FormatError


@dataclass(frozen=True)
class _Place:
    """Where an image lies."""

    store: int
    offset: int
    length: int  # bytes in the file
    shape: tuple[int, ...]
    packed: bool


class Fields:
    """Read-only images of stored fields.

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
        If a store cannot be read or was repacked, two stores differ in their channels, or a field is in none.
    """

    def __init__(self, plates: Sequence[str | Path], sample_key: Sequence[str]):
        wanted = {key: number for number, key in enumerate(sample_key)}
        self._paths: list[str | Path] = []
        self._maps: list[np.ndarray] = []
        self._places: list[_Place | None] = [None] * len(wanted)
        self._sums: list[np.ndarray | None] = [None] * len(wanted)
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
        """Field as uint8 (C, H, W), read-only; raises FormatError for a damaged image."""
        place = self._places[number]
        content = self._maps[place.store][place.offset : place.offset + place.length]
        return self._unpacked(content, place) if place.packed else content.reshape(place.shape)

    def sizes(self) -> np.ndarray:
        """Height and width of each field in pixels, int (N, 2)."""
        return np.array([place.shape[1:] for place in self._places], dtype=np.int64).reshape(-1, 2)

    def statistics(self) -> Statistics:
        """Exact pixel statistics over all these fields, from what the stores say of each."""
        sums = np.array(self._sums, dtype=np.uint64).reshape(len(self), 2, len(self.channels)).sum(axis=0)
        pixels = self.sizes().prod(axis=1).sum()
        return Statistics(sums[0], sums[1], np.full(len(self.channels), pixels, dtype=np.uint64))

    def _unpacked(self, content: np.ndarray, place: _Place) -> np.ndarray:
        image = np.empty(int(np.prod(place.shape)), np.uint8)
        try:
            filled = imagecodecs.deflate_decode(content, out=image)
        except (RuntimeError, ValueError) as error:
            raise FormatError(f"{self._paths[place.store]}: an image is damaged; run the stage images again") from error
        if filled.size < image.size:
            raise FormatError(f"{self._paths[place.store]}: an image is truncated; run the stage images again")
        image.flags.writeable = False
        return image.reshape(place.shape)

    def _check_channels(self, plate: Plate, path: str | Path) -> None:
        if self.channels and plate.channels != self.channels:
            raise FormatError(
                f"{path}: channels {', '.join(plate.channels)}; the plates before it have {', '.join(self.channels)}"
            )
        self.channels = plate.channels

    def _add(self, plate: Plate, path: str | Path, wanted: dict[str, int]) -> None:
        rows = [(row, wanted[key]) for row, key in enumerate(plate.sample_keys()) if key in wanted]
        if not rows:
            return
        chunks, shape, statistics = _chunks(plate, path), plate.images.shape[1:], plate.field_statistics()
        for row, number in rows:
            offset, length = chunks[row]
            self._places[number] = _Place(len(self._maps), offset, length, shape, plate.compressed)
            self._sums[number] = np.stack([statistics.sum[row], statistics.sum_of_squares[row]])
        self._paths.append(path)
        self._maps.append(np.memmap(path, dtype=np.uint8, mode="r"))


def _chunks(plate: Plate, path: str | Path) -> dict[int, tuple[int, int]]:
    """Place and length in the file of each image, by row."""
    images = plate.images
    filters = images.id.get_create_plist()
    known = [filters.get_filter(number)[0] for number in range(filters.get_nfilters())]
    if images.chunks != (1, *images.shape[1:]) or known not in ([], [h5py.h5z.FILTER_DEFLATE]):
        raise FormatError(f"{path}: repacked by another program; write it again with the stage images")
    found: dict[int, tuple[int, int]] = {}
    images.id.chunk_iter(lambda chunk: found.__setitem__(chunk.chunk_offset[0], (chunk.byte_offset, chunk.size)))
    return found
