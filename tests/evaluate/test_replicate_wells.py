"""Nearest well on another plate: the right compound, the right mechanism, and chance within the batch."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cloome.config import Evaluate
from cloome.evaluate.profiles import WellProfiles
from cloome.evaluate.replicate_wells import replicate_wells_table

SETTINGS = Evaluate(resamples=50)


def row(table, direction, features="cloome"):
    return table[(table["direction"] == direction) & (table["features"] == features)].iloc[0]


def test_a_perfect_model_finds_the_replicate(screen):
    table = replicate_wells_table(screen(noise=0.1).samples(), SETTINGS)
    compound, mechanism = row(table, "well_to_compound"), row(table, "well_to_mechanism")
    assert compound["value"] == mechanism["value"] == 1
    # 24 test molecules with a well on each of two plates; 60 wells on the other plate.
    assert (compound["n"], compound["pool"], compound["clusters"]) == (48, 60, 24)
    assert compound["chance"] == compound["chance_within_batch"] == np.round(1 / 60, 6)
    assert mechanism["chance"] == np.round(10 / 60, 6)


def test_hits_are_those_of_a_loop_over_wells(screen):
    made = screen(noise=3.0)
    table = replicate_wells_table(made.samples(), SETTINGS)
    index = made.index.set_index("sample_key").loc[made.embeddings.sample_key].reset_index()
    wells = {}
    for rows in index.groupby(["plate", "well"]).indices.values():
        mean = made.embeddings.image[rows].mean(axis=0)
        first = index.iloc[rows[0]]
        wells[first["plate"], first["inchikey"]] = mean / np.linalg.norm(mean)
    test = set(made.split.loc[made.split["part"] == "test", "inchikey"])
    mechanism = dict(zip(made.molecules.table["inchikey"], made.molecules.table["mechanism"], strict=True))
    compounds = mechanisms = 0
    for (plate, molecule), values in wells.items():
        if molecule in test:
            others = {other: wells[other] @ values for other in wells if other[0] != plate}
            nearest = max(others, key=others.get)[1]
            compounds += nearest == molecule
            mechanisms += mechanism[nearest] == mechanism[molecule]
    assert row(table, "well_to_compound")["hits"] == compounds
    assert row(table, "well_to_mechanism")["hits"] == mechanisms
    assert 0 < compounds < 48


def test_baselines_without_signal_find_few(screen):
    table = replicate_wells_table(screen().samples(), SETTINGS)
    assert {"cloome", "intensity", "cell_count"} <= set(table["features"])
    assert set(table["candidates"]) == {"other_plates"}
    for features in ("intensity", "cell_count"):
        assert row(table, "well_to_compound", features)["value"] < 0.2


def test_chance_within_the_batch_counts_its_own_wells_only(screen):
    made = screen(noise=0.1)
    # Two batches of 30 compounds, each on both plates.
    made.index["batch"] = np.where(made.index["inchikey"] < "MOLECULE030", "early", "late")
    found = row(replicate_wells_table(made.samples(), SETTINGS), "well_to_compound")
    assert found["chance"] == np.round(1 / 60, 6)
    assert found["chance_within_batch"] == np.round(1 / 30, 6)


def test_without_batches_there_is_no_chance_within_them(screen):
    made = screen()
    made.index["batch"] = ""
    assert replicate_wells_table(made.samples(), SETTINGS)["chance_within_batch"].isna().all()


def test_a_well_without_replicate_is_left_out_and_counted(screen, caplog):
    caplog.set_level("INFO")
    made = screen()
    lost = (made.index["plate"] == "P1") & (made.index["inchikey"] == "MOLECULE059")
    made.index = made.index[~lost]
    assert row(replicate_wells_table(made.samples(), SETTINGS), "well_to_compound")["n"] == 46
    assert "well_to_compound, cloome: 46 query wells; 1 more" in caplog.text


@pytest.mark.parametrize("mechanisms", [True, False])
def test_one_plate_gives_no_rows(screen, mechanisms):
    made = screen(mechanisms=mechanisms)
    made.index["plate"], made.index["well"] = "P0", made.index["plate"] + made.index["well"]
    assert replicate_wells_table(made.samples(), SETTINGS).empty


def test_without_mechanisms_only_compounds_are_asked_for(screen):
    table = replicate_wells_table(screen(mechanisms=False).samples(), SETTINGS)
    assert set(table["direction"]) == {"well_to_compound"}


def test_position_alone_finds_replicates_that_stand_in_the_same_place_and_plate_alone_none(screen):
    table = replicate_wells_table(screen().samples(), SETTINGS)
    assert row(table, "well_to_compound", "position")["value"] == 1
    assert row(table, "well_to_compound", "plate")["value"] == 0


def test_a_well_without_profile_is_neither_query_nor_candidate(screen):
    samples = screen(noise=0.01).samples()
    wells = samples.table[["plate", "well"]].drop_duplicates()
    keys = samples.table.loc[wells.index, "inchikey"].to_numpy()
    profile = samples.molecule[np.searchsorted(samples.inchikey, keys)].copy()
    profile[(wells["plate"] == "P0") & (keys == "MOLECULE059")] = np.nan
    profiles = WellProfiles(pd.MultiIndex.from_frame(wells), {"cellprofiler_raw": profile})
    table = replicate_wells_table(replace(samples, profiles=profiles), SETTINGS)
    found = row(table, "well_to_compound", "cellprofiler_raw")
    assert (found["value"], found["n"]) == (1, 46)
    assert row(table, "well_to_compound")["n"] == 48
