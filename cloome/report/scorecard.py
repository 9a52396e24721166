"""What the page says in numbers: the scorecard, the tables by k, and whether each control sits at chance."""

import numpy as np
import pandas as pd
import scipy.stats

from cloome.config import PUBLISHED_TABLES
from cloome.report.runs import PROBING, Run, read_evaluation
from cloome.report.tables import ACCURACY, MEAN_AUC, MEAN_RANK, SHARE_ABOVE, TITLES

# The paper and its own notebook differ by 0.7 % in the number of queries (FACTS 1.4), and its representative images
# may or may not be among them.
QUERIES_APART = 0.1
SETTING = ["split", "method", "features", "direction", "queries", "pool"]
DIRECTIONS = {
    "image_to_molecule": "image → molecule",
    "molecule_to_image": "molecule → image",
    "image_to_image": "image → image",
    "image_to_activity": "image → activity",
    "well_to_compound": "well → compound",
    "well_to_mechanism": "well → mechanism",
}
QUERIES = {
    "one_per_molecule": "one image per molecule",
    "all_images": "all images",
    "wells": "wells",
    "true": "true labels",
    "shuffled": "shuffled labels",
}
FEATURES = {
    "cloome": "CLOOME",
    "intensity": "baseline: intensity",
    "cell_count": "baseline: cell count",
    "repaired": "control: re-paired",
}


def scorecard(tables: dict[int, pd.DataFrame], is_paper: bool) -> list[dict]:
    """One row per headline number: top-1 over the whole test set, and the mean AUC of probing.

    Published weights stand only in the tables for which they were published.

    Parameters
    ----------
    tables : dict of DataFrame
        The four tables by number, as of `cloome.report.tables.paper_table`.
    is_paper : bool
        Whether the screen is the paper's, so that a comparison with its values means something.
    """
    rows = []
    for number, table in tables.items():
        others = [method for method, numbers in PUBLISHED_TABLES.items() if number not in numbers]
        table = table[(table["features"] == "cloome") & ~_is_control(table) & table["reproduced"].notna()]
        table = table[~table["method"].isin(others)]
        first = (table["measure"] == ACCURACY) & (table["k"] == 1) & _is_whole(table)
        auc = (table["measure"] == MEAN_AUC) & (table["queries"] == "true")
        for cell in table[first | auc].itertuples():
            setting = [DIRECTIONS.get(cell.direction, cell.direction), QUERIES.get(cell.queries, cell.queries)]
            setting += [f"{cell.pool} candidates"] if pd.notna(cell.pool) else [f"{cell.n:.0f} tasks"]
            rows.append(
                {
                    "number": number,
                    "title": TITLES[number],
                    "measure": "top-1 accuracy" if cell.measure == ACCURACY else cell.measure,
                    "setting": ", ".join(setting),
                    "model": model_name(cell),
                    "reproduced": show(cell.reproduced, cell.measure),
                    "interval": show_interval(*widest(cell), cell.measure),
                    "spread": show_interval(cell.seed_min, cell.seed_max, cell.measure) if cell.seeds > 1 else "",
                    "chance": show(cell.chance, cell.measure),
                    "paper": show(cell.paper, cell.measure),
                    "paper_interval": show_interval(cell.paper_low, cell.paper_high, cell.measure),
                    "verdict": verdict(cell, is_paper),
                }
            )
    return rows


def by_k(table: pd.DataFrame) -> dict:
    """A table with one row per setting and one column per k; controls are left out, they have a section of their own.

    Returns
    -------
    dict
        ``ks``: list of int; ``rows``: list of dict with ``cells``: per k the reproduced and the paper's value;
        ``has_batches``: whether there is a chance within batch.
    """
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, "paper", "paper_low", "paper_high"])))
    table = table[~_is_control(table) & (table["features"] != "repaired")]
    accuracy = table[table["measure"] == ACCURACY]
    ks = sorted(int(k) for k in accuracy["k"].dropna().unique())
    ranks = {_setting(cell): cell for cell in table[table["measure"] == MEAN_RANK].itertuples()}
    rows = []
    for _, group in accuracy.groupby(SETTING, dropna=False, sort=False):
        first = next(group.itertuples())
        cell_of_k = {int(cell.k): cell for cell in group.itertuples()}
        setting = [DIRECTIONS[first.direction], QUERIES.get(first.queries, first.queries)]
        setting += [f"of {first.pool:.0f}"] if pd.notna(first.pool) else []
        rows.append(
            _names(first)
            | {"setting": ", ".join(filter(None, setting)), "cells": [_cell(cell_of_k.get(k)) for k in ks]}
            | {"rank": _cell(ranks.get(_setting(first)))}
        )
    return {"ks": ks, "rows": rows, "has_batches": any(cell["batch"] for row in rows for cell in row["cells"])}


