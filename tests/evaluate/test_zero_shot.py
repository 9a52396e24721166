"""Zero-shot classification of molecules and of mechanisms by one image per class."""

import numpy as np

from cloome.config import Evaluate
from cloome.evaluate.retrieval import one_image_per_molecule
from cloome.evaluate.zero_shot import mechanism_table, molecule_table

SETTINGS = Evaluate(resamples=50)


def top_1(table, features="cloome"):
    return table[(table["features"] == features) & (table["k"] == 1)].iloc[0]


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
    assert set(table["features"]) == {"cloome", "intensity", "cell_count", "repaired"}
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


def test_control_and_useless_model_of_mechanisms_sit_at_chance(screen):
    table = mechanism_table(screen(noise=np.inf).samples(), SETTINGS)
    for features in ("cloome", "repaired"):
        row = top_1(table, features)
        assert row["low"] <= row["chance"] <= row["high"]


def test_images_without_a_mechanism_take_no_part(screen):
    made = screen()
    made.molecules.table.loc[:40, "mechanism"] = ""
    assert (mechanism_table(made.samples(), SETTINGS)["clusters"] == 19).all()


def test_no_mechanisms_no_rows_and_a_reason(screen, caplog):
    caplog.set_level("INFO")
    assert mechanism_table(screen(mechanisms=False).samples(), SETTINGS).empty
    assert "the test part has 0 mechanisms" in caplog.text
