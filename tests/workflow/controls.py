"""What every evaluation of a screen must hold: no empty table, the baselines of place and count, controls at chance."""

from pathlib import Path

import pandas as pd

REPAIRED = ["retrieval", "zero_shot_molecule", "zero_shot_mechanism"]
OTHERS = ["replicate_wells", "average_precision", "batch_effects"]
PROBED = ["probing", "probing_comparison"]
BASELINES = {"plate", "position", "plate_and_position", "cell_count", "intensity"}
AT_CHANCE = 0.9  # of the rows of a control; an interval of 95 % misses one in twenty


def problems(run: Path, probed: bool) -> list[str]:
    """What is wrong with the evaluation of a run; `probed`: whether the screen has activity labels."""
    found = []
    for name in REPAIRED + OTHERS + PROBED * probed:
        table = pd.read_csv(run / f"evaluation/{name}.csv")
        if table.empty:
            found.append(f"{name} has no rows")
        elif name != "retrieval" and not set(table["features"]) >= BASELINES:
            found.append(f"{name} lacks {', '.join(sorted(BASELINES - set(table['features'])))}")
        if name in REPAIRED:
            found += off_chance(name, table[table["features"] == "repaired"])
    if probed:
        found += halves_for_missing(pd.read_csv(run / "evaluation/probing.csv"))
    return found


def off_chance(name: str, table: pd.DataFrame) -> list[str]:
    """A complaint if more rows than intervals allow lie off their chance level."""
    low, high = table[["low", "cluster_low"]].min(axis=1), table[["high", "cluster_high"]].max(axis=1)
    inside = (low <= table["chance"]) & (table["chance"] <= high)
    if table.empty:
        return [f"{name}: no control"]
    if inside.mean() >= AT_CHANCE:
        return []
    return [f"{name}: control off chance in {(~inside).sum()} of {len(table)} rows"]


def halves_for_missing(probing: pd.DataFrame) -> list[str]:
    """A complaint if an assay that could not be judged has a number."""
    unjudged = probing["note"].fillna("").str.contains("not fitted|test lacks a class")
    return ["probing: a number stands for a missing value"] if probing.loc[unjudged, "test_auc"].notna().any() else []
