"""The paper's tables: what stands beside what, and how seeds become one row."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from cloome.cli import main
from cloome.errors import FormatError
from cloome.report.runs import find_runs
from cloome.report.tables import (
    ACCURACY,
    COLUMNS,
    MEAN_AUC,
    MEAN_RANK,
    SHARE_ABOVE,
    TASK_MEANS,
    collect,
    paper_table,
)


def made(number: int, folders: list) -> pd.DataFrame:
    """A table of the runs in these folders, with intervals of 95 %."""
    return paper_table(number, find_runs(folders), 0.95)


def row(table: pd.DataFrame, **wanted) -> pd.Series:
    found = table[np.logical_and.reduce([(table[name] == value).fillna(False) for name, value in wanted.items()])]
    assert len(found) == 1, found
    return found.iloc[0]


def test_two_seeds_become_one_row_with_their_mean_spread_and_mean_bounds(screen):
    table = made(1, screen.runs)
    cell = row(table, method="cloob", direction="image_to_molecule", measure=ACCURACY, k=1)
    assert (cell.seeds, cell.reproduced, cell.seed_min, cell.seed_max) == (2, 0.625, 0.5, 0.75)
    assert cell.runs == "random-cloob-seed0 random-cloob-seed1"
    assert (cell.low, cell.high) == pytest.approx((0.425, 0.825))  # (0.3 + 0.55) / 2 and (0.7 + 0.95) / 2
    assert cell.n == 8  # the same queries twice, not sixteen


def test_one_run_keeps_its_own_interval(screen):
    cell = row(made(3, screen.runs[:1]), method="cloob", k=1)
    assert (cell.low, cell.high, cell.cluster_low, cell.cluster_high) == pytest.approx((0.3, 0.7, 0.2, 0.8))


def test_the_papers_value_stands_beside_the_same_split_direction_and_k(screen):
    cell = row(made(3, screen.runs), method="cloob", k=1)
    assert (cell.paper, cell.paper_low, cell.paper_high, cell.paper_n) == (0.184, 0.181, 0.188, 43778)
    table = made(1, screen.runs)
    there = row(table, method="cloob", direction="image_to_molecule", measure=ACCURACY, k=1)
    back = row(table, method="cloob", direction="molecule_to_image", measure=ACCURACY, k=1)
    assert (there.paper, back.paper) == (0.03026, 0.0331)
    assert row(table, method="cloob", direction="image_to_molecule", measure=MEAN_RANK).paper == 673.30


def test_the_control_and_the_baselines_get_no_value_of_the_paper(screen, accuracy):
    screen.write(0, "zero_shot_molecule", [accuracy(0.2, features="intensity", direction="image_to_image")])
    table = made(3, [screen.runs[0], screen.runs[2]])
    assert pd.isna(row(table, method="cloob-shuffled", k=1).paper)
    assert pd.isna(row(table, features="intensity", k=1).paper)


def renamed(screen, number: int, name: str) -> None:
    """Give the folder of a run another name."""
    screen.runs[number] = screen.runs[number].rename(screen.runs[number].with_name(name))


@pytest.mark.parametrize("method", ["siglip", "cwcl"])
def test_a_loss_that_the_paper_has_not_gets_no_value_of_it(screen, method):
    renamed(screen, 0, f"random-{method}-seed0")
    table = made(3, screen.runs[:1])
    assert pd.isna(row(table, method=method, k=1).paper)
    assert row(table, features="cloome", method="CLOOME", k=1).paper == 0.184


def test_the_papers_value_stands_beside_published_weights(screen):
    renamed(screen, 0, "random-published_retrieval-seed0")
    assert row(made(3, screen.runs[:1]), method="published_retrieval", k=1).paper == 0.184


def test_a_value_of_the_paper_without_a_reproduced_one_has_its_own_row(screen):
    table = made(3, screen.runs)
    other = row(table, features="gapnet", k=1)
    assert (other.paper, other.split) == (0.00361, "random")
    assert pd.isna(other.reproduced)
    assert set(table["split"]) == {"random"}  # no run has the scaffold split


def test_only_the_largest_pool_is_compared_with_the_papers_whole_test_set(screen, accuracy):
    rows = [accuracy(0.5, pool=300, k=1), accuracy(0.6, pool=100, k=1), accuracy(0.7, pool=10, k=1)]
    screen.write(0, "retrieval", rows)
    table = made(1, screen.runs[:1])
    table = table[(table["method"] == "cloob") & (table["measure"] == ACCURACY)].set_index("pool")["paper"]
    assert (table[300], table[100]) == (0.03026, 0.1021)
    assert pd.isna(table[10])


def test_probing_counts_tasks_above_the_threshold_and_keeps_the_labels_a_word(screen):
    tasks = [{"features": "cloome", "labels": "true", "test_auc": value} for value in (0.95, 0.85, 0.6, 0.9, np.nan)]
    screen.write(0, "probing", tasks)
    table = made(2, screen.runs)
    auc, share = (row(table, method="cloob", measure=measure) for measure in (MEAN_AUC, SHARE_ABOVE[0.9]))
    assert (auc.reproduced, auc.n, auc.chance) == (pytest.approx(0.825), 4, 0.5)
    assert (share.reproduced, share.n, share.queries) == (0.25, 4, "true")
    others = [row(table, method="cloob", measure=SHARE_ABOVE[limit]).reproduced for limit in (0.7, 0.8)]
    assert others == [0.75, 0.75]


def test_probing_averages_each_score_over_the_tasks_that_have_it(screen):
    names = ["test_auc", "test_average_precision", "test_f1"]
    scores = [(0.9, 0.5, np.nan), (0.7, 0.25, 0.4), (np.nan, np.nan, np.nan)]
    tasks = [{"features": "cloome", "labels": "true"} | dict(zip(names, values, strict=True)) for values in scores]
    screen.write(0, "probing", tasks)
    table = made(2, screen.runs)
    cells = {name: row(table, method="cloob", measure=TASK_MEANS[name]) for name in names}
    assert {name: (cell.reproduced, cell.n) for name, cell in cells.items()} == {
        "test_auc": (0.8, 2),
        "test_average_precision": (0.375, 2),
        "test_f1": (0.4, 1),
    }


def test_only_rows_with_all_candidates_stand_beside_the_papers_values(screen, accuracy):
    rows = [accuracy(0.5, candidates="all"), accuracy(0.25, candidates="other_plates", pool=900)]
    screen.write(0, "retrieval", rows)
    table = made(1, screen.runs[:1])
    table = table[(table["measure"] == ACCURACY) & table["reproduced"].notna()].set_index("candidates")
    assert table.loc["all", "paper"] == 0.03026  # although the other rows have a larger pool
    assert pd.isna(table.loc["other_plates", "paper"])


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_evaluations_without_rows_give_a_table_with_the_papers_rows_only(screen, number):
    for run in range(3):
        for benchmark in ("retrieval", "zero_shot_molecule", "zero_shot_mechanism", "probing"):
            screen.write(run, benchmark, [])
    table = made(number, screen.runs)
    assert list(table.columns) == COLUMNS
    assert table["reproduced"].isna().all()
    assert table["paper"].notna().all()


def test_other_benchmarks_are_collected_in_the_same_way(screen):
    cell = row(collect("replicate_wells", find_runs(screen.runs)), method="cloob")
    assert (cell.reproduced, cell.chance_within_batch) == (0.625, 0.2)
    for run in range(3):
        screen.write(run, "replicate_wells", [])
    assert collect("replicate_wells", find_runs(screen.runs)).empty


def test_means_and_shares_over_tasks_have_intervals(screen):
    aucs = [0.95, 0.85, 0.8, 0.9]
    screen.write(0, "probing", [{"features": "cloome", "labels": "true", "test_auc": value} for value in aucs])
    table = made(2, screen.runs)
    auc, share = (row(table, method="cloob", measure=measure) for measure in (MEAN_AUC, SHARE_ABOVE[0.9]))
    student = scipy.stats.t.interval(0.95, 3, np.mean(aucs), scipy.stats.sem(aucs))
    assert (auc.low, auc.high) == pytest.approx(student)
    exact = scipy.stats.binomtest(1, 4).proportion_ci(0.95, method="exact")
    assert (share.low, share.high) == pytest.approx((exact.low, exact.high))


def test_the_mean_of_a_single_task_has_no_interval(screen):
    screen.write(0, "probing", [{"features": "cloome", "labels": "true", "test_auc": 0.8}])
    auc = row(made(2, screen.runs), method="cloob", measure=MEAN_AUC)
    assert (auc.reproduced, np.isnan(auc.low), np.isnan(auc.high)) == (0.8, True, True)


def test_command_writes_the_table(screen, settings, tmp_path):
    out = tmp_path / "table_1.csv"
    assert (
        main(["table", "--config", str(settings), "--number", "1", "--runs", *map(str, screen.runs), "--out", str(out)])
        == 0
    )
    assert list(pd.read_csv(out).columns) == COLUMNS


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"somewhere: not the folder of a run.*random-cloob-seed0"):
        find_runs([tmp_path / "somewhere"])
