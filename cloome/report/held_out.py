"""The test part of a run's split, with its embeddings: what the map and the gallery show."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cloome.data.embeddings import read_embeddings
from cloome.data.molecules import Molecules
from cloome.data.splits import part_of, read_split
from cloome.report.runs import Run


@dataclass(frozen=True)
class HeldOut:
    """Test images and test molecules of one run."""

    run: str
    fields: pd.DataFrame  # columns sample_key, plate, well, inchikey: one row per image
    images: np.ndarray  # float32 (N, D), unit length
    molecules: pd.DataFrame  # columns of Molecules.table, sorted by InChIKey
    structures: np.ndarray  # float32 (M, D), unit length

    def molecule_of_image(self) -> np.ndarray:
        """Row of each image's molecule, int (N,)."""
        return pd.Index(self.molecules["inchikey"]).get_indexer(self.fields["inchikey"])


def read_held_out(run: Run, splits: str | Path, index: pd.DataFrame, molecules: Molecules) -> HeldOut:
    """Read the test part of a run.

    Parameters
    ----------
    run : Run
        The run; its folder holds ``embeddings.h5``.
    splits : path
        Folder with one ``{split}.csv`` per split.
    index : DataFrame
        The index of all fields.
    molecules : Molecules
        All molecules.

    Returns
    -------
    HeldOut
        Sorted by sample_key and by InChIKey, so that seeded draws do not depend on the order of the files.
    """
    embeddings = read_embeddings(run.folder / "embeddings.h5")
    part = part_of(index, read_split(Path(splits) / f"{run.split}.csv"))
    test = index[part == "test"].sort_values("sample_key")
    row_of_key = pd.Index(embeddings.sample_key)
    row_of_molecule = pd.Index(embeddings.inchikey)
    test = test[test["sample_key"].isin(row_of_key) & test["inchikey"].isin(row_of_molecule)]
    table = molecules.table[molecules.table["inchikey"].isin(test["inchikey"])].sort_values("inchikey")
    return HeldOut(
        run.name,
        test[["sample_key", "plate", "well", "inchikey"]].reset_index(drop=True),
        embeddings.image[row_of_key.get_indexer(test["sample_key"])],
        table.reset_index(drop=True),
        embeddings.molecule[row_of_molecule.get_indexer(table["inchikey"])],
    )
