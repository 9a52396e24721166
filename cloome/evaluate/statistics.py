"""Intervals of hit rates and ranks, and chance levels."""

import numpy as np
import scipy.stats

from cloome.errors import FormatError

HELD = 2**22  # draws of the bootstrap held at a time


def exact_interval(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson interval of a share, as in the paper (FACTS 1.6); it takes queries as independent."""
    interval = scipy.stats.binomtest(int(hits), int(n)).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def median_interval(ranks: np.ndarray, confidence: float) -> tuple[float, float]:
    """Interval of a median by order statistics, of independent queries; NaN where they are too few for one.

    Raises FormatError where a rank is no finite number.
    """
    _refuse_what_is_not_finite(ranks)
    interval = scipy.stats.quantile_test(ranks, q=np.median(ranks), p=0.5).confidence_interval(confidence)
    return float(interval.low), float(interval.high)


def clustered_intervals(
    values: np.ndarray, cluster: np.ndarray, confidence: float, resamples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap of means, such as hit rates, that resamples whole clusters.

    Images of one molecule succeed and fail together, so the exact interval is too narrow (FACTS 1.6).

    Parameters
    ----------
    values : bool or float (Q, K)
        K measures of each query, such as whether it is a hit.
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

    Raises
    ------
    FormatError
        If a measure is no finite number.
    """
    _refuse_what_is_not_finite(values)
    names, of = np.unique(cluster, return_inverse=True)
    # The last column is the size of the clusters.
    summed = np.stack([*(np.bincount(of, weights=column) for column in values.T), np.bincount(of)], axis=1)
    step = max(1, HELD // len(names))
    totals = [_totals(summed, min(step, resamples - start), rng) for start in range(0, resamples, step)]
    totals = np.concatenate(totals)
    tail = (1 - confidence) / 2
    low, high = np.quantile(totals[:, :-1] / totals[:, -1:], [tail, 1 - tail], axis=0)
    return low, high


def _refuse_what_is_not_finite(values: np.ndarray) -> None:
    bad = np.count_nonzero(~np.isfinite(values))
    if bad:
        raise FormatError(f"{bad} of {np.size(values)} measures are NaN or infinite; leave their queries out")


def _totals(summed: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Sums over as many clusters as there are, drawn with replacement, float64 (resamples, columns)."""
    clusters = len(summed)
    drawn = rng.integers(clusters, size=(resamples, clusters)) + clusters * np.arange(resamples)[:, None]
    times = np.bincount(drawn.ravel(), minlength=resamples * clusters).reshape(resamples, clusters)
    return times.astype(np.float64) @ summed


def chance_of_hit(pool: np.ndarray | int, right: np.ndarray | int, k: int) -> float:
    """Mean chance that at least one of `right` among `pool` candidates lies in the top k of a random order."""
    pool, right = np.asarray(pool, dtype=np.float64), np.asarray(right, dtype=np.float64)
    missed = np.ones(np.broadcast_shapes(pool.shape, right.shape))
    for place in range(k):
        missed = missed * np.maximum(pool - right - place, 0) / np.maximum(pool - place, 1)
    return float(np.mean(1 - missed))
