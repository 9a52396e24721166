"""Rows of the ranking benchmarks: hit rates with both intervals, chance and mean ranks."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cloome.config import Evaluate
from cloome.data.evaluation import RANKING_COLUMNS
from cloome.evaluate.draws import stream
from cloome.evaluate.statistics import chance_of_hit, clustered_intervals, exact_interval, median_interval

TOP_K = (1, 5, 10)  # as in the paper's tables
DECIMALS = 6


@dataclass(frozen=True)
class Ranking:
    """The outcome of one benchmark for one kind of features."""

    features: str
    direction: str
    queries: str
    ranks: np.ndarray  # int64 (Q,), 1 is best
    molecule: np.ndarray  # (Q,) molecule of each query, for the clustered interval
    pool: np.ndarray | int  # candidates ranked, for each query or for all
    right: np.ndarray | int = 1  # right candidates among them
    top: tuple[int, ...] = TOP_K
    chance_within_batch: float = np.nan
    candidates: str = "all"  # or "other_plates", "same_plate": see cloome/data/evaluation.py


def table(rankings: Iterable[Ranking], settings: Evaluate) -> pd.DataFrame:
    """One row per ranking and k; rankings without queries give none.

    ``pool`` is the mean number of candidates, rounded, where queries differ in it. ``low`` and ``high`` treat queries
    as independent, as the paper does; ``cluster_low`` and ``cluster_high`` resample molecules. So does the interval of
    the mean rank; that of the median takes queries as independent.
    """
    rows = [row for ranking in rankings if len(ranking.ranks) for row in _rows(ranking, settings)]
    return pd.DataFrame(rows, columns=RANKING_COLUMNS).round(DECIMALS)


def _rows(ranking: Ranking, settings: Evaluate) -> list[dict]:
    hits = ranking.ranks[:, None] <= np.array(ranking.top)
    # The same resamples for every kind of features keep their intervals comparable.
    rng = stream(settings.seed, "bootstrap")
    measures = np.column_stack([hits, ranking.ranks])
    cluster_low, cluster_high = clustered_intervals(
        measures, ranking.molecule, settings.confidence, settings.resamples, rng
    )
    median_low, median_high = median_interval(ranking.ranks, settings.confidence)
    rows = []
    for column, k in enumerate(ranking.top):
        n, hit = len(hits), int(hits[:, column].sum())
        low, high = exact_interval(hit, n, settings.confidence)
        rows.append(
            {
                "features": ranking.features,
                "direction": ranking.direction,
                "queries": ranking.queries,
                "candidates": ranking.candidates,
                "pool": round(np.mean(ranking.pool)),
                "k": k,
                "n": n,
                "hits": hit,
                "value": hit / n,
                "low": low,
                "high": high,
                "clusters": len(np.unique(ranking.molecule)),
                "cluster_low": cluster_low[column],
                "cluster_high": cluster_high[column],
                "chance": chance_of_hit(ranking.pool, ranking.right, k),
                "mean_rank": ranking.ranks.mean(),
                "mean_rank_low": cluster_low[-1],
                "mean_rank_high": cluster_high[-1],
                "median_rank": np.median(ranking.ranks),
                "median_rank_low": median_low,
                "median_rank_high": median_high,
                "chance_within_batch": ranking.chance_within_batch,
            }
        )
    return rows
