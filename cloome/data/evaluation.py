"""Columns of the evaluation tables, one CSV per benchmark and run.

A table of a ranking benchmark has a row for each kind of features, direction, set of queries, set of candidates, pool
and k. ``candidates`` is ``all``; ``other_plates``: only candidates from plates other than the query's, where a query
without a right one left is no query; or ``same_plate``: only candidates on the query's plate (retrieval).
"""

RANKING_COLUMNS = [
    "features",
    "direction",
    "queries",
    "candidates",
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
    "mean_rank_low",
    "mean_rank_high",
    "median_rank",
    "median_rank_low",
    "median_rank_high",
    "chance_within_batch",
]

# Replicates and mechanisms across plates: a row for each task and kind of features.
AVERAGE_PRECISION_COLUMNS = [
    "features",
    "task",
    "pool",
    "right",
    "n",
    "clusters",
    "value",
    "cluster_low",
    "cluster_high",
    "chance",
    "significant",
]

# What plate and position explain: a row for each measure and kind of features.
BATCH_EFFECTS_COLUMNS = ["features", "measure", "value", "cluster_low", "cluster_high", "chance", "n"]
