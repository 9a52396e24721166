"""The paper's four tables over all runs, with the paper's values beside the reproduced ones."""

from importlib import resources

import numpy as np
import pandas as pd
import scipy.stats
from pandas.core.groupby import SeriesGroupBy

from cloome.config import PUBLISHED_TABLES
from cloome.data.files import read_csv
from cloome.report.runs import Run, read_evaluation

BENCHMARKS = {1: "retrieval", 2: "probing", 3: "zero_shot_molecule", 4: "zero_shot_mechanism"}
TITLES = {
    1: "Retrieval: image to molecule and molecule to image",
    2: "Linear probing of activity labels",
    3: "Zero-shot molecule classification, image to image",
    4: "Zero-shot mechanism classification, image to image",
}
ACCURACY, MEAN_RANK, MEDIAN_RANK = "top-k accuracy", "mean rank", "median rank"
MEAN_AUC, AUC_CHANCE = "mean test AUC", 0.5
# Hofmarcher et al. count tasks by the last of these thresholds (FACTS 1.3).
SHARE_ABOVE = {limit: f"share of tasks with AUC > {limit}" for limit in (0.7, 0.8, 0.9)}
# Means over the tasks, by column of the evaluation.
TASK_MEANS = {
    "test_auc": MEAN_AUC,
    "test_average_precision": "mean test average precision",
    "test_f1": "mean test F1",
    "test_mcc": "mean test MCC",
    "test_accuracy": "mean test accuracy",
}
PAPER_METHODS = ("clip", "cloob", *PUBLISHED_TABLES)
ALL = "all"  # the candidates of every published value
PAPER_QUERIES = {1: "one_per_molecule", 2: "true", 3: "all_images", 4: "all_images"}

SETTING = ["split", "method", "features", "direction", "queries", "candidates", "pool", "k"]
AVERAGED = ["n", "value", "low", "high", "cluster_low", "cluster_high", "chance", "chance_within_batch"]
COLUMNS = [
    "split",
    "method",
    "runs",
    "features",
    "direction",
    "queries",
    "candidates",
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
    "paper_evidence",
    "paper_source",
]

WHOLE_NUMBERS = dict.fromkeys(["pool", "k", "seeds"], "Int64")


def paper_table(number: int, runs: list[Run], confidence: float) -> pd.DataFrame:
    """One of the paper's tables, reproduced.

    Parameters
    ----------
    number : int
        1 retrieval, 2 linear probing, 3 zero-shot molecule, 4 zero-shot mechanism.
    runs : list of Run
        All runs; seeds of one split and method become one row.
    confidence : float
        Level of the intervals over tasks in table 2; those of the other tables come with the evaluations.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. Accuracies, shares and AUCs are fractions, ranks start at 1. Each value that the paper gives
        stands beside the reproduced one for the same split, features, direction, queries, pool and k among all
        candidates, or in a row of its own where nothing was reproduced. Sources and evidence marks are those of
        ``paper.csv`` (FACTS 1.2 to 1.5); no value of table 2 could be read.
    """
    rows = (
        _probing(runs, confidence) if number == 2 else average_seeds(_measures(_evaluations(runs, BENCHMARKS[number])))
    )
    return _beside_paper(rows, number, {run.split for run in runs})


def in_paper(table: pd.DataFrame, number: int) -> pd.Series:
    """Whether the rows of table `number` have the paper's queries (labels, in table 2) and candidates."""
    return (table["queries"] == PAPER_QUERIES[number]) & ((table["candidates"] == ALL) | (number == 2))


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
    nothing = dict.fromkeys(["k", "cluster_low", "cluster_high", "chance_within_batch"], np.nan)
    # With several right candidates per query the expected rank is another one.
    middle = ((once["pool"] + 1) / 2).where(once["queries"] == "one_per_molecule")
    ranks = [
        once.assign(
            **nothing,
            value=once[column],
            low=once[f"{column}_low"],
            high=once[f"{column}_high"],
            chance=middle,
            measure=measure,
        ).dropna(subset="value")
        for column, measure in (("mean_rank", MEAN_RANK), ("median_rank", MEDIAN_RANK))
    ]
    return pd.concat([accuracy, *(table for table in ranks if len(table))], ignore_index=True)


def _probing(runs: list[Run], confidence: float) -> pd.DataFrame:
    """Means over the tasks that could be probed, and the shares of them above each threshold."""
    tasks = _evaluations(runs, BENCHMARKS[2]).dropna(subset="test_auc")
    groups = [tasks[name] for name in ("split", "method", "run", "features", "labels")]
    parts = []
    for column, measure in TASK_MEANS.items():
        if column in tasks:
            parts.append(_over_tasks(tasks[column].astype(float).groupby(groups, sort=False), measure))
            parts[-1]["low"], parts[-1]["high"] = _interval_of_mean(parts[-1], confidence)
    for limit, measure in SHARE_ABOVE.items():
        above = (tasks["test_auc"] > limit).astype(float)
        parts.append(_over_tasks(above.groupby(groups, sort=False), measure))
        parts[-1]["low"], parts[-1]["high"] = _interval_of_share(parts[-1], confidence)
    rows = pd.concat(parts, ignore_index=True).rename(columns={"labels": "queries"})
    rows["chance"] = np.where(rows["measure"] == MEAN_AUC, AUC_CHANCE, np.nan)
    rows = rows.assign(direction="image_to_activity", candidates="")
    return average_seeds(rows.reindex(columns=["run", "measure", *SETTING, *AVERAGED]))


