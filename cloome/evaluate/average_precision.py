"""Mean average precision of wells across plates: do replicates, and wells with the same mechanism, come first?

The measure is that of copairs (Kalinin et al. 2025). Its own search lists all pairs of wells and its null
distribution all places of all candidates, which grows with the square of a screen; here both go through the wells in
blocks. Ties are treated as in scikit-learn, not in favour of the right candidates as in copairs; for features of whole
numbers, by which many candidates are equal, the order of equals is drawn. Tests hold the results against both packages.
"""

import logging
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pandas as pd
import scipy.stats
from copairs.compute import average_precision as average_precision_of_positions
from copairs.map.normalization import expected_ap

from cloome.config import Evaluate
from cloome.data.evaluation import AVERAGE_PRECISION_COLUMNS
from cloome.evaluate.draws import stream
from cloome.evaluate.features import FINGERPRINT, known, order_of_equals, structures
from cloome.evaluate.ranking import score_blocks
from cloome.evaluate.samples import Samples
from cloome.evaluate.statistics import clustered_intervals
from cloome.evaluate.tables import DECIMALS
from cloome.evaluate.wells import Comparison, Wells, same_molecule, well_features, wells_of

log = logging.getLogger(__name__)

FEW = 64
# Random orders come in single precision.
ROUNDING = 1e-6
STEP = 2.0**-30  # of the largest score: far below what two whole numbers differ by, and far above float64's rounding
REPLICATES, MECHANISMS = "replicates", "mechanisms"


