"""Which method predicts activity better, task by task: the runs of a split against each other."""

from itertools import combinations

import numpy as np
import pandas as pd
import scipy.stats

from cloome.data.paired import PAIRED, paired_by_task
from cloome.report.runs import PROBING, PROBING_COLUMNS, Run, read_other

COLUMNS = ["split", "method", "other_method", "seeds", *PAIRED, "adjusted_p"]


def method_comparison(runs: list[Run]) -> pd.DataFrame:
    """Every two methods of a split, controls included, over the tasks that both have.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. The AUC of a task is the mean over the seeds of a method (``seeds``: the fewer of the two
        methods), with the trained embedding and true labels. ``auc_difference``: ``method`` less ``other_method``.
        ``adjusted_p``: the p-values of a split corrected for their number (Benjamini and Hochberg).
    """
    tables = [read_other(run, PROBING, PROBING_COLUMNS).assign(method=run.method, seed=run.seed) for run in runs]
    tables = [table[(table["features"] == "cloome") & (table["labels"] == "true")] for table in tables]
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    probing = pd.concat(tables, ignore_index=True)
    rows = [row for split, table in probing.groupby("split", sort=False) for row in _pairs(split, table)]
    whole_numbers = dict.fromkeys(["seeds", "tasks_paired", "tasks_won", "tasks_lost"], "Int64")
    return pd.DataFrame(rows, columns=COLUMNS).astype(whole_numbers)


def _pairs(split: str, probing: pd.DataFrame) -> list[dict]:
    by_method = {
        method: (table.groupby("task")["test_auc"].mean(), table["seed"].nunique())
        for method, table in probing.groupby("method", sort=False)
    }
    rows = []
    for (method, (auc, seeds)), (other, (reference, other_seeds)) in combinations(by_method.items(), 2):
        names = {"split": split, "method": method, "other_method": other, "seeds": min(seeds, other_seeds)}
        rows.append(names | paired_by_task(auc, reference))
    p_values = np.array([row["wilcoxon_p"] for row in rows], dtype=float)
    tested = np.isfinite(p_values)
    adjusted = np.full(len(rows), np.nan)
    if tested.any():
        adjusted[tested] = scipy.stats.false_discovery_control(p_values[tested])
    return [row | {"adjusted_p": value} for row, value in zip(rows, adjusted, strict=True)]
