"""Whether each control sits at chance, as it must."""

import pandas as pd

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


def controls(tables: dict[int, pd.DataFrame]) -> list[dict]:
    """Each control and where its interval lies to chance.

    Parameters
    ----------
    tables : dict of DataFrame
        The tables by number.

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
        rows += [_ranking(f"table {number}, molecules re-paired at random", cell) for cell in repaired.itertuples()]
        rows += [_ranking("trained on shuffled pairs", cell) for cell in shuffled.itertuples()]
    return rows + [_shuffled_labels(cell) for cell in _probed_with_shuffled_labels(tables[2]).itertuples()]


def _ranking(name: str, cell) -> dict:
    return {"control": name, "model": model_name(cell), "setting": f"top 1, {setting_in_words(cell)}"} | _place(cell)


def _shuffled_labels(cell) -> dict:
    return {
        "control": "table 2, activity labels shuffled",
        "model": f"{model_name(cell)}, {in_words(cell.features, FEATURES)}",
        "setting": f"mean test AUC of {cell.n:.0f} tasks",
    } | _place(cell)


def _place(cell) -> dict:
    low, high = widest(cell)
    return {
        "value": show(cell.reproduced, cell.measure),
        "interval": show_interval(low, high, cell.measure),
        "chance": show(cell.chance, cell.measure),
        "place": position(low, high, cell.chance),
    }


def _probed_with_shuffled_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Mean AUCs of shuffled labels; that of a single task has no interval to judge by."""
    of_labels = (table["measure"] == MEAN_AUC) & (table["queries"] == "shuffled") & table["low"].notna()
    return table[of_labels & ~is_shuffled(table)]
