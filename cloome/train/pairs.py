"""The image-molecule pairs of one part of a split, and the batches drawn from them.

Everything random follows from the seed and the number of the epoch alone, so a resumed run is the same run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from cloome.config import Train
from cloome.data.fields import Fields
from cloome.data.molecules import Molecules
from cloome.data.plates import Statistics
from cloome.data.read_ahead import read_ahead
from cloome.data.splits import part_of
from cloome.errors import ConfigError, FormatError
from cloome.model.images import centre_crop

# Epochs count from 1; this number stands for what is drawn once per run.
ONCE = 0
SYMMETRIES = 8


@dataclass(frozen=True)
class Pairs:
    """N images and the molecule of each, sorted by sample key (FACTS 4, row 11)."""

    sample_key: np.ndarray  # str (N,)
    fields: Fields  # the images, in the same order
    molecule: np.ndarray  # int64 (N,), row in the table of molecules

    def __len__(self) -> int:
        return len(self.molecule)

    def statistics(self) -> Statistics:
        """Exact pixel statistics of these images and no others; the stores hold the sums of each."""
        return self.fields.statistics()


@dataclass(frozen=True)
class Batch:
    """B image crops and their molecules."""

    images: torch.Tensor  # uint8 (B, C, crop, crop)
    molecule: torch.Tensor  # int64 (B,), row in the table of molecules


def load_pairs(
    index: pd.DataFrame, split: pd.DataFrame, part: str, molecules: Molecules, plates: list[str], crop: int
) -> Pairs:
    """Collect the pairs of one part of a split.

    Parameters
    ----------
    index, split, molecules
        As their readers in `cloome.data` return them.
    part : str
        train or validation.
    plates : list of paths
        Plate stores that hold the images.
    crop : int
        Side of the crops that will be taken, in pixels.

    Raises
    ------
    FormatError
        If an image or a molecule of the index is nowhere.
    ConfigError
        If an image is smaller than the crop.
    """
    rows = index[(part_of(index, split) == part).to_numpy()].sort_values("sample_key")
    molecule = pd.Index(molecules.table["inchikey"]).get_indexer(rows["inchikey"])
    if (molecule < 0).any():
        raise FormatError(
            f"molecule {rows['inchikey'].iloc[int(np.argmin(molecule))]} of the index is not among the molecules; "
            "both come from one run of the stage molecules, so run it again"
        )
    pairs = Pairs(rows["sample_key"].to_numpy(), Fields(plates, rows["sample_key"]), molecule.astype(np.int64))
    smallest = pairs.fields.sizes().min(axis=0, initial=np.iinfo(np.int64).max)
    if smallest.min() < crop:
        raise ConfigError(
            f"train.crop is {crop} pixels, but the smallest images are {smallest[0]} x {smallest[1]}; "
            f"write crop: {smallest.min()} or less"
        )
    return pairs


def shuffled(pairs: Pairs, seed: int) -> Pairs:
    """Give each molecule's images to another molecule of the set, one to one, so that no image keeps its own.

    Raises ConfigError where there is only one molecule.
    """
    present = np.unique(pairs.molecule)
    if len(present) < 2:
        raise ConfigError("pairs of one molecule cannot be shuffled; use a split that trains on more molecules")
    # Each molecule is followed by the next one on a random ring that passes through all of them.
    ring = np.random.default_rng([seed, ONCE]).permutation(present)
    successor = np.empty(len(present), dtype=np.int64)
    successor[np.searchsorted(present, ring)] = np.roll(ring, -1)
    return replace(pairs, molecule=successor[np.searchsorted(present, pairs.molecule)])


def steps_per_epoch(pairs: Pairs, batch: int) -> int:
    """Full batches in an epoch; fewer pairs than one batch are one batch of all."""
    return max(1, len(pairs) // batch)


def training_batches(pairs: Pairs, settings: Train, seed: int, epoch: int, pin: bool = False) -> Iterator[Batch]:
    """Batches of random crops of one epoch; the incomplete last batch is left out, as upstream.

    Parameters
    ----------
    pairs : Pairs
        The training pairs.
    settings : cloome.config.Train
        Batch size, crop and augmentation.
    seed, epoch : int
        Together they fix the order, the crops and the symmetries.
    pin : bool
        Put images into page-locked memory, from which a GPU copies faster.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(pairs))
    # One corner of RandomCrop per pair: whole pixels, each position equally likely, no resizing (FACTS 4, row 8).
    corner = random.integers(0, pairs.fields.sizes() - settings.crop + 1)
    symmetry = random.integers(0, SYMMETRIES, len(pairs))
    if settings.augmentation == "crop":
        symmetry[:] = 0

    def crop(number: int) -> np.ndarray:
        (top, left), side = corner[number], settings.crop
        return _turned(pairs.fields[number][:, top : top + side, left : left + side], symmetry[number])

    steps = steps_per_epoch(pairs, settings.batch)
    groups = np.split(order[: steps * settings.batch], steps)
    return read_ahead(lambda group: _batch(pairs, group, crop, settings.crop, pin), groups)


def validation_batches(pairs: Pairs, settings: Train, seed: int, pin: bool = False) -> Iterator[Batch]:
    """Batches of centre crops, the same in each epoch, in nearly equal sizes and a random order.

    In the order of the sample keys a batch would hold many images of few molecules.
    """
    order = np.random.default_rng([seed, ONCE]).permutation(len(pairs))
    groups = np.array_split(order, -(-len(pairs) // settings.batch)) if len(pairs) else []

    def crop(number: int) -> np.ndarray:
        return centre_crop(pairs.fields[number], settings.crop, settings.crop)

    return read_ahead(lambda group: _batch(pairs, group, crop, settings.crop, pin), groups)


def _batch(pairs: Pairs, group: np.ndarray, crop, side: int, pin: bool) -> Batch:
    images = np.empty((len(group), len(pairs.fields.channels), side, side), dtype=np.uint8)
    for row, number in enumerate(group):
        images[row] = crop(number)
    tensor = torch.from_numpy(images)
    return Batch(tensor.pin_memory() if pin else tensor, torch.from_numpy(pairs.molecule[group]))


def _turned(image: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the eight symmetries of the square, 0 to 7; 0 leaves the image (C, H, H) as it is."""
    turned = np.rot90(image, symmetry % 4, axes=(1, 2))
    return turned[..., ::-1] if symmetry >= 4 else turned
