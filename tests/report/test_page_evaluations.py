"""The evaluations that the paper has not: one row for each model and kind of features."""

import pandas as pd

from cloome.data.files import write_csv
from cloome.report.page_evaluations import COMPARISON_COLUMNS, other_tables
from cloome.report.runs import find_runs


def write(screen, run: int, name: str, rows: list[dict]) -> None:
    write_csv(pd.DataFrame(rows), screen.runs[run] / "evaluation" / f"{name}.csv")


def shown(screen, name: str, runs: int = 3) -> dict:
    return next(table for table in other_tables(find_runs(screen.runs[:runs])) if table["name"] == name)


def batch_effect(features: str, measure: str, value: float) -> dict:
    interval = {"cluster_low": 0.4, "cluster_high": 0.6}
    return {"features": features, "measure": measure, "value": value, **interval, "chance": 0.1, "n": 44}


def test_each_measure_of_batch_effects_is_a_column_with_its_chance(screen):
    rows = [batch_effect("cloome", "nearest_on_same_plate", 0.5), batch_effect("cloome", "plate_classified", 0.75)]
    write(screen, 0, "batch_effects", [*rows, batch_effect("plate", "nearest_on_same_plate", 1.0)])
    table = shown(screen, "batch_effects", runs=1)
    assert table["columns"] == ["nearest on same plate", "plate classified"]
    model, plate = table["rows"]
    assert (model["model"], model["features"]) == ("random split, cloob, seed 0", "CLOOME")
    assert model["cells"][0] == {"value": "50.0 %", "notes": ["[40.0, 60.0]", "chance 10.0 %"]}
    assert plate["cells"][1] == {"value": "", "notes": []}  # missing, and not 0


def test_a_baseline_that_is_the_same_for_all_models_of_a_split_stands_once(screen):
    for run, value in enumerate((0.5, 0.5, 0.7)):
        rows = [batch_effect("cloome", "plate_classified", value), batch_effect("plate", "plate_classified", 1.0)]
        write(screen, run, "batch_effects", rows)
    features = [row["features"] for row in shown(screen, "batch_effects")["rows"]]
    assert features == ["CLOOME", "baseline: plate alone", "CLOOME", "CLOOME"]


def test_average_precision_is_shown_with_interval_chance_and_share_of_significant_molecules(screen):
    row = {"features": "cloome", "task": "replicates", "pool": 112, "right": 1.0, "n": 44, "clusters": 22}
    row |= {"value": 0.25, "cluster_low": 0.2, "cluster_high": 0.3, "chance": 0.05, "significant": 0.5}
    write(screen, 0, "average_precision", [row])
    (shown_row,) = shown(screen, "average_precision", runs=1)["rows"]
    notes = ["[0.200, 0.300]", "chance 0.050", "significant 50.0 %"]
    assert shown_row["cells"] == [{"value": "0.250", "notes": notes}]


def test_features_are_compared_over_tasks_with_a_test_and_the_number_above_each_threshold(screen):
    model = dict.fromkeys(COMPARISON_COLUMNS) | {"features": "cloome", "labels": "true", "tasks_judged": 12}
    model |= {"auc_above_0.7": 5, "auc_above_0.8": 3, "auc_above_0.9": 1, "mean_test_auc": 0.7, "median_test_auc": 0.6}
    paired = {"auc_difference": -0.04, "tasks_won": 4, "tasks_lost": 8, "wilcoxon_p": 0.031}
    write(screen, 0, "probing_comparison", [model, model | {"features": "cell_count"} | paired])
    rows = shown(screen, "probing_comparison", runs=1)["rows"]
    first, second = ([cell["value"] for cell in row["cells"]] for row in rows)
    assert first == ["true labels", "12", "5", "3", "1", "0.700", "0.600", "", "", ""]
    assert second[-3:] == ["-0.040", "4 : 8", "0.031"]


def test_evaluations_without_rows_give_tables_without_rows(screen):
    assert [table["rows"] for table in other_tables(find_runs(screen.runs))] == [[], [], [], []]
