"""The evaluations that the paper has not, as tables of the page: one row for each model and kind of features."""

from collections.abc import Callable

import pandas as pd

from cloome.data.evaluation import AVERAGE_PRECISION_COLUMNS, BATCH_EFFECTS_COLUMNS
from cloome.report.method_comparison import method_comparison
from cloome.report.runs import Run, read_other
from cloome.report.tables import SHARE_ABOVE
from cloome.report.wording import FEATURES, QUERIES, in_words, show, show_interval

SHARE, PRECISION = "share", "mean average precision"
OF_RUNS = "The files {}.csv of the runs hold more. Rows that are the same for all models of a split stand once."
ABOVE = {f"auc_above_{limit}": f"tasks with AUC > {limit}" for limit in SHARE_ABOVE}
COMPARISON_COLUMNS = [
    *("features", "labels", "tasks_judged", *ABOVE, "mean_test_auc", "median_test_auc"),
    *("auc_difference", "tasks_won", "tasks_lost", "wilcoxon_p"),
]


def other_tables(runs: list[Run]) -> list[dict]:
    """What plate and position explain, average precision, and features and methods compared by probing.

    Returns
    -------
    list of dict
        ``name``, ``title``, ``text``, ``files``: where more stands; ``columns``: list of str; ``rows``: list of dict
        with model, features and ``cells``, each a dict of a ``value`` and smaller ``notes``.
    """
    return [
        {
            "name": "batch_effects",
            "files": OF_RUNS.format("batch_effects"),
            "title": "How much plate and position alone explain",
            "text": "What the nearest well of a test well shares with it, with an interval clustered by molecule; the "
            "share that chance gives stands below. The rows of plate and position need no image. Features far above "
            "chance in the columns of plate, batch, row or column know where a well lies.",
            **_wide(_read(runs, "batch_effects", BATCH_EFFECTS_COLUMNS), "measure", _batch_effect),
        },
        {
            "name": "average_precision",
            "files": OF_RUNS.format("average_precision"),
            "title": "Mean average precision of replicates and mechanisms across plates",
            "text": "1: all right wells come first. Only wells on other plates are ranked; for mechanisms, only those "
            "of other compounds. Brackets: interval clustered by molecule. Significant: share of molecules that do "
            "better than random orders, corrected for the number of molecules.",
            **_wide(_read(runs, "average_precision", AVERAGE_PRECISION_COLUMNS), "task", _average_precision),
        },
        {
            "name": "probing_comparison",
            "files": OF_RUNS.format("probing_comparison"),
            "title": "Probing: features compared over the same tasks",
            "text": "Difference: mean test AUC of the features less that of CLOOME, over the tasks that both have. "
            "p: Wilcoxon's signed-rank test, two-sided, not corrected for the number of comparisons.",
            **_comparison(_read(runs, "probing_comparison", COMPARISON_COLUMNS)),
        },
        {
            "name": "methods",
            "files": "As numbers: methods.csv beside this page.",
            "title": "Probing: methods compared over the same tasks",
            "text": "Difference: mean test AUC of the first method less that of the second, over the tasks that both "
            "have, each task by its mean over the seeds. p: Wilcoxon's signed-rank test, two-sided; adjusted: for the "
            "number of pairs of the split (Benjamini and Hochberg).",
            **_methods(method_comparison(runs)),
        },
    ]


def _read(runs: list[Run], benchmark: str, columns: list[str]) -> pd.DataFrame:
    """A table of all runs. A baseline that is the same for all models of a split stands with the first of them."""
    parts = [read_other(run, benchmark, columns) for run in runs]
    # Tables without rows carry no types, and would turn the numbers of the others into objects.
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return table[(table["features"] == "cloome") | ~table.duplicated(["split", *columns])]


def _wide(table: pd.DataFrame, kind: str, cell: Callable) -> dict:
    """One column for each entry of the column `kind`."""
    kinds = list(dict.fromkeys(table[kind]))
    rows = []
    for (model, features), group in table.groupby(["model", "features"], sort=False):
        cells = {getattr(row, kind): cell(row) for row in group.itertuples()}
        empty = {"value": "", "notes": []}
        rows.append(_names(model, features) | {"cells": [cells.get(name, empty) for name in kinds]})
    return {"columns": [name.replace("_", " ") for name in kinds], "rows": rows}


def _batch_effect(row) -> dict:
    interval = show_interval(row.cluster_low, row.cluster_high, SHARE)
    return {"value": show(row.value, SHARE), "notes": [interval, f"chance {show(row.chance, SHARE)}"]}


def _average_precision(row) -> dict:
    notes = [show_interval(row.cluster_low, row.cluster_high, PRECISION), f"chance {show(row.chance, PRECISION)}"]
    return {
        "value": show(row.value, PRECISION),
        "notes": [*notes, f"significant {show(row.significant, SHARE)}"],
    }


def _comparison(table: pd.DataFrame) -> dict:
    columns = ["labels", "tasks", *ABOVE.values(), "mean AUC", "median AUC", "difference", "tasks won : lost", "p"]
    rows = []
    for _, row in table.iterrows():
        paired = pd.notna(row.auc_difference)
        values = [in_words(row.labels, QUERIES), f"{row.tasks_judged}", *(f"{row[name]}" for name in ABOVE)]
        values += [f"{row.mean_test_auc:.3f}", f"{row.median_test_auc:.3f}"]
        values += [f"{row.auc_difference:+.3f}", f"{row.tasks_won:.0f} : {row.tasks_lost:.0f}"] if paired else ["", ""]
        values.append(f"{row.wilcoxon_p:.2g}" if pd.notna(row.wilcoxon_p) else "")
        cells = [{"value": value, "notes": []} for value in values]
        rows.append(_names(row.model, row.features) | {"cells": cells})
    return {"columns": columns, "rows": rows}


def _methods(table: pd.DataFrame) -> dict:
    columns = ["tasks", "difference", "tasks won : lost", "p", "adjusted p"]
    rows = []
    for row in table.itertuples():
        paired = [f"{row.auc_difference:+.3f}", f"{row.tasks_won} : {row.tasks_lost}"] if row.tasks_paired else ["", ""]
        values = [f"{row.tasks_paired}", *paired]
        values += [f"{p:.2g}" if pd.notna(p) else "" for p in (row.wilcoxon_p, row.adjusted_p)]
        pair = {"model": f"{row.split} split", "features": f"{row.method} less {row.other_method}"}
        rows.append(pair | {"cells": [{"value": value, "notes": []} for value in values]})
    return {"columns": columns, "rows": rows}


def _names(model: str, features: str) -> dict:
    return {"model": model, "features": in_words(features, FEATURES)}
