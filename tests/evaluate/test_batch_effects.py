"""How much plate and position explain: nearest wells beside loops, controls that must be 1 or at chance."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.model_selection import StratifiedGroupKFold

from cloome.config import Evaluate
from cloome.data.evaluation import BATCH_EFFECTS_COLUMNS
from cloome.errors import FormatError
from cloome.evaluate.batch_effects import batch_effects_table, plates_named, shares_of_nearest
from cloome.evaluate.wells import Comparison

SETTINGS = Evaluate()


def row(table, measure, features="cloome"):
    return table[(table["measure"] == measure) & (table["features"] == features)].iloc[0]


@pytest.mark.parametrize("kind", ["vectors", "scalars", "duplicates"])
def test_shares_are_those_of_a_loop_over_wells(kind):
    rng = np.random.default_rng(0)
    values = rng.integers(4, size=50).astype(np.float32)
    if kind != "scalars":
        values = rng.normal(size=(50, 5)).astype(np.float32)
        values = values[rng.integers(8, size=50)] if kind == "duplicates" else values
    label, molecule = rng.integers(6, size=50), rng.integers(20, size=50)
    label[0] = 99  # shared by no other well: no query
    compared = Comparison(scipy.sparse.csr_matrix(label[:, None] == np.unique(label)), (molecule,))
    values_found, chances = [], []
    for query in range(0, 50, 3):
        others = np.flatnonzero(molecule != molecule[query])
        score = np.array([np.float32((values[query] * values[other]).sum()) if values.ndim == 2
                          else -abs(values[query] - values[other]) for other in others])  # fmt: skip
        same = label[others] == label[query]
        if same.any() and not same.all():
            values_found.append(same[np.isclose(score, score.max(), atol=1e-6)].mean())
            chances.append(same.mean())
    found = shares_of_nearest(values, compared, np.arange(0, 50, 3))
    np.testing.assert_allclose(found["nearest"], values_found)
    np.testing.assert_allclose(found["all"], chances)
    assert 0 not in set(found["query"])


def test_no_query_no_share():
    compared = Comparison(scipy.sparse.csr_matrix(np.ones((1, 1), dtype=bool)), (np.zeros(1),))
    assert shares_of_nearest(np.ones((1, 2), np.float32), compared, np.arange(1)).empty


def test_plate_and_position_alone_explain_themselves_and_not_each_other(screen):
    table = batch_effects_table(screen().samples(), SETTINGS)
    assert list(table.columns) == BATCH_EFFECTS_COLUMNS
    assert row(table, "nearest_on_same_plate", "plate")["value"] == 1
    assert row(table, "plate_classified", "plate")["value"] == 1
    for measure in ("nearest_in_same_row", "nearest_in_same_column"):
        assert row(table, measure, "plate")["value"] == row(table, measure, "plate")["chance"]
        assert row(table, measure, "position")["value"] > row(table, measure, "position")["chance"]
    assert row(table, "nearest_on_same_plate", "position")["value"] == 0.5
    # In this screen a compound has the same place on all plates, and one well on each.
    assert row(table, "nearest_has_compound", "position")["value"] == 1
    assert row(table, "nearest_has_compound", "plate")["value"] == 0


def test_a_model_of_compounds_knows_no_plate_and_one_of_plates_no_compound(screen):
    made = screen(noise=0.01)
    table = batch_effects_table(made.samples(), SETTINGS)
    assert row(table, "nearest_has_compound")["value"] == 1
    assert row(table, "nearest_on_same_plate")["value"] < 0.7
    assert row(table, "plate_classified")["value"] < 0.7
    noise = np.random.default_rng(0).normal(size=made.embeddings.image.shape)
    noise[:, 0] += np.where(made.index["plate"] == "P0", 30, -30)
    made.embeddings.image[:] = noise / np.linalg.norm(noise, axis=1, keepdims=True)
    table = batch_effects_table(made.samples(), SETTINGS)
    assert row(table, "nearest_on_same_plate")["value"] == row(table, "plate_classified")["value"] == 1
    assert row(table, "nearest_has_compound")["value"] == 0
    assert row(table, "plate_classified")["n"] == 120


def test_the_nearest_wells_of_a_batch_are_told_from_other_batches(screen):
    made = screen(noise=0.1)
    early = (made.index["inchikey"].str[-1].astype(int) % 2 == 0).to_numpy()
    made.index["batch"] = np.where(early, "early", "late")
    made.embeddings.image[:] = np.where(early[:, None], np.eye(16)[0], np.eye(16)[1])
    found = row(batch_effects_table(made.samples(), SETTINGS), "nearest_in_same_batch")
    assert found["value"] == 1
    assert found["chance"] == np.round(29 / 59, 6)
    made.index["batch"] = ""
    assert "nearest_in_same_batch" not in set(batch_effects_table(made.samples(), SETTINGS)["measure"])


def test_one_plate_has_no_plate_to_tell(screen):
    made = screen()
    rows = {"P0": "ABC", "P1": "DEF"}
    made.index["well"] = [
        rows[plate]["ABC".index(well[0])] + well[1:]
        for plate, well in zip(made.index["plate"], made.index["well"], strict=True)
    ]
    made.index["plate"] = "P0"
    table = batch_effects_table(made.samples(), SETTINGS)
    assert {"nearest_on_same_plate", "plate_classified", "nearest_in_same_row"}.isdisjoint(table["measure"])
    assert "nearest_has_compound" in set(table["measure"])


def test_without_mechanisms_they_are_not_asked_for(screen):
    table = batch_effects_table(screen(mechanisms=False).samples(), SETTINGS)
    assert "nearest_has_mechanism" not in set(table["measure"])


@pytest.mark.parametrize(
    ("plate", "molecule"),
    [([0, 0, 0, 0], [0, 1, 2, 3]), ([0, 1, 2, 3], [0, 1, 2, 3]), ([0, 0, 1, 1], [0, 0, 0, 0]), ([], [])],
    ids=["one plate", "one well on each plate", "one molecule", "no wells"],
)
def test_too_little_for_a_classifier_of_plates_is_no_number(plate, molecule):
    values = np.zeros((len(plate), 2), np.float32)
    assert plates_named(values, np.array(plate, dtype=int), np.array(molecule, dtype=int), 0) is None


def test_the_same_seed_gives_the_same_table(screen):
    samples = screen(noise=2.0).samples()
    pd.testing.assert_frame_equal(*(batch_effects_table(samples, SETTINGS) for _ in range(2)))


def test_the_classifier_of_plates_is_ridge_regression_on_standardised_features():
    rng = np.random.default_rng(0)
    plate, molecule = np.repeat(np.arange(3), 40), np.tile(np.arange(20), 6)
    values = rng.normal(size=(120, 4)).astype(np.float32)
    values[:, 0] += plate
    values = np.column_stack([values, values[:, 0], np.ones(120, np.float32)])  # a duplicate, and one that never varies
    hits = 0
    for fitted, asked in StratifiedGroupKFold(2, shuffle=True, random_state=5).split(values, plate, molecule):
        mean, std = values[fitted].mean(axis=0), values[fitted].std(axis=0)
        scaled = (values - mean) / np.where(std > 0, std, 1)
        targets = np.where(plate[fitted, None] == np.arange(3), 1.0, -1.0)
        inner = scaled[fitted].T @ scaled[fitted] + np.eye(6)  # the penalty is 1, and the mean of a target is free
        weights = np.linalg.solve(inner, scaled[fitted].T @ (targets - targets.mean(axis=0)))
        hits += ((scaled[asked] @ weights + targets.mean(axis=0)).argmax(axis=1) == plate[asked]).sum()
    found, chance = plates_named(values, plate, molecule, seed=5)
    assert (found["named"].sum(), len(found), chance) == (hits, 120, pytest.approx(1 / 3))
    assert 1 / 3 < found["named"].mean() < 1


def test_the_classifier_of_plates_refuses_what_is_not_a_number():
    values = np.ones((8, 2), np.float32)
    values[2, 0] = np.nan
    with pytest.raises(FormatError, match="NaN"):
        plates_named(values, np.arange(8) % 2, np.arange(8), seed=0)
