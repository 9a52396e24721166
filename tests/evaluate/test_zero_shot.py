"""Zero-shot classification of molecules and of mechanisms: by one image per class, by class means, across plates."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from cloome.config import Evaluate
from cloome.errors import FormatError
from cloome.evaluate.class_means import ranks_by_class_means
from cloome.evaluate.draws import stream
from cloome.evaluate.profiles import WellProfiles
from cloome.evaluate.retrieval import one_image_per_molecule
from cloome.evaluate.zero_shot import _representatives, mechanism_table, molecule_table

SETTINGS = Evaluate(resamples=50)


def top_1(table, features="cloome", queries="all_images", candidates="all"):
    chosen = {"features": features, "queries": queries, "candidates": candidates, "k": 1}
    return table[(table[list(chosen)] == list(chosen.values())).all(axis=1)].iloc[0]


def test_a_perfect_model_names_every_molecule(screen):
    row = top_1(molecule_table(screen(noise=0.01).samples(), SETTINGS))
    assert row["value"] == 1
    assert (row["pool"], row["n"], row["clusters"]) == (24, 24 * 5, 24)  # the class images are no queries


def test_molecule_hits_are_those_of_the_full_matrix(screen):
    samples = screen(noise=2.0).samples()
    table = molecule_table(samples, SETTINGS)
    molecules, classes, _ = one_image_per_molecule(samples, SETTINGS.seed)
    queries = np.setdiff1d(samples.rows("test"), classes)
    nearest = (samples.image[queries] @ samples.image[classes].T).argmax(axis=1)
    assert top_1(table)["hits"] == (molecules[nearest] == samples.molecule_of[queries]).sum()
    count = samples.table["cell_count"].to_numpy(float)
    distance = np.abs(count[queries, None] - count[classes])
    own = distance[np.arange(len(queries)), samples.molecule_of[queries] - 36]
    hits = ((distance <= own[:, None]).sum(axis=1) == 1).sum()
    assert top_1(table, "cell_count")["hits"] == hits


def test_baselines_and_control_of_a_screen_without_signal_sit_at_chance(screen):
    table = molecule_table(screen(noise=0.5).samples(), SETTINGS)
    assert {"cloome", "intensity", "cell_count", "repaired"} <= set(table["features"])
    for features in ("intensity", "repaired"):
        row = top_1(table, features)
        assert row["low"] <= row["chance"] <= row["high"]


def test_no_cell_count_no_baseline(screen, caplog):
    caplog.set_level("INFO")
    table = molecule_table(screen(cell_count=False).samples(), SETTINGS)
    assert "cell_count" not in set(table["features"])
    assert "cells were not counted" in caplog.text


def test_a_perfect_model_of_mechanisms(screen):
    made = screen(noise=0.01)
    by_mechanism = np.eye(6, 16, dtype=np.float32)
    made.embeddings.image[:] = by_mechanism[[int(key[-3:]) % 6 for key in made.index["inchikey"]]]
    row = top_1(mechanism_table(made.samples(), SETTINGS))
    assert row["value"] == 1
    assert (row["pool"], row["n"]) == (6, 24 * 6 - 6)
    assert row["chance"] == np.round(1 / 6, 6)


def test_one_of_several_mechanisms_is_enough(screen):
    made = screen(noise=0.01)
    # Images show mechanism m % 6 only, but every molecule also has a second one.
    made.molecules.table["mechanism"] = [f"m{m % 6}|m{(m + 1) % 6}" for m in range(60)]
    made.embeddings.image[:] = np.eye(6, 16, dtype=np.float32)[[int(k[-3:]) % 6 for k in made.index["inchikey"]]]
    table = mechanism_table(made.samples(), SETTINGS)
    assert top_1(table)["chance"] == np.round(2 / 6, 6)
    assert top_1(table)["mean_rank"] < 4


def test_mechanism_hits_are_those_of_a_loop_over_queries(screen):
    made = screen(noise=1.5)
    # Most molecules have one mechanism, some have two, and some have none.
    made.molecules.table["mechanism"] = ["" if m % 7 == 0 else f"m{m % 5}" + "|m9" * (m % 3 == 0) for m in range(60)]
    names = [set(text.split("|")) - {""} for text in made.molecules.table["mechanism"]]
    samples = made.samples()
    test = [row for row in samples.rows("test") if names[samples.molecule_of[row]]]
    has = [names[samples.molecule_of[row]] for row in test]
    classes = sorted(set.union(*has))
    member = np.array([[name in of for name in classes] for of in has])
    drawn = _representatives(scipy.sparse.csr_matrix(member), stream(SETTINGS.seed, "one image per mechanism"))
    found = []
    for query in range(len(test)):
        if query not in drawn:
            score = [samples.image[test[query]] @ samples.image[test[image]] for image in drawn]
            best = max(s for s, right in zip(score, member[query], strict=True) if right)
            found.append(1 + sum(s >= best for s, right in zip(score, member[query], strict=True) if not right))
    table = mechanism_table(samples, SETTINGS)
    rows = table[(table["features"] == "cloome") & (table["queries"] == "all_images") & (table["candidates"] == "all")]
    assert rows["hits"].tolist() == [sum(rank <= k for rank in found) for k in (1, 5, 10)]
    assert (rows["n"] == len(found)).all()
    assert 0 < rows["value"].iloc[0] < 1


def test_control_and_useless_model_of_mechanisms_sit_at_chance(screen):
    table = mechanism_table(screen(noise=np.inf).samples(), SETTINGS)
    for features in ("cloome", "repaired"):
        row = top_1(table, features)
        assert row["low"] <= row["chance"] <= row["high"]


def test_images_without_a_mechanism_take_no_part(screen):
    made = screen()
    made.molecules.table.loc[:40, "mechanism"] = ""
    assert (mechanism_table(made.samples(), SETTINGS)["clusters"] == 19).all()


@pytest.mark.parametrize("candidates", ["all", "other_plates"])
@pytest.mark.parametrize("make", [molecule_table, mechanism_table])
def test_every_image_is_classified_by_class_means(screen, make, candidates):
    made = screen(noise=0.01)
    made.molecules.table["mechanism"] = made.molecules.table["inchikey"]
    row = top_1(make(made.samples(), SETTINGS), queries="all_images_class_means", candidates=candidates)
    assert (row["value"], row["pool"], row["n"]) == (1, 24, 24 * 6)


def test_without_plates_to_choose_from_there_is_no_row_of_other_plates_and_a_reason(screen, caplog):
    caplog.set_level("INFO")
    made = screen()
    made.index["plate"], made.index["well"] = "P0", made.index["plate"] + made.index["well"]
    table = molecule_table(made.samples(), SETTINGS)
    assert set(table["candidates"]) == {"all"}
    assert "no image of its class lies on another plate" in caplog.text


def test_no_mechanisms_no_rows_and_a_reason(screen, caplog):
    caplog.set_level("INFO")
    assert mechanism_table(screen(mechanisms=False).samples(), SETTINGS).empty
    assert "the test part has 0 mechanisms" in caplog.text


def test_class_images_on_other_plates_are_those_of_a_loop_over_queries(screen):
    made = screen()
    # All images of a molecule on a plate are equal, so that it does not matter which one is drawn.
    rng = np.random.default_rng(0)
    places = list(zip(made.index["plate"], made.index["inchikey"], strict=True))
    shown = {place: rng.normal(size=16) for place in sorted(set(places))}
    images = np.array([shown[place] for place in places])
    for molecule in range(60):
        of = (made.index["inchikey"] == f"MOLECULE{molecule:03d}").to_numpy()
        images[of] += 1.5 * made.embeddings.molecule[molecule] * np.sqrt(16)
    made.embeddings.image[:] = images / np.linalg.norm(images, axis=1, keepdims=True)
    # This molecule stands on one plate only: it has no class image for its own plate.
    made.index = made.index[~((made.index["plate"] == "P1") & (made.index["inchikey"] == "MOLECULE059"))]
    samples = made.samples()
    _, drawn, _ = one_image_per_molecule(samples, SETTINGS.seed)
    plate, key = samples.table["plate"].to_numpy(), samples.table["inchikey"].to_numpy()
    found = []
    for query in np.setdiff1d(samples.rows("test"), drawn):
        score = {}
        for other in samples.rows("test"):
            if plate[other] != plate[query]:
                score[key[other]] = samples.image[other] @ samples.image[query]
        if key[query] in score:
            found.append(sum(value >= score[key[query]] for value in score.values()))
    row = top_1(molecule_table(samples, SETTINGS), candidates="other_plates")
    assert (row["n"], row["hits"]) == (len(found), sum(rank == 1 for rank in found))
    assert row["mean_rank"] == pytest.approx(np.mean(found))
    assert len(found) == 24 * 5 - 3 - 2
    assert 0 < row["value"] < 1


def test_images_without_features_are_neither_queries_nor_classes(screen):
    samples = screen(noise=0.01).samples()
    wells = samples.table[["plate", "well"]].drop_duplicates()
    keys = samples.table.loc[wells.index, "inchikey"].to_numpy()
    profile = samples.molecule[np.searchsorted(samples.inchikey, keys)].copy()
    profile[(wells["plate"] == "P0") & (keys == "MOLECULE059")] = np.nan
    profiles = WellProfiles(pd.MultiIndex.from_frame(wells), {"cellprofiler_raw": profile})
    table = molecule_table(replace(samples, profiles=profiles), SETTINGS)
    # Profiles are those of a well: an image of the same well would give the class away.
    assert set(table.loc[table["features"] == "cellprofiler_raw", "candidates"]) == {"other_plates"}
    by_mean = top_1(table, "cellprofiler_raw", "all_images_class_means", "other_plates")
    assert (by_mean["value"], by_mean["n"], by_mean["clusters"]) == (1, 23 * 6, 23)
    assert top_1(table, "cellprofiler_raw", candidates="other_plates")["n"] == 23 * 5


def naive_ranks(values, member, plate=None):
    """Rank, number of classes and of right ones by one mean for each pair of image and class."""
    found = []
    for query in range(len(values)):
        scores = {}
        for cls in range(member.shape[1]):
            left_out = np.arange(len(values)) == query if plate is None else plate == plate[query]
            images = values[member[:, cls] & ~left_out].astype(np.float64)
            if len(images) and values.ndim == 1:
                scores[cls] = -abs(values[query] - images.mean())
            elif len(images):
                mean = images.mean(axis=0)
                scores[cls] = values[query] @ mean / np.linalg.norm(mean)
        right = [cls for cls in scores if member[query, cls]]
        best = max((scores[cls] for cls in right), default=-np.inf)
        rank = 1 + sum(np.float32(scores[cls]) >= np.float32(best) for cls in scores if cls not in right)
        found.append((rank, len(scores), len(right)))
    return np.array(found).T


@pytest.mark.parametrize("plates", [None, 1, 3])
@pytest.mark.parametrize("kind", ["vectors", "scalars", "duplicates"])
@pytest.mark.parametrize("classes", [1, 7])
def test_class_means_are_those_of_a_loop_over_images_and_classes(kind, classes, plates):
    rng = np.random.default_rng(classes)
    if kind == "scalars":
        values = rng.integers(5, size=60).astype(np.float32)
    else:
        values = rng.normal(size=(60, 8)).astype(np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        values = values[rng.integers(6, size=60)] if kind == "duplicates" else values
    # Several classes for some images, one for most, none for others; the last class has a single image.
    member = rng.random((60, classes)) < 1 / max(classes, 2)
    member[:, -1] &= classes == 1
    member[0, -1] = True
    plate = None if plates is None else rng.integers(plates, size=60)
    found = ranks_by_class_means(values, scipy.sparse.csr_matrix(member), plate)
    expected = naive_ranks(values, member, plate)
    asked = expected[2] > 0
    np.testing.assert_array_equal(found[1:], expected[1:])
    np.testing.assert_array_equal(found[0][asked], expected[0][asked])


def test_class_means_of_a_single_image_have_nothing_to_compare():
    rank, pool, right = ranks_by_class_means(np.ones((1, 4), np.float32), scipy.sparse.csr_matrix([[True]]))
    assert (len(rank), pool[0], right[0]) == (1, 0, 0)


def test_class_means_refuse_what_is_not_a_number():
    values = np.array([[1, 0], [np.nan, 1]], dtype=np.float32)
    with pytest.raises(FormatError, match="NaN"):
        ranks_by_class_means(values, scipy.sparse.csr_matrix(np.ones((2, 1), dtype=bool)))
