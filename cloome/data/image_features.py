"""Features of all images by a network that embeds no molecules. HDF5.

``/sample_key``, ``/features`` float32 (N, F), not of unit length.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from cloome.data.files import create_h5, open_h5

KIND, VERSION = "image features", 1


@dataclass(frozen=True)
class ImageFeatures:
    """What a network makes of the images of a screen."""

    sample_key: np.ndarray  # str (N,)
    values: np.ndarray  # float32 (N, F)


def write_image_features(features: ImageFeatures, path: str | Path) -> None:
    """Write features; the file is whole or absent."""
    with create_h5(path, KIND, VERSION) as file:
        file.create_dataset("sample_key", data=list(features.sample_key), dtype=h5py.string_dtype())
        file.create_dataset("features", data=features.values.astype(np.float32, copy=False))


def read_image_features(path: str | Path) -> ImageFeatures:
    """Read features; raises FormatError for another version or a truncated file."""
    with open_h5(path, KIND, VERSION) as file:
        return ImageFeatures(file["sample_key"].asstr()[()], file["features"][()])
