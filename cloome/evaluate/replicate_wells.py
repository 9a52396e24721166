"""Does the nearest well on another plate hold the same compound, or one with the same mechanism?"""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.config import Evaluate
from cloome.evaluate.features import known, order_of_equals
from cloome.evaluate.ranking import blocks, ranks_of_any
from cloome.evaluate.samples import Samples
from cloome.evaluate.tables import Ranking, table
from cloome.evaluate.wells import Comparison, Wells, same_molecule, well_features, wells_of

log = logging.getLogger(__name__)


def replicate_wells_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Nearest-well accuracy, with columns as in `cloome.evaluate.tables`.

    A well is the mean of its fields, brought back to unit length. Queries are the wells of the test part; candidates
    are all wells with a compound, of any part, on other plates. ``well_to_compound`` is right for the same molecule,
    ``well_to_mechanism`` (among wells with a known mechanism) for a shared mechanism, the same molecule included.
    Queries for which no candidate is right are left out; the log counts them. ``chance`` is the mean share of right
    candidates, ``chance_within_batch`` that among candidates of the query's batch: compounds of one batch share its
    technical look, so only what exceeds this is biology. Wells without some features take no part where these are
    compared.
    """
    return table(_rankings(samples, settings.seed), settings)


def _rankings(samples: Samples, seed: int) -> Iterator[Ranking]:
    wells = wells_of(samples)
    for direction, traits in (
        ("well_to_compound", same_molecule(samples, wells)),
        ("well_to_mechanism", samples.mechanisms[wells.molecule]),
    ):
        has_trait = np.diff(traits.indptr) > 0
        for name, values in well_features(samples, wells):
            kept = np.flatnonzero(has_trait & known(values))
            ties = order_of_equals(name, seed)
            yield _ranking(direction, name, values[kept], traits[kept], wells, kept, ties)


def _ranking(
    direction: str,
    name: str,
    values: np.ndarray,
    traits: scipy.sparse.csr_matrix,
    wells: Wells,
    kept: np.ndarray,
    ties: np.random.Generator | None,
) -> Ranking:
    """Ranking of the wells `kept`, whose features and traits are given."""
    compared = Comparison(traits, (wells.plate[kept],))
    queries = np.flatnonzero(wells.is_test[kept])
    counts = _counts(compared, wells.batch[kept], queries)
    possible = (counts["right"] > 0).to_numpy()
    queries, counts = queries[possible], counts[possible]
    log.info("%s, %s: %d query wells; %d more have no right well on another plate",
             direction, name, len(queries), (~possible).sum())  # fmt: skip
    in_batch = counts[counts["pool_in_batch"] > 0]
    found = ranks_of_any(values[queries], values, lambda rows: compared.masks(queries[rows]), ties)
    return Ranking(
        features=name,
        direction=direction,
        queries="wells",
        ranks=found,
        molecule=wells.molecule[kept][queries],
        pool=counts["pool"].to_numpy(),
        right=counts["right"].to_numpy(),
        top=(1,),
        chance_within_batch=(in_batch["right_in_batch"] / in_batch["pool_in_batch"]).mean(),
        candidates="other_plates",
    )


def _counts(compared: Comparison, batch: np.ndarray, queries: np.ndarray) -> pd.DataFrame:
    """For each query the number of right wells and of candidates, overall and in its batch."""
    found = []
    for rows in blocks(len(queries), len(batch)):
        wells = queries[rows]
        right, ranked = compared.masks(wells)
        same = (batch[wells, None] == batch) & (batch[wells, None] >= 0)
        counted = [right, ranked, right & same, ranked & same]
        found.append(np.stack([mask.sum(axis=1) for mask in counted], axis=1))
    columns = ["right", "pool", "right_in_batch", "pool_in_batch"]
    return pd.DataFrame(np.concatenate([np.empty((0, 4), dtype=np.int64), *found]), columns=columns)
