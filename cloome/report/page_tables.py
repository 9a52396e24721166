"""The paper's tables as the page shows them, by k; probing; and the values of others."""

import pandas as pd

from cloome.report.scorecard import is_shuffled
from cloome.report.tables import ACCURACY, MEAN_AUC, MEAN_RANK, MEDIAN_RANK, SHARE_ABOVE, TASK_MEANS
from cloome.report.wording import (
    DIRECTIONS,
    FEATURES,
    QUERIES,
    in_words,
    model_name,
    setting_in_words,
    show,
    show_interval,
    show_spread,
    widest,
)

SETTING = ["split", "method", "features", "direction", "queries", "candidates", "pool"]
PROBING_MEASURES = [*TASK_MEANS.values(), *SHARE_ABOVE.values()]


def by_k(table: pd.DataFrame) -> dict:
    """A table with one row per setting and one column per k; controls are left out, they have a section of their own.

    Returns
    -------
    dict
        ``ks``: list of int; ``rows``: list of dict with ``cells``: per k the reproduced and the paper's value, and
        ``ranks``: those of the mean and the median rank; ``has_batches``: whether there is a chance within batch.
    """
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, "paper", "paper_low", "paper_high"])))
    table = table[~is_shuffled(table) & (table["features"] != "repaired")]
    accuracy = table[table["measure"] == ACCURACY]
    ks = sorted(int(k) for k in accuracy["k"].dropna().unique())
    is_rank = table["measure"].isin([MEAN_RANK, MEDIAN_RANK])
    ranks = {(_setting(cell), cell.measure): cell for cell in table[is_rank].itertuples()}
    rows = []
    for _, group in accuracy.groupby(SETTING, dropna=False, sort=False):
        first = next(group.itertuples())
        cell_of_k = {int(cell.k): cell for cell in group.itertuples()}
        rows.append(
            _names(first)
            | {"setting": setting_in_words(first), "cells": [_cell(cell_of_k.get(k)) for k in ks]}
            | {"ranks": [_cell(ranks.get((_setting(first), measure))) for measure in (MEAN_RANK, MEDIAN_RANK)]}
        )
    return {"ks": ks, "rows": rows, "has_batches": any(cell["batch"] for row in rows for cell in row["cells"])}


def probing_table(table: pd.DataFrame) -> dict:
    """Table 2: one row per model, features and kind of labels.

    Returns
    -------
    dict
        ``measures``: those that some row has; ``rows``: list of dict with ``cells``, one for each of them.
    """
    table = table[~is_shuffled(table) & table["reproduced"].notna()]
    measures = [measure for measure in PROBING_MEASURES if (table["measure"] == measure).any()]
    rows = []
    for _, group in table.groupby(["split", "method", "features", "queries"], dropna=False, sort=False):
        first = next(group.itertuples())
        cell_of_measure = {cell.measure: cell for cell in group.itertuples()}
        tasks = cell_of_measure[MEAN_AUC].n
        rows.append(
            _names(first)
            | {"queries": in_words(first.queries, QUERIES), "tasks": f"{tasks:.0f}"}
            | {"cells": [_cell(cell_of_measure.get(measure)) for measure in measures]}
        )
    return {"measures": measures, "rows": rows}


def peer_rows(peers: pd.DataFrame) -> list[dict]:
    """Values of others, the accuracies of one method and direction in one row.

    Returns
    -------
    list of dict
        Keys name, measure, direction, values, comparable, reason, evidence, source.
    """
    rows = []
    same = ["name", "measure", "direction", "comparable", "reason", "evidence", "source"]
    for key, group in peers.groupby(same, dropna=False, sort=False):
        row = {name: "" if pd.isna(value) else value for name, value in zip(same, key, strict=True)}
        ks = [f"{k}" for k in group["k"].dropna()]
        row["measure"] += f", k = {', '.join(ks)}" if ks else ""
        row["direction"] = DIRECTIONS.get(row["direction"], "")
        row["values"] = " / ".join(_peer_value(cell) for cell in group.itertuples())
        rows.append(row)
    return rows


def _peer_value(cell) -> str:
    if cell.measure.startswith("gain"):
        return f"{cell.value:+g}"
    if cell.measure.endswith(", times"):
        return f"{cell.value:g}"
    value = show(cell.value, cell.measure)
    return value if pd.isna(cell.sd) else f"{value.removesuffix(' %')} ± {100 * cell.sd:.2f} %"


def _names(cell) -> dict:
    """Who a row is about: a model of this experiment, or a published value that has no counterpart in it."""
    alone = pd.isna(cell.reproduced)
    return {
        "model": "" if alone else model_name(cell),
        "features": model_name(cell) if alone else in_words(cell.features, FEATURES),
        "paper_only": alone,
    }


def _setting(cell) -> tuple[str, ...]:
    return tuple(str(getattr(cell, name)) for name in SETTING)


def _cell(cell) -> dict:
    if cell is None:
        return dict.fromkeys(["reproduced", "interval", "seeds", "chance", "batch", "paper", "paper_interval"], "")
    return {
        "reproduced": show(cell.reproduced, cell.measure),
        "interval": show_interval(*widest(cell), cell.measure),
        "seeds": show_spread(cell, cell.measure),
        "chance": show(cell.chance, cell.measure),
        "batch": show(cell.chance_within_batch, cell.measure),
        "paper": show(cell.paper, cell.measure),
        "paper_interval": show_interval(cell.paper_low, cell.paper_high, cell.measure),
    }
