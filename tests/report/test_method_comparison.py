"""Methods over the activity tasks: pairs of a split, seeds averaged, tested task by task."""

import argparse

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from cloome.report.method_comparison import COLUMNS, method_comparison
from cloome.report.methods_command import add_arguments, run
from cloome.report.page_evaluations import other_tables
from cloome.report.runs import find_runs


def tasks(aucs, labels="true", features="cloome"):
    return [{"features": features, "labels": labels, "task": task, "test_auc": auc} for task, auc in enumerate(aucs)]


@pytest.fixture
def probed(screen):
    """Two seeds of cloob and their shuffled control over eight tasks, one of which could not be judged."""
    rng = np.random.default_rng(0)
    aucs = rng.uniform(0.6, 0.9, (3, 8)).round(3)
    aucs[2] -= 0.2
    aucs[1, 7] = aucs[0, 7] = np.nan
    for number, values in enumerate(aucs):
        screen.write(
            number, "probing", [*tasks(values), *tasks(values / 2, "shuffled"), *tasks(values, features="plate")]
        )
    return screen, aucs


def test_two_methods_are_compared_over_the_tasks_that_both_have(probed):
    screen, aucs = probed
    (row,) = method_comparison(find_runs(screen.runs)).to_dict("records")
    difference = aucs[:2, :7].mean(axis=0) - aucs[2, :7]
    assert (row["split"], row["method"], row["other_method"]) == ("random", "cloob", "cloob-shuffled")
    assert (row["seeds"], row["tasks_paired"]) == (1, 7)
    assert row["auc_difference"] == pytest.approx(difference.mean())
    assert (row["tasks_won"], row["tasks_lost"]) == ((difference > 0).sum(), (difference < 0).sum())
    assert row["wilcoxon_p"] == pytest.approx(scipy.stats.wilcoxon(difference).pvalue)


def test_p_values_are_corrected_within_a_split(probed):
    screen, _ = probed
    folders = [folder.rename(folder.with_name(name)) for folder, name in zip(
        screen.runs, ("random-cloob-seed0", "random-clip-seed0", "random-clip-seed0-untrained"), strict=True
    )]  # fmt: skip
    found = method_comparison(find_runs(folders))
    pairs = found[["method", "other_method"]].to_numpy().tolist()
    assert pairs == [["cloob", "clip"], ["cloob", "clip-untrained"], ["clip", "clip-untrained"]]
    expected = scipy.stats.false_discovery_control(found["wilcoxon_p"])
    np.testing.assert_allclose(found["adjusted_p"], expected)


def test_methods_of_different_splits_and_equal_ones_are_not_tested(probed):
    screen, _ = probed
    other = screen.runs[2].rename(screen.runs[2].with_name("scaffold-cloob-seed0"))
    assert method_comparison(find_runs([screen.runs[0], other])).empty
    screen.write(0, "probing", tasks([0.7, 0.8]))
    same = screen.runs[1].rename(screen.runs[1].with_name("random-clip-seed0"))
    screen.runs[1] = same
    screen.write(1, "probing", tasks([0.7, 0.8]))
    (row,) = method_comparison(find_runs(screen.runs[:2])).to_dict("records")
    assert (row["auc_difference"], row["tasks_won"], row["tasks_lost"]) == (0, 0, 0)
    assert pd.isna(row["wilcoxon_p"])
    assert np.isnan(row["adjusted_p"])


def test_the_command_writes_what_the_page_shows(probed, tmp_path):
    screen, _ = probed
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run(parser.parse_args(["--runs", *map(str, screen.runs), "--out", str(tmp_path / "methods.csv")]))
    written = pd.read_csv(tmp_path / "methods.csv")
    assert list(written.columns) == COLUMNS
    (shown,) = next(table for table in other_tables(find_runs(screen.runs)) if table["name"] == "methods")["rows"]
    assert shown["features"] == "cloob less cloob-shuffled"
    assert shown["cells"][1]["value"] == f"{written['auc_difference'][0]:+.3f}"


def test_without_probing_there_is_nothing_to_compare(screen):
    assert method_comparison(find_runs(screen.runs)).empty
