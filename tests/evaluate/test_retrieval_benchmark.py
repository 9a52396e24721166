"""Retrieval: the paper's benchmark, its small pools and its control."""

import numpy as np

from cloome.config import Evaluate
from cloome.data.evaluation import RANKING_COLUMNS
from cloome.evaluate.draws import one_of_each, repaired, small_pool
from cloome.evaluate.retrieval import one_image_per_molecule, retrieval_table

SETTINGS = Evaluate(pool=10, resamples=50)
TEST_MOLECULES = 24


def test_a_perfect_model_finds_everything(screen):
    table = retrieval_table(screen(noise=0.0).samples(), SETTINGS)
    cloome = table[table["features"] == "cloome"]
    assert (cloome["value"] == 1).all()
    assert (cloome["mean_rank"] == 1).all()
    assert list(table.columns) == RANKING_COLUMNS


def test_rows_cover_directions_pools_and_k(screen):
    table = retrieval_table(screen().samples(), SETTINGS)
    found = {tuple(row) for row in table[["direction", "queries", "pool", "n"]].to_numpy()}
    assert found == {
        ("image_to_molecule", "one_per_molecule", TEST_MOLECULES, TEST_MOLECULES),
        ("image_to_molecule", "one_per_molecule", 10, TEST_MOLECULES),
        ("molecule_to_image", "one_per_molecule", TEST_MOLECULES, TEST_MOLECULES),
        ("molecule_to_image", "one_per_molecule", 10, TEST_MOLECULES),
        ("image_to_molecule", "all_images", TEST_MOLECULES, TEST_MOLECULES * 6),
    }
    assert set(table["k"]) == {1, 5, 10}
    assert not table.duplicated(["features", "direction", "queries", "pool", "k"]).any()
    np.testing.assert_allclose(table["chance"], np.minimum(table["k"] / table["pool"], 1), atol=1e-6)


def test_a_useless_model_sits_at_chance(screen):
    table = retrieval_table(screen(noise=np.inf).samples(), SETTINGS)
    assert table["chance"].between(table["low"], table["high"]).mean() > 0.9


def test_the_repaired_control_sits_at_chance_even_for_a_perfect_model(screen):
    table = retrieval_table(screen(noise=0.0).samples(), SETTINGS)
    control = table[table["features"] == "repaired"]
    assert control["chance"].between(control["low"], control["high"]).all()


def test_hits_are_those_of_the_full_matrix(screen):
    samples = screen(noise=1.5).samples()
    table = retrieval_table(samples, SETTINGS)
    test = samples.rows("test")
    scores = samples.image[test] @ samples.molecule[36:].T
    own = scores[np.arange(len(test)), samples.molecule_of[test] - 36]
    found = (scores >= own[:, None]).sum(axis=1)
    rows = table[(table["features"] == "cloome") & (table["queries"] == "all_images")]
    assert rows["hits"].tolist() == [(found <= k).sum() for k in (1, 5, 10)]
    assert 0 < rows["value"].iloc[0] < 1
    assert rows["mean_rank"].iloc[0] == np.round(found.mean(), 6)
    assert (rows["clusters"] == TEST_MOLECULES).all()


def test_small_pools_need_more_molecules_than_they_hold(screen, caplog):
    caplog.set_level("INFO")
    table = retrieval_table(screen().samples(), Evaluate(pool=100, resamples=20))
    assert set(table["pool"]) == {TEST_MOLECULES}
    assert "no retrieval from 1 in 100" in caplog.text


def test_a_single_test_molecule_gives_no_rows_and_a_reason(screen, caplog):
    caplog.set_level("INFO")
    made = screen()
    made.split["part"] = ["test"] + ["train"] * 59
    assert retrieval_table(made.samples(), SETTINGS).empty
    assert "single molecule" in caplog.text


def test_one_test_image_is_drawn_for_each_test_molecule(screen):
    samples = screen().samples()
    molecules, images, _ = one_image_per_molecule(samples, seed=3)
    np.testing.assert_array_equal(samples.molecule_of[images], molecules)
    assert (samples.table["part"].iloc[images] == "test").all()
    assert not np.array_equal(images, one_image_per_molecule(samples, seed=4)[1])


def test_every_image_of_a_group_can_be_drawn():
    group = np.array([0, 1, 0, 1, 1])
    drawn = np.array([one_of_each(group, np.random.default_rng(seed)) for seed in range(100)])
    assert set(drawn[:, 0]) == {0, 2}
    assert set(drawn[:, 1]) == {1, 3, 4}


def test_a_small_pool_holds_the_positive_once_and_distinct_negatives():
    for seed in range(50):
        pool = small_pool(12, 5, 6, np.random.default_rng(seed))
        assert pool[0] == 5
        assert len(set(pool)) == 6
        assert set(pool) <= set(range(12))
    assert sorted(small_pool(6, 0, 6, np.random.default_rng(0))) == list(range(6))


def test_the_control_draws_evenly():
    drawn = repaired(20_000, 4, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, 0.25, atol=0.015)