def probing_rows(table: pd.DataFrame) -> list[dict]:
    """Table 2: one row per model, features and kind of labels, with the mean AUC and the share of good tasks."""
    rows = []
    table = table[~_is_control(table)]
    for _, group in table.groupby(["split", "method", "features", "queries"], dropna=False, sort=False):
        first = next(group.itertuples())
        cell_of_measure = {cell.measure: cell for cell in group.itertuples()}
        tasks = first.paper_n if pd.isna(first.n) else first.n
        rows.append(
            _names(first)
            | {"queries": QUERIES[first.queries], "tasks": "" if pd.isna(tasks) else f"{tasks:.0f}"}
            | {"cells": [_cell(cell_of_measure.get(measure)) for measure in (MEAN_AUC, SHARE_ABOVE)]}
        )
    return rows


def _names(cell) -> dict:
    """Who a row is about: a model of this experiment, or a value of others that has no counterpart in it."""
    alone = pd.isna(cell.reproduced)
    return {
        "model": "Published, without a counterpart here" if alone else model_name(cell),
        "features": model_name(cell) if alone else FEATURES.get(cell.features, cell.features),
        "paper_only": alone,
    }


def controls(tables: dict[int, pd.DataFrame], runs: list[Run], confidence: float) -> list[dict]:
    """Each control, its interval, and whether it passes.

    Chance must lie in the interval. Molecules re-paired at random may also fall below it: the better a model, the
    surer it ranks the true partner, now a wrong answer, above the assigned one.

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
        Keys control, model, setting, value, interval, chance, place (of the interval to chance), passed.
    """
    rows = []
    for number in (1, 3, 4):
        table = tables[number]
        first = table[(table["measure"] == ACCURACY) & (table["k"] == 1) & _is_whole(table)]
        repaired = first[(first["features"] == "repaired") & ~_is_control(first)]
        # A network trained on shuffled pairs still knows one image's plate and well from another's, so only what
        # crosses between images and molecules must sit at chance.
        crosses = first["direction"].isin(["image_to_molecule", "molecule_to_image"])
        shuffled = first[_is_control(first) & (first["features"] == "cloome") & crosses]
        rows += [_repaired(f"table {number}, molecules re-paired at random", cell) for cell in repaired.itertuples()]
        rows += [_control("trained on shuffled pairs", cell) for cell in shuffled.itertuples()]
    return rows + [row for run in runs if not run.shuffled for row in _shuffled_labels(run, confidence)]


def _control(name: str, cell) -> dict:
    low, high = widest(cell)
    place = _position(low, high, cell.chance, cell.chance, "includes")
    return {
        "control": name,
        "model": model_name(cell),
        "setting": f"{DIRECTIONS[cell.direction]}, {QUERIES.get(cell.queries, cell.queries)}, top 1 of {cell.pool}",
        "value": show(cell.reproduced, ACCURACY),
        "interval": show_interval(low, high, ACCURACY),
        "chance": show(cell.chance, ACCURACY),
        "place": place,
        "passed": place == "includes",
    }


def _repaired(name: str, cell) -> dict:
    row = _control(name, cell)
    return row | {"passed": row["place"] != "above"}


