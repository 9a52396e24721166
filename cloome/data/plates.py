"""The plate store: one HDF5 file per plate with all its images, 8 bit.

``/images`` uint8 (N, C, H, W), one chunk per image, plain or compressed by HDF5's own gzip filter; ``/sample_key``,
``/well``, ``/site``; ``/statistics/{sum,sum_of_squares,pixels}`` uint64 (C,), so that the mean and standard deviation
of many plates merge without rounding; ``/measures/cell_count`` (N,), ``/measures/{sum,sum_of_squares}`` uint64 (N, C),
so that those of any choice of images do as well, and ``/measures/{focus,saturation,emptiness}`` float32 (N, C).
Attributes: plate, channels, source, settings (JSON). What was refused stands beside it in ``{plate}.refused.csv``.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cloome.data.files import create_h5, open_h5
from cloome.errors import FormatError

KIND, VERSION = "plate", 2
NOT_COUNTED = -1
QUALITY = ("focus", "saturation", "emptiness")
# Of gzip: real images shrink to 57 % at level 1 and to 55 % at level 6, which takes three times as long.
GZIP_LEVEL = 1
GROWTH = 256  # images by which a store grows while it is written
ALL_SITES = 0  # the site of an image that shows a whole well


def sample_key(plate: str, well: str, site: int, tile: int | None = None) -> str:
    """Name of an image, as upstream writes it: ``24277-A03-1``; a tile of a field adds its number."""
    return f"{plate}-{well}-{site}" if tile is None else f"{plate}-{well}-{site}-{tile}"


@dataclass(frozen=True)
class Statistics:
    """Exact pixel statistics per channel, over any number of images."""

    sum: np.ndarray  # uint64 (C,)
    sum_of_squares: np.ndarray  # uint64 (C,)
    pixels: np.ndarray  # uint64 (C,)

    @classmethod
    def of(cls, images: np.ndarray) -> "Statistics":
        """Statistics of uint8 images (..., C, H, W)."""
        # A histogram per channel keeps the sums exact and needs no wide copy of the pixels.
        values = np.arange(256, dtype=np.uint64)
        channels = np.moveaxis(images, -3, 0).reshape(images.shape[-3], -1)
        counts = np.stack([np.bincount(channel, minlength=256) for channel in channels]).astype(np.uint64)
        return cls(counts @ values, counts @ values**2, counts.sum(axis=1))

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(self.sum + other.sum, self.sum_of_squares + other.sum_of_squares, self.pixels + other.pixels)

    @property
    def mean(self) -> np.ndarray:
        """Mean per channel, float64 (C,), 0 to 255."""
        return self.sum / self.pixels

    @property
    def std(self) -> np.ndarray:
        """Standard deviation per channel (of the population), float64 (C,)."""
        return np.sqrt(np.maximum(self.sum_of_squares / self.pixels - self.mean**2, 0.0))


@dataclass(frozen=True)
class Field:
    """One image to be stored: where it is from, its pixels and what was measured on it."""

    well: str
    site: int
    image: np.ndarray  # uint8 (C, H, W)
    cell_count: int  # NOT_COUNTED where no nuclear channel is named
    tile: int | None = None  # number of the tile within its field, from 0
    statistics: Statistics | None = None  # of the image, if known
    quality: dict[str, np.ndarray] | None = None  # float32 (C,) by names of QUALITY; None: not measured
    packed: bytes | None = None  # the image as a zlib stream, for a store that is compressed; None: HDF5 packs it


def write_plate(
    path: str | Path,
    plate: str,
    channels: list[str],
    fields: Iterable[Field],
    source: str,
    settings: dict,
    compression: str = "none",
) -> int:
    """Write the images of a plate as they come, holding one in memory at a time.

    Parameters
    ----------
    path : path
        HDF5 file; it appears when it is complete.
    plate : str
        Plate id.
    channels : list of str
        Names of the C channels.
    fields : iterable of Field
        All of one shape.
    source : str
        What they were read from, in a few words.
    settings : dict
        The settings that made them.
    compression : str
        ``none`` or ``gzip``.

    Returns
    -------
    int
        Number of images written.

    Raises
    ------
    FormatError
        If there is no field, two have the same well, site and tile, or fields differ in shape.
    """
    fields = iter(fields)
    first = next(fields, None)
    if first is None:
        raise FormatError(f"plate {plate}: not a single usable field")
    shape = first.image.shape
    columns = _Columns()
    with create_h5(path, KIND, VERSION) as file:
        images = file.create_dataset(
            "images",
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(1, *shape),
            dtype=np.uint8,
            compression=None if compression == "none" else compression,
            compression_opts=None if compression == "none" else GZIP_LEVEL,
        )
        for number, field in enumerate(chain([first], fields)):
            key = sample_key(plate, field.well, field.site, field.tile)
            if key in columns.known:
                raise FormatError(f"plate {plate}: two fields are named {key}")
            if field.image.shape != shape or field.image.dtype != np.uint8:
                raise FormatError(f"{key}: {field.image.dtype} {field.image.shape}, the plate has uint8 {shape}")
            if number == len(images):
                images.resize(number + GROWTH, axis=0)
            if compression != "none" and field.packed is None:
                images[number] = field.image
            else:  # the chunk as it will lie in the file: HDF5 need not look at it
                chunk = field.packed or np.ascontiguousarray(field.image)
                images.id.write_direct_chunk((number, 0, 0, 0), chunk)
            columns.add(key, field)
        images.resize(len(columns.known), axis=0)
        columns.write(file)
        file.attrs["plate"] = plate
        file.attrs["channels"] = channels
        file.attrs["source"] = source
        file.attrs["settings"] = json.dumps(settings, sort_keys=True)
    return len(columns.known)


class _Columns:
    """What the store says of each image, while it is written."""

    def __init__(self):
        self.known: dict[str, None] = {}  # the keys, in order
        self._wells, self._sites, self._counts = [], [], []
        self._statistics: list[Statistics] = []
        self._quality: list[dict[str, np.ndarray]] = []

    def add(self, key: str, field: Field) -> None:
        self.known[key] = None
        self._wells.append(field.well)
        self._sites.append(field.site)
        self._counts.append(field.cell_count)
        self._statistics.append(field.statistics or Statistics.of(field.image))
        self._quality.append(field.quality or {})

    def write(self, file: h5py.File) -> None:
        text = h5py.string_dtype()
        file.create_dataset("sample_key", data=list(self.known), dtype=text)
        file.create_dataset("well", data=self._wells, dtype=text)
        file.create_dataset("site", data=np.asarray(self._sites, dtype=np.int16))
        file.create_dataset("measures/cell_count", data=np.asarray(self._counts, dtype=np.int32))
        for name in ("sum", "sum_of_squares", "pixels"):
            values = np.stack([getattr(statistics, name) for statistics in self._statistics])
            file.create_dataset(f"statistics/{name}", data=values.sum(axis=0, dtype=np.uint64))
            if name != "pixels":  # the same for all
                file.create_dataset(f"measures/{name}", data=values)
        unknown = np.full(len(values[0]), np.nan, np.float32)
        for name in QUALITY:
            values = np.stack([quality.get(name, unknown) for quality in self._quality])
            file.create_dataset(f"measures/{name}", data=values)


class Plate:
    """A plate store opened for reading; see `open_plate`."""

    def __init__(self, file: h5py.File):
        self.images: h5py.Dataset = file["images"]
        self.name: str = str(file.attrs["plate"])
        self.channels: list[str] = [str(channel) for channel in file.attrs["channels"]]
        self.statistics = Statistics(*(file[f"statistics/{n}"][()] for n in ("sum", "sum_of_squares", "pixels")))
        self._file = file

    @property
    def compressed(self) -> bool:
        """Whether the chunks of ``images`` are compressed."""
        return self.images.compression is not None

    def sample_keys(self) -> list[str]:
        """Name of each image, in the order of ``images``."""
        return self._file["sample_key"].asstr()[()].tolist()

    def field_statistics(self) -> Statistics:
        """Statistics of each image: arrays (N, C) instead of (C,)."""
        sums, squares = self._file["measures/sum"][()], self._file["measures/sum_of_squares"][()]
        return Statistics(sums, squares, np.full_like(sums, np.prod(self.images.shape[2:])))

    def fields(self) -> pd.DataFrame:
        """One row per image, in the order of ``images``.

        Columns: sample_key, plate, well, site, cell_count, and ``{measure}_{channel}`` for mean, std and QUALITY.
        """
        file, statistics = self._file, self.field_statistics()
        table = {
            "sample_key": self.sample_keys(),
            "plate": self.name,
            "well": file["well"].asstr()[()],
            "site": file["site"][()],
            "cell_count": file["measures/cell_count"][()],
        }
        measures = {"mean": statistics.mean.astype(np.float32), "std": statistics.std.astype(np.float32)}
        measures |= {name: file[f"measures/{name}"][()] for name in QUALITY}
        for measure, values in measures.items():
            table |= {f"{measure}_{channel}": values[:, c] for c, channel in enumerate(self.channels)}
        return pd.DataFrame(table)


@contextmanager
def open_plate(path: str | Path) -> Iterator[Plate]:
    """Open a plate store; raises FormatError for a truncated file or one of another version."""
    with open_h5(path, KIND, VERSION) as file:
        yield Plate(file)
