"""A model whose embeddings can be worked out by hand, and a small screen embedded with it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import cloome.use
from cloome.config import Images, Molecules
from cloome.data.embeddings import Embeddings, write_embeddings
from cloome.data.index import COLUMNS, write_index
from cloome.data.molecules import TEXTS, write_molecules
from cloome.data.molecules import Molecules as MoleculeFile
from cloome.molecules.fingerprints import morgan
from cloome.molecules.structures import read_structure

CHANNELS = ["DNA", "ER", "Mito"]
CROP = (24, 32)
BITS = 256


class PlainNetwork(torch.nn.Module):
    """An image becomes its mean per channel, a molecule the counts of every third bit, of unit length."""

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))

    def encode_molecule(self, fingerprints: torch.Tensor) -> torch.Tensor:
        counts = torch.stack([fingerprints[:, start :: len(CHANNELS)].sum(dim=1) for start in range(len(CHANNELS))], 1)
        return torch.nn.functional.normalize(counts, dim=1)


@pytest.fixture
def checkpoint() -> SimpleNamespace:
    """What `load_checkpoint` gives, around the plain network; images are halved instead of normalised."""
    settings = {
        "model": {"embedding": len(CHANNELS)},
        "images": Images(intensity="paper").model_dump(),
        "molecules": Molecules(bits=BITS).model_dump(),
    }
    return SimpleNamespace(
        network=PlainNetwork(),
        normalise=lambda pixels: pixels.float() / 2,
        channels=CHANNELS,
        settings=settings,
        digest="plain",
    )


@pytest.fixture
def model(checkpoint) -> cloome.use.Cloome:
    return cloome.use.Cloome(checkpoint)


@pytest.fixture
def screen(model, checkpoint, tmp_path, monkeypatch) -> SimpleNamespace:
    """Files of a screen of six fields and three molecules; the plain model embedded the centres of the fields."""
    monkeypatch.setattr(cloome.use, "load_checkpoint", lambda path: checkpoint)
    images = np.random.default_rng(0).integers(0, 256, (6, len(CHANNELS), 40, 60), dtype=np.uint8)
    # Fields differ in more than noise, and in their centres from what they are as a whole.
    images[np.arange(6), np.arange(6) % 3] //= 8
    images[np.arange(6), np.arange(1, 7) % 3, 8:32, 14:46] //= 4
    structures = [read_structure(smiles, False) for smiles in ("CCO", "OC(=O)c1ccccc1", "CC(=O)Nc1ccc(O)cc1")]
    structures.sort(key=lambda structure: structure.inchikey)
    smiles = [structure.smiles for structure in structures]
    keys = [f"1-A0{i}-1" for i in range(1, 7)]
    embeddings = Embeddings(
        sample_key=np.array(keys, object),
        image=model.encode_images(images[:, :, 8:32, 14:46]),
        length=np.ones(6, np.float32),
        inchikey=np.array([structure.inchikey for structure in structures], object),
        molecule=model.encode_molecules(smiles),
        crop=CROP,
        model="plain",
    )
    index = pd.DataFrame({"sample_key": keys, "plate": "1", "well": [key[2:5] for key in keys], "compound": "BRD"})
    table = pd.DataFrame([vars(structure) for structure in structures]).assign(name=list("xyz"), mechanism="")
    write_embeddings(embeddings, tmp_path / "embeddings.h5")
    write_index(index.reindex(columns=COLUMNS), tmp_path / "index.parquet")
    write_molecules(MoleculeFile(table[TEXTS], morgan(smiles, bits=BITS)), tmp_path / "molecules.h5", {})
    return SimpleNamespace(folder=tmp_path, images=images, embeddings=embeddings, smiles=smiles)
