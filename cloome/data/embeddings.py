"""Embeddings of all images and molecules of a run. HDF5.

``/image/{sample_key,embedding}``, ``/molecule/{inchikey,embedding}``; embeddings float32 (N, D), unit length.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from cloome.data.files import create_h5, open_h5

KIND, VERSION = "embeddings", 1


@dataclass(frozen=True)
class Embeddings:
    """What a trained model makes of a screen."""

    sample_key: np.ndarray  # str (N,)
    image: np.ndarray  # float32 (N, D)
    inchikey: np.ndarray  # str (M,)
    molecule: np.ndarray  # float32 (M, D)


def write_embeddings(embeddings: Embeddings, path: str | Path) -> None:
    """Write embeddings; the file is whole or absent."""
    text = h5py.string_dtype()
    with create_h5(path, KIND, VERSION) as file:
        file.create_dataset("image/sample_key", data=list(embeddings.sample_key), dtype=text)
        file.create_dataset("image/embedding", data=embeddings.image.astype(np.float32))
        file.create_dataset("molecule/inchikey", data=list(embeddings.inchikey), dtype=text)
        file.create_dataset("molecule/embedding", data=embeddings.molecule.astype(np.float32))


def read_embeddings(path: str | Path) -> Embeddings:
    """Read embeddings; raises FormatError for another version or a truncated file."""
    with open_h5(path, KIND, VERSION) as file:
        return Embeddings(
            file["image/sample_key"].asstr()[()],
            file["image/embedding"][()],
            file["molecule/inchikey"].asstr()[()],
            file["molecule/embedding"][()],
        )