def _over_tasks(values: SeriesGroupBy, measure: str) -> pd.DataFrame:
    """Mean and spread of one measure, and the number of tasks that have it, by group."""
    summary = values.agg(["mean", "std", "count"]).rename(columns={"mean": "value", "count": "n"})
    return summary.reset_index().assign(measure=measure)


def _interval_of_mean(rows: pd.DataFrame, confidence: float) -> tuple[pd.Series, pd.Series]:
    """Student's interval of a mean over tasks; NaN for a single task, which has no spread to judge by.

    It ends where the measure does: at 1, and at 0, or -1 for MCC.
    """
    half = scipy.stats.t.ppf((1 + confidence) / 2, rows["n"] - 1) * rows["std"] / np.sqrt(rows["n"])
    least = np.where(rows["measure"] == TASK_MEANS["test_mcc"], -1.0, 0.0)
    return (rows["value"] - half).clip(lower=least), (rows["value"] + half).clip(upper=1)


def _interval_of_share(rows: pd.DataFrame, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Exact binomial interval of a share of tasks."""
    shares = zip(rows["value"], rows["n"], strict=True)
    tests = [scipy.stats.binomtest(round(value * n), n) for value, n in shares]
    bounds = [test.proportion_ci(confidence, method="exact") for test in tests]
    return tuple(np.array([(bound.low, bound.high) for bound in bounds]).reshape(-1, 2).T)


def read_tables(paths: list[str]) -> dict[int, pd.DataFrame]:
    """Tables 1 to 4 by number, with the types that `cloome.report.tables.paper_table` gives them."""
    return {number: _read_table(path) for number, path in enumerate(paths, 1)}


def _read_table(path: str) -> pd.DataFrame:
    text = ["split", "method", "features", "direction", "queries", "candidates"]
    table = read_csv(path, COLUMNS, dtype=dict.fromkeys(text, object) | WHOLE_NUMBERS)
    return table.fillna(dict.fromkeys(text, ""))


def read_paper(number: int) -> pd.DataFrame:
    """The published values of one table.

    Returns
    -------
    DataFrame
        Columns of ``paper.csv`` less ``table``; accuracies are fractions. ``evidence`` holds the marks of FACTS: P
        published, N output stored in the authors' notebook, D interval derived from hits and queries.
    """
    values = _packaged("paper.csv", {"pool": float, "k": float})
    return values[values["table"] == number].drop(columns="table").reset_index(drop=True)


def published_values(number: int) -> pd.DataFrame:
    """The same with the names of the columns of a table, ``paper``, ``paper_low`` and so on."""
    names = {name: f"paper_{name}" for name in ("low", "high", "n", "evidence", "source")} | {"value": "paper"}
    return read_paper(number).rename(columns=names).assign(candidates=ALL)


def read_peers() -> pd.DataFrame:
    """Values of others: columns name, measure, direction, k, value, sd, comparable, reason, evidence, source.

    ``comparable`` says ``partly`` or ``no`` to a comparison with the paper's benchmark, and ``reason`` why (FACTS 1.2,
    1.3 and 3).
    """
    return _packaged("peers.csv", {"k": "Int64"})


def _packaged(name: str, types: dict) -> pd.DataFrame:
    with (resources.files("cloome.report") / name).open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=types)


def _beside_paper(rows: pd.DataFrame, number: int, splits: set[str]) -> pd.DataFrame:
    paper = published_values(number)
    paper = paper[paper["split"].isin(splits)]
    paper = paper.assign(which_pool=_which_pool(paper), number=range(len(paper)))
    on = ["split", "features", "direction", "queries", "candidates", "which_pool", "k", "measure"]
    ours = rows.assign(which_pool=_which_pool(rows), k=rows["k"].astype(float))
    # The control trained on shuffled pairs and losses that the paper has not reproduce nothing of it.
    reproduces = ours["method"].isin(PAPER_METHODS)
    matched = ours[reproduces].merge(paper.drop(columns=["method", "pool", "hits"]), on=on, how="left")
    alone = paper[~paper["number"].isin(matched["number"])]
    parts = [part for part in (matched, ours[~reproduces], alone) if len(part)]
    table = pd.concat([part.astype({"features": object}) for part in parts], ignore_index=True) if parts else paper
    return table.reindex(columns=COLUMNS).astype(WHOLE_NUMBERS)


def _which_pool(rows: pd.DataFrame) -> pd.Series:
    """'whole' for the largest pool of a setting, otherwise its size: whole test sets are compared as such."""
    setting = ["split", "method", "features", "direction", "queries", "candidates"]
    largest = rows.groupby(setting, dropna=False)["pool"].transform("max")
    return rows["pool"].astype(object).where(rows["pool"] < largest, "whole")
