"""Whether each control sits at chance, as it must."""

import numpy as np
import pandas as pd
import scipy.stats

from cloome.report.runs import PROBING, Run, read_evaluation
from cloome.report.scorecard import is_shuffled, is_whole
from cloome.report.tables import ACCURACY, MEAN_AUC
from cloome.report.wording import (
    FEATURES,
    in_words,
    model_name,
    position,
    setting_in_words,
    show,
    show_interval,
    widest,
)

AUC_CHANCE = 0.5


def controls(tables: dict[int, pd.DataFrame], runs: list[Run], confidence: float) -> list[dict]:
    """Each control and where its interval lies to chance.

    Parameters
    ----------
    tables : dict of DataFrame
        The tables by number.
    runs : list of Run
        The runs, for the probing of shuffled labels.
    confidence : float
        Level of the interval of the mean AUC over tasks.

    Returns
    -------
    list of dict
        Keys control, model, setting, value, interval, chance; ``place``: ``includes`` where the interval holds chance,
        however far the value lies from it, otherwise the side on which the interval lies, ``above`` or ``below``.
    """
    rows = []
    for number in (1, 3, 4):
        table = tables[number]
        first = table[(table["measure"] == ACCURACY) & (table["k"] == 1).fillna(False) & is_whole(table)]
        repaired = first[(first["features"] == "repaired") & ~is_shuffled(first)]
        # A network trained on shuffled pairs still knows one image's plate and well from another's, so only what
        # crosses between images and molecules must sit at chance.
        crosses = first["direction"].isin(["image_to_molecule", "molecule_to_image"])
        shuffled = first[is_shuffled(first) & (first["features"] == "cloome") & crosses]
        rows += [_control(f"table {number}, molecules re-paired at random", cell) for cell in repaired.itertuples()]
        rows += [_control("trained on shuffled pairs", cell) for cell in shuffled.itertuples()]
    return rows + [row for run in runs if not run.shuffled for row in _shuffled_labels(run, confidence)]


def _control(name: str, cell) -> dict:
    low, high = widest(cell)
    return {
        "control": name,
        "model": model_name(cell),
        "setting": f"top 1, {setting_in_words(cell)}",
        "value": show(cell.reproduced, ACCURACY),
        "interval": show_interval(low, high, ACCURACY),
        "chance": show(cell.chance, ACCURACY),
        "place": position(low, high, cell.chance),
    }


def _shuffled_labels(run: Run, confidence: float) -> list[dict]:
    tasks = read_evaluation(run, PROBING).dropna(subset="test_auc")
    rows = []
    for features, values in tasks[tasks["labels"] == "shuffled"].groupby("features")["test_auc"]:
        if len(values) < 2:
            continue  # one task has no spread to judge by
        half = scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std() / np.sqrt(len(values))
        low, high = values.mean() - half, values.mean() + half
        rows.append(
            {
                "control": "table 2, activity labels shuffled",
                "model": f"{run.name}, {in_words(features, FEATURES)}",
                "setting": f"mean test AUC of {len(values)} tasks",
                "value": show(values.mean(), MEAN_AUC),
                "interval": show_interval(low, high, MEAN_AUC),
                "chance": show(AUC_CHANCE, MEAN_AUC),
                "place": position(low, high, AUC_CHANCE),
            }
        )
    return rows
