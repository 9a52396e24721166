"""Retrieval: the paper's benchmark, its small pools and its control."""

import numpy as np

from cloome.config import Evaluate
from cloome.data.evaluation import RANKING_COLUMNS
from cloome.evaluate.draws import one_of_each, repaired, small_pool, stream
from cloome.evaluate.retrieval import one_image_per_molecule, retrieval_table

SETTINGS = Evaluate(pool=10, resamples=50)
TEST_MOLECULES = 24


def naive_rank(scores, right, ranked=None):
    """1 and the wrong candidates that are ranked and score no less than the best right one."""
    return 1 + sum(
        score >= max(scores[right])
        for candidate, score in enumerate(scores)
        if candidate not in right and (ranked is None or candidate in ranked)
    )


def of_cloome(table, direction, queries, candidates="all"):
    chosen = table[(table["features"] == "cloome") & (table["direction"] == direction)]
    return chosen[(chosen["queries"] == queries) & (chosen["candidates"] == candidates)]


def assert_are(rows, expected):
    """The rows of one ranking tell of these ranks."""
    assert rows["k"].tolist() == [1, 5, 10]
    assert rows["hits"].tolist() == [sum(rank <= k for rank in expected) for k in (1, 5, 10)]
    assert (rows["n"] == len(expected)).all()
    np.testing.assert_allclose(rows["mean_rank"], np.mean(expected), atol=1e-6)
    np.testing.assert_allclose(rows["median_rank"], np.median(expected), atol=1e-6)


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_a_perfect_model_finds_everything(screen):
    table = retrieval_table(screen(noise=0.0).samples(), SETTINGS)
    cloome = table[(table["features"] == "cloome") & (table["queries"] != "all_images_one_right")]
    assert (cloome["value"] == 1).all()
    assert (cloome["mean_rank"] == 1).all()
    assert list(table.columns) == RANKING_COLUMNS


def test_where_one_image_is_right_the_others_of_its_molecule_are_errors(screen):
    table = retrieval_table(screen(noise=0.0).samples(), SETTINGS)
    assert (of_cloome(table, "molecule_to_image", "all_images_one_right")["mean_rank"] == 6).all()


def test_rows_cover_directions_pools_and_k(screen):
    table = retrieval_table(screen().samples(), SETTINGS)
    found = {tuple(row) for row in table[["direction", "queries", "candidates", "pool", "n"]].to_numpy()}
    n, wells, images = TEST_MOLECULES, TEST_MOLECULES * 2, TEST_MOLECULES * 6
    assert found == {
        ("image_to_molecule", "one_per_molecule", "all", n, n),
        ("image_to_molecule", "one_per_molecule", "all", 10, n),
        ("molecule_to_image", "one_per_molecule", "all", n, n),
        ("molecule_to_image", "one_per_molecule", "all", 10, n),
        ("image_to_molecule", "all_images", "all", n, images),
        ("image_to_molecule", "all_images", "same_plate", n, images),
        ("molecule_to_image", "all_images_one_right", "all", images, n),
        ("molecule_to_image", "all_images_any_right", "all", images, n),
        ("image_to_molecule", "wells", "all", n, wells),
        ("molecule_to_image", "wells", "all", wells, n),
        ("image_to_molecule", "molecules", "all", n, n),
        ("molecule_to_image", "molecules", "all", n, n),
    }
    assert set(table["k"]) == {1, 5, 10}
    assert not table.duplicated(["features", "direction", "queries", "candidates", "pool", "k"]).any()
    assert table["features"].value_counts().to_dict() == {"cloome": 36, "repaired": 36}
    several = table["queries"].eq("all_images_any_right") | (
        table["queries"].eq("wells") & table["direction"].eq("molecule_to_image")
    )
    np.testing.assert_allclose(
        table["chance"][~several], np.minimum(table["k"] / table["pool"], 1)[~several], atol=1e-6
    )
    assert (table["chance"][several] > (table["k"] / table["pool"])[several]).all()


def test_a_useless_model_sits_at_chance(screen):
    table = retrieval_table(screen(noise=np.inf).samples(), SETTINGS)
    assert table["chance"].between(table["low"], table["high"]).mean() > 0.9


def test_the_repaired_control_sits_at_chance_even_for_a_good_model(screen):
    table = retrieval_table(screen(noise=0.1).samples(), SETTINGS)
    control = table[table["features"] == "repaired"]
    assert control["chance"].between(control["low"], control["high"]).mean() > 0.9


def test_images_are_ranked_as_by_the_full_matrix(screen):
    samples = screen(noise=1.5).samples()
    table = retrieval_table(samples, SETTINGS)
    test, right = samples.rows("test"), samples.molecule_of[samples.rows("test")] - 36
    scores = samples.image[test] @ samples.molecule[36:].T
    rows = of_cloome(table, "image_to_molecule", "all_images")
    assert_are(rows, [naive_rank(row, [own]) for row, own in zip(scores, right, strict=True)])
    assert 0 < rows["value"].iloc[0] < 1
    assert (rows["clusters"] == TEST_MOLECULES).all()


def test_the_papers_benchmark_is_that_of_the_full_matrix_in_whole_and_small_pools(screen):
    samples = screen(noise=1.5).samples()
    table = retrieval_table(samples, SETTINGS)
    molecules, drawn, _ = one_image_per_molecule(samples, SETTINGS.seed)
    image, molecule = samples.image[drawn], samples.molecule[molecules]
    for direction, queries, candidates in (
        ("image_to_molecule", image, molecule),
        ("molecule_to_image", molecule, image),
    ):
        scores = queries @ candidates.T
        rows = of_cloome(table, direction, "one_per_molecule")
        whole, small = rows[rows["pool"] == TEST_MOLECULES], rows[rows["pool"] == SETTINGS.pool]
        assert_are(whole, [naive_rank(row, [own]) for own, row in enumerate(scores)])
        rng = stream(SETTINGS.seed, f"negatives {direction}")
        pools = [small_pool(TEST_MOLECULES, own, SETTINGS.pool, rng) for own in range(TEST_MOLECULES)]
        assert_are(small, [naive_rank(row, [own], pools[own]) for own, row in enumerate(scores)])


