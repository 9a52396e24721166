"""Mean average precision of replicates and mechanisms across plates, beside scikit-learn and copairs."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats
from copairs import compute, map
from copairs.map.normalization import expected_ap
from sklearn.metrics import average_precision_score

from cloome.config import Evaluate
from cloome.data.evaluation import AVERAGE_PRECISION_COLUMNS
from cloome.errors import FormatError
from cloome.evaluate.average_precision import RandomOrders, average_precision_table, average_precisions, p_values
from cloome.evaluate.wells import Comparison

SETTINGS = Evaluate(resamples=50, null_size=2000)


def row(table, task, features="cloome"):
    return table[(table["task"] == task) & (table["features"] == features)].iloc[0]


def wells(n, groups, plates, seed=0):
    """Unit vectors near the direction of their group, the group and the plate of each."""
    rng = np.random.default_rng(seed)
    group, plate = rng.integers(groups, size=n), rng.integers(plates, size=n)
    values = rng.normal(size=(groups, 8))[group] + rng.normal(size=(n, 8))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32), group, plate


def one_each(group):
    return scipy.sparse.csr_matrix(group[:, None] == np.unique(group))


@pytest.mark.parametrize("groups", [2, 40], ids=["many right candidates", "few right candidates"])
@pytest.mark.parametrize("kind", ["vectors", "scalars", "ties", "all equal"])
def test_each_query_is_that_of_scikit_learn(kind, groups):
    values, group, plate = wells(300, groups, 3)
    if kind == "scalars":
        values = np.random.default_rng(1).integers(6, size=300).astype(np.float32)
    elif kind != "vectors":
        values = values[np.random.default_rng(1).integers(9 if kind == "ties" else 1, size=300)]
    group[:3] = [97, 98, 99]  # a single well each: without a right candidate
    queries = np.arange(0, 300, 6)
    found = average_precisions(values, Comparison(one_each(group), (plate,)), queries)
    for query, (value, right, pool) in zip(queries, found.to_numpy(), strict=True):
        others = np.flatnonzero(plate != plate[query])
        is_right = group[others] == group[query]
        assert (right, pool) == (is_right.sum(), len(others))
        scores = values[others] @ values[query] if values.ndim == 2 else -abs(values[others] - values[query])
        if kind == "ties":
            # Equal wells score the same; a product of a vector and a matrix may round them differently.
            scores = np.round(scores, 5)
        if is_right.any():
            assert value == pytest.approx(average_precision_score(is_right, scores), abs=1e-9)
        else:
            assert np.isnan(value)


def test_without_ties_it_is_that_of_copairs():
    values, group, plate = wells(80, 12, 3)
    meta = pd.DataFrame({"compound": group, "plate": plate})
    theirs = map.average_precision(meta, values, ["compound"], ["plate"], [], ["compound", "plate"], progress_bar=False)
    found = average_precisions(values, Comparison(one_each(group), (plate,)), np.arange(80))
    np.testing.assert_allclose(found["average_precision"], theirs["average_precision"], atol=1e-9)
    np.testing.assert_array_equal(found["right"], theirs["n_pos_pairs"])
    np.testing.assert_array_equal(found["pool"], theirs["n_total_pairs"])


def test_p_values_are_those_of_copairs(tmp_path):
    values, group, plate = wells(60, 12, 3)
    found = average_precisions(values, Comparison(one_each(group), (plate,)), np.arange(60))
    asked = found["right"] > 0
    found, group = found[asked], group[asked]
    theirs = found.rename(columns={"right": "n_pos_pairs", "pool": "n_total_pairs"}).assign(
        compound=group, normalized_average_precision=0.0
    )
    theirs = map.mean_average_precision(
        theirs, ["compound"], 4000, 0.05, 0, progress_bar=False, max_workers=1, cache_dir=tmp_path
    )
    ours = p_values(found, group, RandomOrders(4000, 0))
    np.testing.assert_array_equal(ours.index, theirs["compound"])
    np.testing.assert_allclose(ours, theirs["p_value"], atol=0.04)  # both are drawn


@pytest.mark.parametrize(("right", "pool"), [(1, 2), (3, 20), (7, 8), (5, 5)])
def test_random_orders_have_the_distribution_of_copairs(right, pool):
    ours = RandomOrders(20_000, 0).of(right, pool)
    theirs = compute.random_ap(20_000, right, pool, 1)
    assert ours.mean() == pytest.approx(expected_ap(right, pool - right), abs=0.01)
    assert scipy.stats.ks_2samp(np.round(ours, 5), np.round(theirs, 5)).statistic < 0.02


def test_what_a_random_order_reaches_as_well_is_no_evidence():
    found = pd.DataFrame({"average_precision": [1.0, 1.0], "right": [1, 1], "pool": [2, 2]})
    assert p_values(found, np.zeros(2), RandomOrders(2000, 0))[0] == pytest.approx(0.5, abs=0.05)


def test_p_values_depend_on_the_seed_alone():
    found = pd.DataFrame({"average_precision": [0.2, 0.4], "right": [1, 2], "pool": [30, 40]})
    both = p_values(found, np.array([0, 1]), RandomOrders(500, 0))
    assert both[1] == p_values(found[1:], np.array([1]), RandomOrders(500, 0))[1]
    assert not both.equals(p_values(found, np.array([0, 1]), RandomOrders(500, 1)))


def test_a_perfect_model_finds_replicates_and_mechanisms(screen):
    made = screen(noise=0.01)
    table = average_precision_table(made.samples(), SETTINGS)
    assert list(table.columns) == AVERAGE_PRECISION_COLUMNS
    found = row(table, "replicates")
    # 24 test molecules with a well on each of two plates, 60 wells on the other one.
    assert (found["n"], found["clusters"], found["pool"], found["right"]) == (48, 24, 60, 1)
    assert (found["value"], found["cluster_low"], found["significant"]) == (1, 1, 1)
    made.embeddings.image[:] = np.eye(6, 16, dtype=np.float32)[[int(k[-3:]) % 6 for k in made.index["inchikey"]]]
    found = row(average_precision_table(made.samples(), SETTINGS), "mechanisms")
    # The 9 other molecules of the mechanism among 59 of the other plate: the query's own molecule is no candidate.
    assert (found["value"], found["pool"], found["right"], found["n"]) == (1, 59, 9, 48)


def test_a_useless_model_sits_at_chance_and_nothing_is_significant(screen):
    tables = [average_precision_table(screen(noise=np.inf, seed=seed).samples(), SETTINGS) for seed in range(6)]
    for task in ("replicates", "mechanisms"):
        found = pd.DataFrame([row(table, task) for table in tables])
        assert found["value"].mean() == pytest.approx(found["chance"].iloc[0], abs=0.02)
        assert found["significant"].max() < 0.1


def test_replicates_do_not_help_to_find_mechanisms(screen):
    table = average_precision_table(screen(noise=0.01).samples(), SETTINGS)
    assert row(table, "replicates")["value"] == 1
    assert row(table, "mechanisms")["value"] < 0.4


def test_plate_alone_tells_candidates_of_other_plates_apart_in_nothing(screen):
    table = average_precision_table(screen().samples(), SETTINGS)
    # All candidates are equal, and so in any order.
    plate = row(table, "replicates", "plate")
    assert plate["cluster_low"] <= plate["chance"] <= plate["cluster_high"]
    assert row(table, "replicates", "position")["value"] == 1


@pytest.mark.parametrize("mechanisms", [True, False])
def test_one_plate_gives_a_header_and_a_reason(screen, mechanisms, caplog):
    caplog.set_level("INFO")
    made = screen(mechanisms=mechanisms)
    made.index["plate"], made.index["well"] = "P0", made.index["plate"] + made.index["well"]
    table = average_precision_table(made.samples(), SETTINGS)
    assert table.empty
    assert list(table.columns) == AVERAGE_PRECISION_COLUMNS
    assert "no right or no wrong well on another plate" in caplog.text


def test_a_single_molecule_has_nothing_to_be_told_from(screen):
    made = screen()
    made.index["inchikey"] = made.index["compound"] = "MOLECULE059"
    made.split = pd.concat([made.split, pd.DataFrame({"inchikey": ["OTHER"], "part": ["train"]})])
    other = made.index.iloc[[0]].assign(inchikey="MOLECULE000")
    made.index = pd.concat([other, made.index.iloc[1:]], ignore_index=True)
    made.index.loc[0, ["plate", "well"]] = ["P9", "A01"]
    table = average_precision_table(made.samples(), SETTINGS)
    # Only the wells of P0 and P1 that see the one other molecule on P9 have a wrong candidate.
    assert row(table, "replicates")["clusters"] == 1
    assert "mechanisms" not in set(table["task"])


def test_the_same_seed_gives_the_same_table(screen):
    samples = screen(noise=2.0).samples()
    pd.testing.assert_frame_equal(*(average_precision_table(samples, SETTINGS) for _ in range(2)))


def test_what_is_not_a_number_is_refused():
    values = np.array([[1.0, 0.0], [np.nan, 1.0]], dtype=np.float32)
    compared = Comparison(one_each(np.zeros(2)), (np.arange(2),))
    with pytest.raises(FormatError, match="NaN"):
        average_precisions(values, compared, np.arange(2))


def test_equal_candidates_come_as_in_random_orders_where_that_is_asked_for():
    group, plate = np.repeat(np.arange(20), 3), np.arange(60) % 3
    compared = Comparison(one_each(group), (plate,))
    found = [
        average_precisions(np.ones((60, 1), np.float32), compared, np.arange(60), np.random.default_rng(seed))
        for seed in range(40)
    ]
    values = np.concatenate([table["average_precision"] for table in found])
    assert values.mean() == pytest.approx(expected_ap(2, 38), rel=0.05)


def test_the_order_of_equals_changes_nothing_where_scores_differ():
    values, group, plate = wells(80, 12, 3)
    compared = Comparison(one_each(group), (plate,))
    found, drawn = (
        average_precisions(values, compared, np.arange(80), ties) for ties in (None, np.random.default_rng(0))
    )
    pd.testing.assert_frame_equal(found, drawn)
