"""Columns of the evaluation tables, one CSV per benchmark and run.

A table of a ranking benchmark has a row for each kind of features, direction, set of queries, pool and k.
"""

RANKING_COLUMNS = [
    "features",
    "direction",
    "queries",
    "pool",
    "k",
    "n",
    "hits",
    "value",
    "low",
    "high",
    "clusters",
    "cluster_low",
    "cluster_high",
    "chance",
    "mean_rank",
    "median_rank",
    "chance_within_batch",
]
