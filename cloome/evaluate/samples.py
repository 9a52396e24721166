"""What the benchmarks work on: images, their embeddings, molecules and parts of the split, row by row."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.data.embeddings import Embeddings
from cloome.data.image_features import ImageFeatures
from cloome.data.molecules import Molecules
from cloome.data.splits import part_of
from cloome.errors import FormatError
from cloome.evaluate.profiles import WellProfiles

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Samples:
    """All images that show a molecule, sorted by sample key, and these molecules, sorted by InChIKey."""

    table: pd.DataFrame  # (N rows) the columns of the index, and part
    image: np.ndarray  # float32 (N, D), unit length
    length: np.ndarray  # float32 (N,): length of the image features before it was made 1
    molecule_of: np.ndarray  # int64 (N,): row of the image's molecule in `molecule`
    inchikey: np.ndarray  # str (M,)
    molecule: np.ndarray  # float32 (M, D), unit length
    mechanisms: scipy.sparse.csr_matrix  # bool (M, K): which molecule has which mechanism; empty rows: unknown
    fingerprint: np.ndarray  # uint8 (M, B): bits, or counts
    profiles: WellProfiles | None = None  # of CellProfiler; None: the screen has none
    gapnet: np.ndarray | None = None  # float32 (N, F): features of GapNet, not of unit length

    def rows(self, part: str) -> np.ndarray:
        """Rows of the images in a part of the split, int64, ascending."""
        return np.flatnonzero(self.table["part"] == part)


def align(
    index: pd.DataFrame,
    embeddings: Embeddings,
    molecules: Molecules,
    split: pd.DataFrame,
    profiles: WellProfiles | None = None,
    gapnet: ImageFeatures | None = None,
) -> Samples:
    """Bring the files of one run into one order.

    Images without a molecule (mock wells, compounds without a structure) take part in no benchmark.

    Raises
    ------
    FormatError
        If an image or a molecule of the index has no embedding or two, an embedding is not finite, a molecule has no
        fingerprint, or the split leaves no image in train or in test.
    """
    table = index.assign(part=part_of(index, split))
    table = table[table["inchikey"] != ""].sort_values("sample_key", ignore_index=True)
    for part in (TRAIN, TEST):
        if not (table["part"] == part).any():
            raise FormatError(f"no image of the index is in the part {part!r} of the split; give files of one run")
    inchikey, molecule_of = np.unique(table["inchikey"].to_numpy(dtype=str), return_inverse=True)
    keys = table["sample_key"].to_numpy()
    return Samples(
        table,
        _picked(embeddings.image, embeddings.sample_key, keys, "image"),
        _picked(embeddings.length, embeddings.sample_key, keys, "image"),
        molecule_of,
        inchikey,
        _picked(embeddings.molecule, embeddings.inchikey, inchikey, "molecule"),
        _membership(inchikey, molecules.mechanisms()),
        _fingerprints(molecules, inchikey),
        profiles,
        None if gapnet is None else _picked(gapnet.values, gapnet.sample_key, keys, "image", "features of GapNet"),
    )


def _picked(
    values: np.ndarray, names: np.ndarray, wanted: np.ndarray, what: str, which: str = "embeddings"
) -> np.ndarray:
    """The rows of `values` whose names are wanted, in the order of `wanted`."""
    names = pd.Index(names)
    if names.has_duplicates:
        raise FormatError(
            f"the {which} name the {what} {names[names.duplicated()][0]} twice; run the stage embed again"
        )
    rows = names.get_indexer(pd.Index(wanted))
    if (rows < 0).any():
        raise FormatError(
            f"{(rows < 0).sum()} {what}s of the index have no {which}, the first {wanted[rows < 0][0]}; "
            "run the stage embed again with this index"
        )
    picked = values[rows]
    if not np.isfinite(picked).all():
        raise FormatError(f"some {which} of {what}s are not finite numbers; the training diverged, lower its rate")
    return picked


def _fingerprints(molecules: Molecules, inchikey: np.ndarray) -> np.ndarray:
    rows = pd.Index(molecules.table["inchikey"]).get_indexer(pd.Index(inchikey))
    if (rows < 0).any():
        raise FormatError(
            f"{(rows < 0).sum()} molecules of the index are not in the table of molecules, the first "
            f"{inchikey[rows < 0][0]}; give files of one run"
        )
    return molecules.fingerprints[rows]


def _membership(inchikey: np.ndarray, mechanisms: dict[str, list[str]]) -> scipy.sparse.csr_matrix:
    """Which molecule has which mechanism, mechanisms in alphabetical order."""
    pairs = [(row, name) for row, key in enumerate(inchikey) for name in sorted(set(mechanisms.get(key, [])))]
    names, columns = np.unique([name for _, name in pairs], return_inverse=True)
    rows = [row for row, _ in pairs]
    return scipy.sparse.csr_matrix((np.ones(len(pairs), dtype=bool), (rows, columns)), (len(inchikey), len(names)))
