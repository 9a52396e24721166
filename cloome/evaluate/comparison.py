"""How the features compare by probing: numbers of tasks above a threshold, means, and paired tests over tasks."""

import pandas as pd

from cloome.data.paired import PAIRED, paired_by_task
from cloome.evaluate.features import CLOOME
from cloome.evaluate.probing import METRICS

ABOVE = (0.7, 0.8, 0.9)
GROUP = ["features", "labels", "protocol", "level"]
COMPARISON_COLUMNS = [
    *GROUP,
    "tasks",
    "tasks_judged",
    *(f"auc_above_{threshold}" for threshold in ABOVE),
    *(f"{kind}_{metric}" for metric in METRICS for kind in ("mean", "median")),
    *PAIRED,
]


def comparison_table(probing: pd.DataFrame) -> pd.DataFrame:
    """One row for each features and labels of `cloome.evaluate.activity.activity_table`.

    Parameters
    ----------
    probing : DataFrame
        Columns features, labels, protocol, level, task and the metrics; missing values take no part.

    Returns
    -------
    DataFrame
        tasks, tasks_judged (those with an AUC), how many of them have an AUC above 0.7, 0.8 and 0.9, mean and median
        of each metric; and beside the features ``cloome`` with true labels, over the tasks that both have: their
        number, the mean difference of the AUC (these features less ``cloome``), how many tasks these features win and
        lose, and the two-sided p-value of Wilcoxon's signed-rank test (empty where no task differs).
    """
    reference = probing[(probing["features"] == CLOOME) & (probing["labels"] == "true")].set_index("task")["test_auc"]
    rows = []
    for group, table in probing.groupby(GROUP, sort=False):
        auc = table.set_index("task")["test_auc"]
        row = dict(zip(GROUP, group, strict=True)) | {"tasks": len(auc), "tasks_judged": int(auc.notna().sum())}
        row |= {f"auc_above_{threshold}": int((auc > threshold).sum()) for threshold in ABOVE}
        row |= {f"{kind}_{metric}": getattr(table[metric], kind)() for metric in METRICS for kind in ("mean", "median")}
        if group[:2] != (CLOOME, "true"):
            row |= paired_by_task(auc, reference)
        rows.append(row)
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    whole = ["tasks_paired", "tasks_won", "tasks_lost"]
    return table.astype(dict.fromkeys(whole, "Int64"))