def _shuffled_labels(run: Run, confidence: float) -> list[dict]:
    tasks = read_evaluation(run, PROBING).dropna(subset="test_auc")
    rows = []
    for features, values in tasks[tasks["labels"] == "shuffled"].groupby("features")["test_auc"]:
        if len(values) < 2:
            continue  # one task has no spread to judge by
        half = scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std() / np.sqrt(len(values))
        low, high = values.mean() - half, values.mean() + half
        place = _position(low, high, 0.5, 0.5, "includes")
        rows.append(
            {
                "control": "table 2, activity labels shuffled",
                "model": f"{run.name}, {FEATURES.get(features, features)}",
                "setting": f"mean test AUC of {len(values)} tasks",
                "value": show(values.mean(), MEAN_AUC),
                "interval": show_interval(low, high, MEAN_AUC),
                "chance": show(0.5, MEAN_AUC),
                "place": place,
                "passed": place == "includes",
            }
        )
    return rows


def verdict(cell, is_paper: bool) -> str:
    """Say in words where a value lies: against chance, and against the paper where that is fair."""
    if pd.isna(cell.chance):
        return ""
    low, high = widest(cell)
    words = [] if cell.measure == MEAN_AUC else [f"{cell.reproduced / cell.chance:.1f} x chance"]
    if pd.notna(low):
        words.append(f"interval {_position(low, high, cell.chance, cell.chance, 'includes')} chance")
    if is_paper and pd.notna(cell.paper_low) and pd.notna(low):
        alike = abs(cell.n / cell.paper_n - 1) <= QUERIES_APART
        place = _position(low, high, cell.paper_low, cell.paper_high, "meets")
        other = f"other number of queries than the paper ({cell.n:.0f}, {cell.paper_n:.0f}): not comparable"
        words.append(f"interval {place} the paper's" if alike else other)
    return ", ".join(words)


def _position(low: float, high: float, other_low: float, other_high: float, touching: str) -> str:
    if low > other_high:
        return "above"
    return "below" if high < other_low else touching


def widest(cell) -> tuple[float, float]:
    """The wider of the exact interval and the one clustered by molecule; NaN where there is neither."""
    lows, highs = pd.Series([cell.low, cell.cluster_low]), pd.Series([cell.high, cell.cluster_high])
    return float(lows.min()), float(highs.max())


def model_name(cell) -> str:
    """Split, method and number of seeds in words; for a value of others their method."""
    if pd.isna(cell.reproduced):
        return f"{cell.method} ({cell.split} split)" if cell.split and pd.notna(cell.split) else cell.method
    return f"{cell.split} split, {cell.method}" + (f", mean of {cell.seeds} seeds" if cell.seeds > 1 else "")


def show(value: float, measure: str) -> str:
    """A number for people: accuracies in percent, AUCs with three digits, ranks as they are."""
    if pd.isna(value):
        return ""
    if measure == MEAN_AUC:
        return f"{value:.3f}"
    if measure.endswith("rank"):
        return f"{value:.1f}"
    percent = 100 * value
    return (f"{percent:#.3g}".removesuffix(".") if percent >= 1 else f"{percent:.3g}") + " %"


def show_interval(low: float, high: float, measure: str) -> str:
    """Two bounds in brackets, or nothing."""
    if pd.isna(low) or pd.isna(high):
        return ""
    return "[" + ", ".join(show(bound, measure).removesuffix(" %") for bound in (low, high)) + "]"


def _setting(cell) -> tuple[str, ...]:
    return tuple(str(getattr(cell, name)) for name in SETTING)


def _cell(cell) -> dict:
    if cell is None:
        return dict.fromkeys(["reproduced", "interval", "chance", "batch", "paper", "paper_interval"], "")
    return {
        "reproduced": show(cell.reproduced, cell.measure),
        "interval": show_interval(*widest(cell), cell.measure),
        "chance": show(cell.chance, cell.measure),
        "batch": show(cell.chance_within_batch, cell.measure),
        "paper": show(cell.paper, cell.measure),
        "paper_interval": show_interval(cell.paper_low, cell.paper_high, cell.measure),
    }


def _is_control(table: pd.DataFrame) -> pd.Series:
    return table["method"].astype(str).str.endswith("-shuffled")


def _is_whole(table: pd.DataFrame) -> pd.Series:
    """Whether a row has the largest pool of its setting."""
    setting = ["split", "method", "features", "direction", "queries", "measure", "k"]
    pool = table["pool"].astype(float)
    return pool == pool.groupby([table[name] for name in setting], dropna=False).transform("max")
