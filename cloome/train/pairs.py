"""The image-molecule pairs of one part of a split."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cloome.data.fields import Fields
from cloome.data.molecules import Molecules
from cloome.data.plates import Statistics
from cloome.data.splits import part_of
from cloome.errors import ConfigError, FormatError

# Epochs count from 1; this number stands for what is drawn once per run.
ONCE = 0


@dataclass(frozen=True)
class Pairs:
    """N images and the molecule of each, sorted by sample key (FACTS 4, row 11)."""

    sample_key: np.ndarray  # str (N,)
    fields: Fields  # the images, in the same order
    molecule: np.ndarray  # int64 (N,), row in the table of molecules
    well: np.ndarray  # int64 (N,), the same number for all images of one well of one plate

    def __len__(self) -> int:
        return len(self.molecule)

    def statistics(self) -> Statistics:
        """Exact pixel statistics of these images and no others; the stores hold the sums of each."""
        return self.fields.statistics()


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
    well = rows.groupby(["plate", "well"]).ngroup().to_numpy(np.int64)
    fields = Fields(plates, rows["sample_key"])
    pairs = Pairs(rows["sample_key"].to_numpy(), fields, molecule.astype(np.int64), well)
    smallest = pairs.fields.sizes().min(axis=0, initial=np.iinfo(np.int64).max)
    if smallest.min() < crop:
        raise ConfigError(
            f"train.crop is {crop} pixels, but the smallest images are {smallest[0]} x {smallest[1]}; "
            f"write crop: {smallest.min()} or less"
        )
    return pairs


def shuffled_molecules(pairs: Pairs, seed: int) -> Pairs:
    """Give each molecule's images to another molecule of the set, one to one, so that no image keeps its own.

    For splits whose test molecules are unknown. Of known ones it would teach wrong answers, and end below chance.

    Raises ConfigError where there is only one molecule.
    """
    present = _molecules(pairs)
    # Each molecule is followed by the next one on a random ring that passes through all of them.
    ring = np.random.default_rng([seed, ONCE]).permutation(present)
    successor = np.empty(len(present), dtype=np.int64)
    successor[np.searchsorted(present, ring)] = np.roll(ring, -1)
    return replace(pairs, molecule=successor[np.searchsorted(present, pairs.molecule)])


def shuffled_wells(pairs: Pairs, seed: int) -> Pairs:
    """Deal the molecules of the wells out to these wells anew, at random, so that some may keep their own.

    For splits whose test molecules are known: no molecule has a look of its own any more.

    Raises ConfigError where there is only one molecule.
    """
    _molecules(pairs)
    _, first, well = np.unique(pairs.well, return_index=True, return_inverse=True)
    dealt = np.random.default_rng([seed, ONCE]).permutation(pairs.molecule[first])
    return replace(pairs, molecule=dealt[well])


def _molecules(pairs: Pairs) -> np.ndarray:
    present = np.unique(pairs.molecule)
    if len(present) < 2:
        raise ConfigError("pairs of one molecule cannot be shuffled; use a split that trains on more molecules")
    return present
