"""The wells of the images, their features, and which wells are compared with which."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.evaluate.features import comparable_elsewhere, unit_length
from cloome.evaluate.samples import TEST, Samples


@dataclass(frozen=True)
class Wells:
    """All wells that hold a molecule, sorted by plate and name."""

    plate: np.ndarray  # int (W,)
    row: np.ndarray  # int (W,)
    column: np.ndarray  # int (W,)
    batch: np.ndarray  # int (W,), below zero: unknown
    molecule: np.ndarray  # int (W,): row of the molecule in the samples
    is_test: np.ndarray  # bool (W,)
    of: np.ndarray  # int (N,): well of each image

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean over the fields of each well: of vectors (N, D) float32 (W, D) of unit length, of scalars (W,)."""
        first = np.unique(self.of, return_index=True)[1]
        # Profiles and places are those of the well already; left as they are, equal ones tie exactly.
        if np.array_equal(values, values[first][self.of], equal_nan=True):
            return values[first]
        fields = np.bincount(self.of)
        mean = scipy.sparse.csr_matrix((1 / fields[self.of], (self.of, np.arange(len(self.of)))))
        means = (mean @ values).astype(np.float32)
        return means if values.ndim == 1 else unit_length(means)


def wells_of(samples: Samples) -> Wells:
    """The wells of the samples."""
    grouped = samples.table.groupby(["plate", "well"], sort=True).ngroup().to_numpy()
    first = np.unique(grouped, return_index=True)[1]
    table = samples.table.iloc[first]
    place = table["well"].str.extract(r"^([A-Z]+)(\d+)$")
    return Wells(
        plate=pd.factorize(table["plate"])[0],
        row=pd.factorize(place[0])[0],
        column=pd.factorize(place[1])[0],
        batch=pd.factorize(table["batch"].where(table["batch"] != ""))[0],
        molecule=samples.molecule_of[first],
        is_test=(table["part"] == TEST).to_numpy(),
        of=grouped,
    )


def well_features(samples: Samples, wells: Wells) -> Iterator[tuple[str, np.ndarray]]:
    """Name and features of the wells, one kind after the other; NaN where a well has none."""
    for name, values in comparable_elsewhere(samples).items():
        yield name, wells.means(values)


def same_molecule(samples: Samples, wells: Wells) -> scipy.sparse.csr_matrix:
    """The molecule of each well as its only trait, bool (W, M)."""
    return scipy.sparse.identity(len(samples.inchikey), dtype=bool, format="csr")[wells.molecule]


@dataclass(frozen=True)
class Comparison:
    """Which wells are right for which, and which are candidates at all."""

    traits: scipy.sparse.csr_matrix  # bool (W, T): one shared trait makes a candidate right
    apart: tuple[np.ndarray, ...]  # int (W,) each: a candidate differs from the query in all of these

    def masks(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For the wells `queries`, which wells are right, and which are candidates: two bool (q, W)."""
        ranked = np.logical_and.reduce([label[queries, None] != label for label in self.apart])
        shared = (self.traits[queries] @ self.traits.T).toarray()
        return shared & ranked, ranked

    def subset(self, kept: np.ndarray) -> "Comparison":
        """The comparison of some of the wells."""
        return Comparison(self.traits[kept], tuple(label[kept] for label in self.apart))