def test_molecules_find_the_drawn_image_or_the_best_of_all(screen):
    samples = screen(noise=1.5).samples()
    table = retrieval_table(samples, SETTINGS)
    test, right = samples.rows("test"), samples.molecule_of[samples.rows("test")] - 36
    scores = samples.molecule[36:] @ samples.image[test].T
    drawn = np.searchsorted(test, one_image_per_molecule(samples, SETTINGS.seed)[1])
    one = of_cloome(table, "molecule_to_image", "all_images_one_right")
    assert_are(one, [naive_rank(row, [image]) for row, image in zip(scores, drawn, strict=True)])
    several = of_cloome(table, "molecule_to_image", "all_images_any_right")
    assert_are(several, [naive_rank(row, np.flatnonzero(right == m)) for m, row in enumerate(scores)])
    assert several["chance"].iloc[0] == np.round(6 / len(test), 6)


def test_wells_and_molecules_are_means_of_their_images(screen):
    samples = screen(noise=2.5).samples()
    table = retrieval_table(samples, SETTINGS)
    test = samples.table[samples.table["part"] == "test"]
    molecules = samples.molecule[36:]
    wells, of_well = [], []
    for (_, _), fields in test.groupby(["plate", "well"]):
        wells.append(unit(samples.image[fields.index].mean(axis=0)))
        of_well.append(samples.molecule_of[fields.index[0]] - 36)
    scores, of_well = np.array(wells) @ molecules.T, np.array(of_well)
    to_molecule = [naive_rank(row, [own]) for row, own in zip(scores, of_well, strict=True)]
    assert_are(of_cloome(table, "image_to_molecule", "wells"), to_molecule)
    to_well = [naive_rank(column, np.flatnonzero(of_well == m)) for m, column in enumerate(scores.T)]
    assert_are(of_cloome(table, "molecule_to_image", "wells"), to_well)
    means = [unit(samples.image[test.index[test["inchikey"] == key]].mean(axis=0)) for key in samples.inchikey[36:]]
    scores = np.array(means) @ molecules.T
    for direction, ranked in (("image_to_molecule", scores), ("molecule_to_image", scores.T)):
        expected = [naive_rank(row, [own]) for own, row in enumerate(ranked)]
        assert_are(of_cloome(table, direction, "molecules"), expected)


def on_three_plates(screen):
    """The first test molecule alone on plate P8, the next four on P9, all others on P0 and P1."""
    made = screen(noise=1.5)
    key = made.index["inchikey"]
    made.index.loc[key == "MOLECULE036", "plate"] = "P8"
    made.index.loc[key.isin([f"MOLECULE{m:03d}" for m in range(37, 41)]), "plate"] = "P9"
    return made.samples()


def test_the_same_plate_leaves_its_molecules_as_candidates(screen, caplog):
    caplog.set_level("INFO")
    samples = on_three_plates(screen)
    table = retrieval_table(samples, SETTINGS)
    test = samples.rows("test")
    plate, right = samples.table["plate"].to_numpy()[test], samples.molecule_of[test] - 36
    scores = samples.image[test] @ samples.molecule[36:].T
    expected = [
        naive_rank(scores[query], [right[query]], set(right[plate == plate[query]]))
        for query in range(len(test))
        if plate[query] != "P8"
    ]
    rows = of_cloome(table, "image_to_molecule", "all_images", "same_plate")
    assert_are(rows, expected)
    assert rows["pool"].tolist() == [round((24 * 4 + 6 * 19 * 19) / 138)] * 3
    assert rows["chance"].iloc[0] == np.round((24 / 4 + 6 * 19 / 19) / 138, 6)
    assert "138 query images; 6 more have no other test molecule on their plate" in caplog.text


def test_a_model_that_knows_the_plate_alone_gains_nothing_within_it(screen):
    made = screen(noise=0.0)
    half = np.arange(60) % 2
    made.index["plate"] = [f"P{half[int(key[-3:])]}" for key in made.index["inchikey"]]
    made.index["well"] = [f"A{number % 24 + 1:02d}" for number in range(len(made.index))]
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 0.1, (len(made.index), 16)), rng.normal(0, 0.1, (60, 16))
    look = np.where(np.arange(2)[:, None] == 0, 1, -1) * np.ones(16)
    made.embeddings.image[:] = look[made.index["plate"].str[-1].astype(int)] + noise[0]
    made.embeddings.molecule[:] = look[half] + noise[1]
    table = retrieval_table(made.samples(), SETTINGS)
    everywhere = of_cloome(table, "image_to_molecule", "all_images").iloc[1]
    within = of_cloome(table, "image_to_molecule", "all_images", "same_plate").iloc[1]
    assert everywhere["low"] > everywhere["chance"]
    assert within["low"] < within["chance"] < within["high"]


def test_small_pools_need_more_molecules_than_they_hold(screen, caplog):
    caplog.set_level("INFO")
    table = retrieval_table(screen().samples(), Evaluate(pool=100, resamples=20))
    assert set(table["pool"][table["queries"] == "one_per_molecule"]) == {TEST_MOLECULES}
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
