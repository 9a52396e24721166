"""Intervals and chance levels of hit rates."""

import numpy as np
import scipy.stats


def exact_interval(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson interval of a share, as in the paper (FACTS 1.6); it takes queries as independent."""
    interval = scipy.stats.binomtest(int(hits), int(n)).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def clustered_intervals(
    hits: np.ndarray, cluster: np.ndarray, confidence: float, resamples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap of hit rates that resamples whole clusters.

    Images of one molecule succeed and fail together, so the exact interval is too narrow (FACTS 1.6).

    Parameters
    ----------
    hits : bool (Q, K)
        Whether each query is a hit, for K criteria.
    cluster : (Q,)
        Molecule of each query.
    confidence : float
        Level of the interval, 0 to 1.
    resamples : int
        Bootstrap resamples.
    rng : Generator
        Source of chance.

    Returns
    -------
    float64 (K,), float64 (K,)
        Lower and upper end.
    """
    names, of = np.unique(cluster, return_inverse=True)
    size = np.bincount(of)
    summed = np.stack([np.bincount(of, weights=column) for column in hits.T], axis=1)
    rates = np.empty((resamples, hits.shape[1]))
    for resample in range(resamples):
        drawn = rng.integers(len(names), size=len(names))
        rates[resample] = summed[drawn].sum(axis=0) / size[drawn].sum()
    tail = (1 - confidence) / 2
    low, high = np.quantile(rates, [tail, 1 - tail], axis=0)
    return low, high


def chance_of_hit(pool: np.ndarray | int, right: np.ndarray | int, k: int) -> float:
    """Mean chance that at least one of `right` among `pool` candidates lies in the top k of a random order."""
    pool, right = np.asarray(pool, dtype=np.float64), np.asarray(right, dtype=np.float64)
    missed = np.ones(np.broadcast_shapes(pool.shape, right.shape))
    for place in range(k):
        missed = missed * np.maximum(pool - right - place, 0) / np.maximum(pool - place, 1)
    return float(np.mean(1 - missed))
