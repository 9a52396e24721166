"""Does the nearest well on another plate hold the same compound, or one with the same mechanism?"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.config import Evaluate
from cloome.evaluate.features import CELL_COUNT, comparable, unit_length
from cloome.evaluate.ranking import blocks, ranks_of_any
from cloome.evaluate.samples import TEST, Samples
from cloome.evaluate.tables import Ranking, table

log = logging.getLogger(__name__)


def replicate_wells_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Nearest-well accuracy, with columns as in `cloome.evaluate.tables`.

    A well is the mean of its fields, brought back to unit length. Queries are the wells of the test part; candidates
    are all wells with a compound, of any part, on other plates. ``well_to_compound`` is right for the same molecule,
    ``well_to_mechanism`` (among wells with a known mechanism) for a shared mechanism, the same molecule included.
    Queries for which no candidate is right are left out; the log counts them. ``chance`` is the mean share of right
    candidates, ``chance_within_batch`` that among candidates of the query's batch: compounds of one batch share its
    technical look, so only what exceeds this is biology.
    """
    return table(_rankings(samples), settings)


@dataclass(frozen=True)
class _Wells:
    """The wells that are compared, and what makes one right for another."""

    plate: np.ndarray  # int (W,)
    batch: np.ndarray  # int (W,), below zero: unknown
    traits: scipy.sparse.csr_matrix  # bool (W, T): molecules, or mechanisms; one shared trait makes a candidate right

    def masks(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For some wells, which wells are right, and which are candidates at all: two bool (q, W)."""
        elsewhere = self.plate[queries, None] != self.plate
        shared = (self.traits[queries] @ self.traits.T).toarray()
        return shared & elsewhere, elsewhere

    def counts(self, queries: np.ndarray) -> pd.DataFrame:
        """For each query the number of right wells and of candidates, overall and in its batch."""
        found = []
        for rows in blocks(len(queries), len(self.plate)):
            wells = queries[rows]
            right, ranked = self.masks(wells)
            same = (self.batch[wells, None] == self.batch) & (self.batch[wells, None] >= 0)
            counted = [right, ranked, right & same, ranked & same]
            found.append(np.stack([mask.sum(axis=1) for mask in counted], axis=1))
        columns = ["right", "pool", "right_in_batch", "pool_in_batch"]
        return pd.DataFrame(np.concatenate([np.empty((0, 4), dtype=np.int64), *found]), columns=columns)


def _rankings(samples: Samples) -> Iterator[Ranking]:
    table = samples.table
    well_of = table.groupby(["plate", "well"], sort=True).ngroup().to_numpy()
    first = np.unique(well_of, return_index=True)[1]
    molecule = samples.molecule_of[first]
    batch = table["batch"].iloc[first]
    batch = pd.factorize(batch.where(batch != ""))[0]
    plate = pd.factorize(table["plate"].iloc[first])[0]
    is_test = (table["part"].iloc[first] == TEST).to_numpy()
    features = {name: _well_means(name, values, well_of) for name, values in comparable(samples).items()}
    one_each = scipy.sparse.identity(len(samples.inchikey), dtype=bool, format="csr")
    for direction, traits in (
        ("well_to_compound", one_each[molecule]),
        ("well_to_mechanism", samples.mechanisms[molecule]),
    ):
        kept = np.flatnonzero(np.diff(traits.indptr))
        wells = _Wells(plate[kept], batch[kept], traits[kept])
        chosen = {name: values[kept] for name, values in features.items()}
        yield from _direction(direction, wells, chosen, np.flatnonzero(is_test[kept]), molecule[kept])


def _direction(
    direction: str, wells: _Wells, features: dict[str, np.ndarray], queries: np.ndarray, molecule: np.ndarray
) -> Iterator[Ranking]:
    counts = wells.counts(queries)
    possible = (counts["right"] > 0).to_numpy()
    queries, counts = queries[possible], counts[possible]
    log.info("%s: %d query wells; %d more have no right well on another plate",
             direction, len(queries), (~possible).sum())  # fmt: skip
    in_batch = counts[counts["pool_in_batch"] > 0]
    within = (in_batch["right_in_batch"] / in_batch["pool_in_batch"]).mean()
    for name, values in features.items():
        found = ranks_of_any(values[queries], values, lambda rows, own=queries: wells.masks(own[rows]))
        yield Ranking(
            features=name,
            direction=direction,
            queries="wells",
            ranks=found,
            molecule=molecule[queries],
            pool=counts["pool"].to_numpy(),
            right=counts["right"].to_numpy(),
            top=(1,),
            chance_within_batch=within,
        )


def _well_means(name: str, values: np.ndarray, well_of: np.ndarray) -> np.ndarray:
    """Mean over the fields of each well, float32 (W, D) of unit length, or (W,) for the cell count."""
    fields = np.bincount(well_of)
    mean = scipy.sparse.csr_matrix((1 / fields[well_of], (well_of, np.arange(len(well_of)))))
    means = (mean @ values).astype(np.float32)
    return means if name == CELL_COUNT else unit_length(means)
