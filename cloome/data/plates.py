"""The plate store: one HDF5 file per plate with all its fields as 8-bit images.

``/images`` uint8 (N, C, H, W), one chunk per field; ``/sample_key``, ``/well``, ``/site``;
``/statistics/{sum,sum_of_squares,pixels}`` uint64 (C,), so that the mean and standard deviation of many plates
merge without rounding; ``/measures/{cell_count,mean,std}`` per field. Attributes: plate, channels, source,
settings (JSON). What was refused stands beside it in ``{plate}.refused.csv``.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cloome.data.files import create_h5, open_h5
from cloome.errors import FormatError

KIND, VERSION = "plate", 1
NOT_COUNTED = -1


def sample_key(plate: str, well: str, site: int) -> str:
    """Name of a field, as upstream writes it: ``24277-A03-1``."""
    return f"{plate}-{well}-{site}"


@dataclass(frozen=True)
class Field:
    """One field of view: where it is, its image and what was measured on it."""

    well: str
    site: int
    image: np.ndarray  # uint8 (C, H, W)
    cell_count: int  # NOT_COUNTED where no nuclear channel is named


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


def write_plate(
    path: str | Path, plate: str, channels: list[str], fields: Iterable[Field], source: str, settings: dict
) -> int:
    """Write the fields of a plate as they come, holding one in memory at a time.

    Returns
    -------
    int
        Number of fields written.

    Raises
    ------
    FormatError
        If there is no field, two fields have the same well and site, or fields differ in shape.
    """
    fields = iter(fields)
    first = next(fields, None)
    if first is None:
        raise FormatError(f"plate {plate}: not a single usable field")
    shape = first.image.shape
    keys, wells, sites, counts, means, stds = [], [], [], [], [], []
    known = set()
    total = None
    with create_h5(path, KIND, VERSION) as file:
        images = file.create_dataset(
            "images", shape=(0, *shape), maxshape=(None, *shape), chunks=(1, *shape), dtype=np.uint8
        )
        for field in _chain(first, fields):
            key = sample_key(plate, field.well, field.site)
            if key in known:
                raise FormatError(f"plate {plate}: two fields are named {key}")
            if field.image.shape != shape or field.image.dtype != np.uint8:
                raise FormatError(f"{key}: {field.image.dtype} {field.image.shape}, the plate has uint8 {shape}")
            images.resize(len(keys) + 1, axis=0)
            images[len(keys)] = field.image
            statistics = Statistics.of(field.image)
            total = statistics if total is None else total + statistics
            known.add(key)
            keys.append(key)
            wells.append(field.well)
            sites.append(field.site)
            counts.append(field.cell_count)
            means.append(statistics.mean)
            stds.append(statistics.std)
        text = h5py.string_dtype()
        file.create_dataset("sample_key", data=keys, dtype=text)
        file.create_dataset("well", data=wells, dtype=text)
        file.create_dataset("site", data=np.asarray(sites, dtype=np.int16))
        file.create_dataset("measures/cell_count", data=np.asarray(counts, dtype=np.int32))
        file.create_dataset("measures/mean", data=np.asarray(means, dtype=np.float32))
        file.create_dataset("measures/std", data=np.asarray(stds, dtype=np.float32))
        for name in ("sum", "sum_of_squares", "pixels"):
            file.create_dataset(f"statistics/{name}", data=getattr(total, name))
        file.attrs["plate"] = plate
        file.attrs["channels"] = channels
        file.attrs["source"] = source
        file.attrs["settings"] = json.dumps(settings, sort_keys=True)
    return len(keys)


def _chain(first: Field, rest: Iterator[Field]) -> Iterator[Field]:
    yield first
    yield from rest


class Plate:
    """A plate store opened for reading; see `open_plate`."""

    def __init__(self, file: h5py.File):
        self.images: h5py.Dataset = file["images"]
        self.name: str = str(file.attrs["plate"])
        self.channels: list[str] = [str(channel) for channel in file.attrs["channels"]]
        self.statistics = Statistics(*(file[f"statistics/{n}"][()] for n in ("sum", "sum_of_squares", "pixels")))
        self._file = file

    def fields(self) -> pd.DataFrame:
        """One row per field, in the order of ``images``: sample_key, plate, well, site, cell_count, mean_*, std_*."""
        file = self._file
        table = {
            "sample_key": file["sample_key"].asstr()[()],
            "plate": self.name,
            "well": file["well"].asstr()[()],
            "site": file["site"][()],
            "cell_count": file["measures/cell_count"][()],
        }
        for measure in ("mean", "std"):
            values = file[f"measures/{measure}"][()]
            table |= {f"{measure}_{channel}": values[:, c] for c, channel in enumerate(self.channels)}
        return pd.DataFrame(table)


@contextmanager
def open_plate(path: str | Path) -> Iterator[Plate]:
    """Open a plate store; raises FormatError for a truncated file or one of another version."""
    with open_h5(path, KIND, VERSION) as file:
        yield Plate(file)
