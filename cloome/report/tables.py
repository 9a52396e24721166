"""The paper's four tables over all runs, with the paper's values beside the reproduced ones."""

from importlib import resources

import numpy as np
import pandas as pd

from cloome.config import PUBLISHED_TABLES
from cloome.report.runs import Run, read_evaluation

BENCHMARKS = {1: "retrieval", 2: "probing", 3: "zero_shot_molecule", 4: "zero_shot_mechanism"}
TITLES = {
    1: "Retrieval: image to molecule and molecule to image",
    2: "Linear probing of activity labels",
    3: "Zero-shot molecule classification, image to image",
    4: "Zero-shot mechanism classification, image to image",
}
ACCURACY, MEAN_RANK, MEDIAN_RANK = "top-k accuracy", "mean rank", "median rank"
MEAN_AUC, SHARE_ABOVE = "mean test AUC", "share of tasks with AUC > 0.9"
PAPER_METHODS = ("clip", "cloob", *PUBLISHED_TABLES)
GOOD_AUC = 0.9  # the threshold by which Hofmarcher et al. count tasks (FACTS 1.3)

SETTING = ["split", "method", "features", "direction", "queries", "pool", "k"]
AVERAGED = ["n", "value", "low", "high", "cluster_low", "cluster_high", "chance", "chance_within_batch"]
COLUMNS = [
    "split",
    "method",
    "runs",
    "features",
    "direction",
    "queries",
    "pool",
    "k",
    "measure",
    "n",
    "seeds",
    "reproduced",
    "seed_min",
    "seed_max",
    "low",
    "high",
    "cluster_low",
    "cluster_high",
    "chance",
    "chance_within_batch",
    "paper",
    "paper_low",
    "paper_high",
    "paper_n",
    "paper_source",
]


def paper_table(number: int, runs: list[Run]) -> pd.DataFrame:
    """One of the paper's tables, reproduced.

    Parameters
    ----------
    number : int
        1 retrieval, 2 linear probing, 3 zero-shot molecule, 4 zero-shot mechanism.
    runs : list of Run
        All runs; seeds of one split and method become one row.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. Accuracies, shares and AUCs are fractions, ranks start at 1. Each value that the paper or
        a peer gives stands beside the reproduced one for the same split, features, direction, queries, pool and k,
        or in a row of its own where nothing was reproduced. Sources are in ``paper.csv`` (FACTS 1.2 to 1.5, 3.1).
    """
    rows = _probing(runs) if number == 2 else average_seeds(_measures(_evaluations(runs, BENCHMARKS[number])))
    return _beside_paper(rows, number, {run.split for run in runs})


def collect(benchmark: str, runs: list[Run]) -> pd.DataFrame:
    """Accuracies of a benchmark that is not in the paper, averaged over seeds: columns `COLUMNS` less the paper's."""
    return average_seeds(_evaluations(runs, benchmark).assign(measure=ACCURACY))


def average_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per setting: mean, smallest and largest value over the seeds, and the mean bounds of the intervals.

    The seeds are asked the same queries, so pooling their hits would shrink the interval without new evidence; the
    bounds are averaged instead, and of one seed they are its own.
    """
    groups = rows.groupby([*SETTING, "measure"], dropna=False, sort=False)
    mean = groups[AVERAGED].mean().rename(columns={"value": "reproduced"})
    mean["seeds"] = groups["run"].nunique()
    mean["runs"] = groups["run"].agg(" ".join)
    mean["seed_min"], mean["seed_max"] = groups["value"].min(), groups["value"].max()
    return mean.reset_index()


def _evaluations(runs: list[Run], benchmark: str) -> pd.DataFrame:
    tables = [read_evaluation(run, benchmark) for run in runs]
    # Tables without rows carry no types, and would turn the numbers of the others into objects.
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def _measures(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of accuracies, followed by those of mean and median ranks, which do not depend on k."""
    accuracy = rows.assign(measure=ACCURACY)
    once = rows.drop_duplicates(["run", *SETTING[:-1]])
    nothing = dict.fromkeys(["k", "low", "high", "cluster_low", "cluster_high", "chance_within_batch"], np.nan)
    # With several right candidates per query the expected rank is another one.
    middle = ((once["pool"] + 1) / 2).where(once["queries"] == "one_per_molecule")
    ranks = [
        once.assign(**nothing, value=once[column], chance=middle, measure=measure).dropna(subset="value")
        for column, measure in (("mean_rank", MEAN_RANK), ("median_rank", MEDIAN_RANK))
    ]
    return pd.concat([accuracy, *(table for table in ranks if len(table))], ignore_index=True)


def _probing(runs: list[Run]) -> pd.DataFrame:
    """Mean AUC over the tasks that could be probed, and the share of them above 0.9."""
    tasks = _evaluations(runs, BENCHMARKS[2]).dropna(subset="test_auc")
    tasks = tasks.assign(good=(tasks["test_auc"] > GOOD_AUC).astype(float))
    groups = tasks.groupby(["split", "method", "run", "features", "labels"], sort=False)
    count = groups.size()
    auc = pd.DataFrame({"value": groups["test_auc"].mean(), "n": count, "chance": 0.5, "measure": MEAN_AUC})
    share = pd.DataFrame({"value": groups["good"].mean(), "n": count, "measure": SHARE_ABOVE})
    rows = pd.concat([auc, share]).reset_index().rename(columns={"labels": "queries"})
    rows = rows.assign(direction="image_to_activity")
    return average_seeds(rows.reindex(columns=["run", "measure", *SETTING, *AVERAGED]))


def read_paper(number: int) -> pd.DataFrame:
    """The published values of one table: columns of ``paper.csv``; accuracies as fractions."""
    with (resources.files("cloome.report") / "paper.csv").open(encoding="utf-8") as file:
        values = pd.read_csv(file, dtype={"pool": float, "k": float})
    text = ["split", "queries"]
    values[text] = values[text].fillna("")
    return values[values["table"] == number].drop(columns="table").reset_index(drop=True)


def _beside_paper(rows: pd.DataFrame, number: int, splits: set[str]) -> pd.DataFrame:
    paper = read_paper(number)
    names = {"value": "paper", "low": "paper_low", "high": "paper_high", "n": "paper_n", "source": "paper_source"}
    paper = paper[paper["split"].isin(["", *splits])].rename(columns=names)
    paper = paper.assign(which_pool=_which_pool(paper), number=range(len(paper)))
    on = ["split", "features", "direction", "queries", "which_pool", "k", "measure"]
    ours = rows.assign(which_pool=_which_pool(rows), k=rows["k"].astype(float))
    # The control trained on shuffled pairs and losses that the paper has not reproduce nothing of it.
    reproduces = ours["method"].isin(PAPER_METHODS)
    matched = ours[reproduces].merge(paper.drop(columns=["method", "pool"]), on=on, how="left")
    alone = paper[~paper["number"].isin(matched["number"])]
    parts = [part for part in (matched, ours[~reproduces], alone) if len(part)]
    table = pd.concat([part.astype({"features": object}) for part in parts], ignore_index=True) if parts else paper
    table = table.reindex(columns=COLUMNS)
    whole_numbers = ["pool", "k", "seeds"]
    table[whole_numbers] = table[whole_numbers].astype("Int64")
    return table


def _which_pool(rows: pd.DataFrame) -> pd.Series:
    """'whole' for the largest pool of a setting, otherwise its size: whole test sets are compared as such."""
    setting = ["split", "method", "features", "direction", "queries"]
    largest = rows.groupby(setting, dropna=False)["pool"].transform("max")
    return rows["pool"].astype(object).where(rows["pool"] < largest, "whole")
