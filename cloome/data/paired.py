"""Two ways of predicting activity, compared over the tasks that both have."""

import pandas as pd
import scipy.stats

PAIRED = ["tasks_paired", "auc_difference", "tasks_won", "tasks_lost", "wilcoxon_p"]


def paired_by_task(auc: pd.Series, reference: pd.Series) -> dict:
    """Compare the AUCs of one with those of a reference, both indexed by task; missing ones take no part.

    Returns
    -------
    dict
        By `PAIRED`: tasks that both have, mean difference (less the reference), tasks won and lost, and the two-sided
        p-value of Wilcoxon's signed-rank test, None where no task differs.
    """
    difference = (auc - reference).dropna()
    test = scipy.stats.wilcoxon(difference).pvalue if (difference != 0).any() else None
    values = len(difference), difference.mean(), int((difference > 0).sum()), int((difference < 0).sum()), test
    return dict(zip(PAIRED, values, strict=True))