def average_precision_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Mean average precision for each kind of features and task, with columns `AVERAGE_PRECISION_COLUMNS`.

    Queries are the wells of the test part, candidates the wells with a molecule, of any part, on other plates.
    ``replicates``: wells with the query's molecule are right. ``mechanisms``: wells of other molecules that share a
    mechanism are right; candidates are the wells of other molecules with a known mechanism, so that replicates do not
    help; ``fingerprint`` then compares structures and needs no image. Queries without a right or without a wrong
    candidate are left out. ``significant`` is the share of molecules whose mean average precision exceeds that of
    random orders, at the false discovery rate 1 - `confidence` (Benjamini and Hochberg).
    """
    wells = wells_of(samples)
    mechanisms = samples.mechanisms[wells.molecule]
    tasks = {
        REPLICATES: Comparison(same_molecule(samples, wells), (wells.plate,)),
        MECHANISMS: Comparison(mechanisms, (wells.plate, wells.molecule)),
    }
    orders = RandomOrders(settings.null_size, settings.seed)
    rows = [row for task, compared in tasks.items() for row in _rows(task, compared, samples, wells, orders, settings)]
    return pd.DataFrame(rows, columns=AVERAGE_PRECISION_COLUMNS).round(DECIMALS)


def average_precisions(
    values: np.ndarray, compared: Comparison, queries: np.ndarray, ties: np.random.Generator | None = None
) -> pd.DataFrame:
    """Average precision of each query well.

    Parameters
    ----------
    values : float32 (W, D) or (W,)
        Features of all wells.
    compared : Comparison
        Right wells and candidates.
    queries : int (Q,)
        The wells that are queries.
    ties : Generator, optional
        Orders equal scores at random.

    Returns
    -------
    DataFrame
        Q rows: ``average_precision``, NaN without a right candidate; ``right`` and ``pool``, the numbers of right
        candidates and of all. A right candidate's precision is the share of right ones among all that score at least
        as high, as in scikit-learn.
    """
    found = []
    for rows, scores in score_blocks(values[queries], values):
        right, ranked = compared.masks(queries[rows])
        if ties is not None:
            scores = (_without_ties(row, ties) for row in scores)
        found += [_one(*row) for row in zip(scores, right, ranked, strict=True)]
    return pd.DataFrame(found, columns=["average_precision", "right", "pool"])


class RandomOrders:
    """Average precisions of random orders, drawn once for each pair of numbers.

    Parameters
    ----------
    size : int
        Random orders of each pair.
    seed : int
        Seed; what is drawn for a pair does not depend on the other pairs.
    """

    def __init__(self, size: int, seed: int):
        self.size, self._seed = size, seed
        self._drawn: dict[tuple[int, int], np.ndarray] = {}

    def of(self, right: int, pool: int) -> np.ndarray:
        """Average precision of random orders of a pool with some right candidates, float32 (size,)."""
        if (right, pool) not in self._drawn:
            rng = stream(self._seed, f"random orders of {right} in {pool}")
            # Each wrong candidate falls anywhere between the right ones: how many lie before each is multinomial.
            gaps = np.diff(np.sort(rng.random((self.size, right)), axis=1), prepend=0, append=1)
            before = rng.multinomial(pool - right, gaps)[:, :-1].cumsum(axis=1)
            self._drawn[right, pool] = average_precision_of_positions(before + np.arange(right))
        return self._drawn[right, pool]


def p_values(found: pd.DataFrame, group: np.ndarray, orders: RandomOrders) -> pd.Series:
    """How often random orders reach each group's mean average precision, by group.

    As in copairs, queries with the same numbers of right candidates and of all share their random orders, as the
    queries of a group are not independent. Unlike there, a random order that does as well counts against the group;
    else one that cannot be beaten, such as one right candidate of two, would be taken for evidence.

    Parameters
    ----------
    found : DataFrame
        Output of `average_precisions`, without NaN.
    group : (Q,)
        Group of each query.
    orders : RandomOrders
        What the average precisions are held against.
    """
    p_value = {}
    for name, part in found.groupby(group):
        numbers = part.groupby(["right", "pool"]).size()
        mean = sum(n * orders.of(right, pool) for (right, pool), n in numbers.items()) / len(part)
        reached = np.count_nonzero(mean > part["average_precision"].mean() - ROUNDING)
        p_value[name] = (reached + 1) / (orders.size + 1)
    return pd.Series(p_value, dtype=np.float64)


def _rows(
    task: str, compared: Comparison, samples: Samples, wells: Wells, orders: RandomOrders, settings: Evaluate
) -> Iterator[dict]:
    has_trait = np.diff(compared.traits.indptr) > 0
    kinds = well_features(samples, wells)
    if task == MECHANISMS:
        kinds = chain(kinds, [(FINGERPRINT, wells.means(structures(samples)))])
    for features, values in kinds:
        kept = np.flatnonzero(has_trait & known(values))
        queries = np.flatnonzero(wells.is_test[kept])
        ties = order_of_equals(features, settings.seed)
        found = average_precisions(values[kept], compared.subset(kept), queries, ties)
        possible = ((found["right"] > 0) & (found["right"] < found["pool"])).to_numpy()
        log.info("%s, %s: %d query wells; %d more have no right or no wrong well on another plate",
                 task, features, possible.sum(), (~possible).sum())  # fmt: skip
        if possible.any():
            molecule = wells.molecule[kept][queries][possible]
            yield {"features": features, "task": task} | _summary(found[possible], molecule, orders, settings)


def _summary(found: pd.DataFrame, molecule: np.ndarray, orders: RandomOrders, settings: Evaluate) -> dict:
    values = found["average_precision"].to_numpy()
    # The same resamples for every kind of features keep their intervals comparable.
    rng = stream(settings.seed, "bootstrap")
    low, high = clustered_intervals(values[:, None], molecule, settings.confidence, settings.resamples, rng)
    counts, of = np.unique(found[["right", "pool"]].to_numpy(), axis=0, return_inverse=True)
    chance = np.array([expected_ap(right, pool - right) for right, pool in counts])[of]
    p_value = p_values(found, molecule, orders)
    return {
        "pool": round(found["pool"].mean()),
        "right": found["right"].mean(),
        "n": len(values),
        "clusters": len(p_value),
        "value": values.mean(),
        "cluster_low": low[0],
        "cluster_high": high[0],
        "chance": chance.mean(),
        "significant": (scipy.stats.false_discovery_control(p_value) < 1 - settings.confidence).mean(),
    }


def _one(scores: np.ndarray, right: np.ndarray, ranked: np.ndarray) -> tuple[float, int, int]:
    own, among = scores[right], scores[ranked]
    if len(own) == 0:
        return np.nan, 0, len(among)
    return float((_reaching(own, own) / _reaching(among, own)).mean()), len(own), len(among)


def _without_ties(scores: np.ndarray, ties: np.random.Generator) -> np.ndarray:
    """Other scores in the same order, float64 (M,), that are all different; of whole numbers or their differences."""
    return scores + ties.random(len(scores)) * STEP * np.abs(scores).max(initial=1)


def _reaching(scores: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How many of the scores are at least as high as each wanted one, int64."""
    # To count once for each of a few is ten times as fast as to sort.
    if len(wanted) < FEW:
        return np.array([np.count_nonzero(scores >= score) for score in wanted])
    return len(scores) - np.searchsorted(np.sort(scores), wanted)
