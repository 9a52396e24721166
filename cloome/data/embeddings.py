"""Embeddings of all images and molecules of a run. HDF5.

``/image/{sample_key,embedding,length}``, ``/molecule/{inchikey,embedding}``; embeddings float32 (N, D), unit length;
length float32 (N,). Attributes: ``model``, and ``crop`` where images were cropped.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cloome.data.files import create_h5, open_h5
from cloome.data.molecules import Molecules

KIND, VERSION = "embeddings", 2


@dataclass(frozen=True)
class Embeddings:
    """What a trained model makes of a screen."""

    sample_key: np.ndarray  # str (N,)
    image: np.ndarray  # float32 (N, D), unit length
    length: np.ndarray  # float32 (N,): length of the image features before it was made 1
    inchikey: np.ndarray  # str (M,)
    molecule: np.ndarray  # float32 (M, D), unit length
    crop: tuple[int, int] | None  # height and width of the centre crops embedded, in pixels; None: whole fields
    model: str  # digest of the model's weights


def no_embeddings(index: pd.DataFrame, molecules: Molecules) -> Embeddings:
    """Embeddings without dimensions, for what needs images and molecules but no model."""
    return Embeddings(
        sample_key=index["sample_key"].to_numpy(),
        image=np.empty((len(index), 0), np.float32),
        length=np.ones(len(index), np.float32),
        inchikey=molecules.table["inchikey"].to_numpy(),
        molecule=np.empty((len(molecules.table), 0), np.float32),
        crop=None,
        model="",
    )


def unit_and_length(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split features, float32 (N, D), into unit vectors (N, D) and lengths (N,); a row of zeros stays as it is."""
    length = np.linalg.norm(features, axis=1)
    return features / np.where(length == 0, 1, length)[:, np.newaxis], length


def write_embeddings(embeddings: Embeddings, path: str | Path) -> None:
    """Write embeddings; the file is whole or absent."""
    text = h5py.string_dtype()
    with create_h5(path, KIND, VERSION) as file:
        file.create_dataset("image/sample_key", data=list(embeddings.sample_key), dtype=text)
        file.create_dataset("image/embedding", data=embeddings.image.astype(np.float32))
        file.create_dataset("image/length", data=embeddings.length.astype(np.float32))
        file.create_dataset("molecule/inchikey", data=list(embeddings.inchikey), dtype=text)
        file.create_dataset("molecule/embedding", data=embeddings.molecule.astype(np.float32))
        file.attrs["model"] = embeddings.model
        if embeddings.crop is not None:
            file.attrs["crop"] = embeddings.crop


def read_embeddings(path: str | Path) -> Embeddings:
    """Read embeddings; raises FormatError for another version or a truncated file."""
    with open_h5(path, KIND, VERSION) as file:
        crop = file.attrs.get("crop")
        return Embeddings(
            sample_key=file["image/sample_key"].asstr()[()],
            image=file["image/embedding"][()],
            length=file["image/length"][()],
            inchikey=file["molecule/inchikey"].asstr()[()],
            molecule=file["molecule/embedding"][()],
            crop=None if crop is None else (int(crop[0]), int(crop[1])),
            model=file.attrs["model"],
        )
