"""What images are compared by: embeddings, baselines of the index, places on the plate, fingerprints, well profiles."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from cloome.config import Evaluate
from cloome.data.image_features import ImageFeatures
from cloome.data.labels import Labels
from cloome.errors import FormatError
from cloome.evaluate.activity import activity_table
from cloome.evaluate.average_precision import average_precision_table
from cloome.evaluate.batch_effects import batch_effects_table
from cloome.evaluate.features import baselines, comparable, comparable_elsewhere, known, structures
from cloome.evaluate.profiles import WellProfiles
from cloome.evaluate.ranking import ranks
from cloome.evaluate.replicate_wells import replicate_wells_table
from cloome.evaluate.samples import align
from cloome.evaluate.zero_shot import mechanism_table, molecule_table

RAW, ROBUST = "cellprofiler_raw", "cellprofiler_robust"


@pytest.fixture
def samples(screen):
    return screen(noise=1.0).samples()


@pytest.fixture
def with_profiles(samples):
    """Samples with profiles of all wells but the last two."""
    wells = pd.MultiIndex.from_frame(samples.table[["plate", "well"]].drop_duplicates()).sort_values()
    rng = np.random.default_rng(0)
    values = {name: rng.normal(3, 2, (len(wells), 5)).astype(np.float32) for name in (RAW, ROBUST)}
    values[ROBUST][-2:] = np.nan
    return replace(samples, profiles=WellProfiles(wells, values))


def place(well):
    return ord(well[0]) - ord("A"), int(well[1:])


def test_plate_says_that_all_images_of_a_plate_are_the_same(samples):
    values, plate = comparable(samples)["plate"], samples.table["plate"].to_numpy()
    assert np.array_equal(values @ values.T, plate[:, None] == plate)


def test_position_falls_with_the_rows_and_columns_between_two_wells_whatever_the_plate(samples):
    values = comparable(samples)["position"]
    places = np.array([place(well) for well in samples.table["well"]])
    apart = np.abs(places[:, None] - places).sum(axis=2)
    assert np.array_equal(values @ values.T, values.shape[1] - 2 * apart)


def test_plate_and_position_puts_the_same_plate_first_and_then_the_nearer_well(samples):
    values = comparable(samples)["plate_and_position"]
    scores = values @ values.T
    places = np.array([place(well) for well in samples.table["well"]])
    plate = samples.table["plate"].to_numpy()
    for query in range(0, len(values), 17):
        apart = np.abs(places - places[query]).sum(axis=1)
        order = np.lexsort((apart, plate != plate[query]))
        assert np.all(np.diff(scores[query, order]) <= 0)
        same = (plate == plate[query]) & (apart == 0)
        assert np.array_equal(np.flatnonzero(scores[query] == scores[query].max()), np.flatnonzero(same))


def test_candidates_on_the_same_plate_tie_and_ties_count_against(samples):
    values = comparable(samples)["plate"]
    plate = samples.table["plate"].to_numpy()
    query, right = 0, 1
    assert plate[query] == plate[right]
    assert ranks(values[[query]], values, np.array([right])) == (plate == plate[query]).sum()


def test_knowing_the_plate_finds_a_molecule_among_those_of_its_plate(screen):
    planted = screen(noise=1.0)
    # Each molecule on one plate only: of 24 test molecules, 12 share the plate of a query.
    number = planted.index["inchikey"].str[-3:].astype(int)
    planted.index["plate"] = "P" + (number % 2).astype(str)
    table = molecule_table(planted.samples(), Evaluate(resamples=10))
    rows = table[(table["k"] == 1) & (table["candidates"] == "all")].set_index(["features", "queries"])
    found = rows.loc[("plate", "all_images")]
    assert found["chance"] == pytest.approx(1 / 24, rel=1e-4)
    assert found["low"] <= 1 / 12 <= found["high"]
    assert found["value"] > 1.5 / 24


def test_knowing_the_plate_tells_nothing_where_all_molecules_are_on_all_plates(screen):
    for table in (molecule_table, mechanism_table):
        rows = table(screen(noise=1.0).samples(), Evaluate(resamples=10))
        plate = rows[(rows["features"] == "plate") & (rows["k"] == 1)]
        # Means over all plates would put a query's own class last.
        assert set(plate.loc[plate["candidates"] == "all", "queries"]) == {"all_images"}
        assert (plate["low"] <= plate["chance"]).all()
        assert (plate["chance"] <= plate["high"]).all()


def test_a_screen_of_one_well_has_a_position_too(samples):
    one = replace(samples, table=samples.table.assign(well="B02", plate="P0"))
    values = comparable(one)
    for name in ("plate", "position", "plate_and_position"):
        assert len(np.unique(values[name], axis=0)) == 1
        assert values[name].shape[1] >= 1


def test_rows_behind_z_come_after_it(samples):
    wells = np.resize(["Y01", "Z01", "AA01", "AB01"], len(samples.table))
    values = comparable(replace(samples, table=samples.table.assign(well=wells)))["position"]
    assert (values[:4] @ values[0]).tolist() == [values.shape[1] - 2 * apart for apart in range(4)]


def test_places_and_fingerprints_are_fitted_as_columns_of_0_and_1(samples):
    fingerprint = np.random.default_rng(0).integers(0, 3, (len(samples.inchikey), 8)).astype(np.uint8)
    fitted = baselines(replace(samples, fingerprint=fingerprint))
    assert np.array_equal(fitted["plate"].argmax(axis=1), pd.factorize(samples.table["plate"], sort=True)[0])
    assert np.all(fitted["plate"].sum(axis=1) == 1)
    rows, columns = samples.table["well"].str[0].nunique(), samples.table["well"].str[1:].nunique()
    assert fitted["position"].shape[1] == rows + columns
    assert np.all(fitted["position"].sum(axis=1) == 2)
    assert np.array_equal(fitted["plate_and_position"], np.hstack([fitted["plate"], fitted["position"]]))
    assert np.array_equal(fitted["fingerprint"], fingerprint[samples.molecule_of] > 0)


def test_an_image_takes_the_profile_of_its_well(with_profiles):
    profiles = with_profiles.profiles
    values = comparable_elsewhere(with_profiles)[ROBUST]
    for image in range(0, len(values), 13):
        well = profiles.wells.get_loc(tuple(with_profiles.table.loc[image, ["plate", "well"]]))
        profile = profiles.values[ROBUST][well]
        np.testing.assert_allclose(values[image], profile / np.linalg.norm(profile), rtol=1e-5)


def test_images_without_profile_are_rows_of_nan_and_no_image_else(with_profiles):
    for values in (comparable_elsewhere(with_profiles)[ROBUST], baselines(with_profiles)[ROBUST]):
        wells = pd.MultiIndex.from_frame(with_profiles.table[["plate", "well"]])
        missing = wells.isin(with_profiles.profiles.wells[-2:])
        assert np.array_equal(known(values), ~missing)
        assert np.isnan(values[missing]).all()
        assert np.isfinite(values[~missing]).all()
    assert known(comparable(with_profiles)["cell_count"]).all()


def test_a_well_that_the_profiles_do_not_name_has_none(with_profiles):
    profiles = with_profiles.profiles
    fewer = WellProfiles(profiles.wells[1:], {RAW: profiles.values[RAW][1:]})
    values = baselines(replace(with_profiles, profiles=fewer))[RAW]
    assert np.array_equal(known(values), profiles.rows(with_profiles.table) != 0)


def test_fitted_profiles_are_standardised_to_the_wells_of_training(with_profiles):
    values, table = baselines(with_profiles)[RAW], with_profiles.table
    train = (table["part"] == "train") & ~table[["plate", "well"]].duplicated()
    np.testing.assert_allclose(values[train].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values[train].std(axis=0), 1, atol=1e-5)


def test_images_are_ranked_by_well_profiles_only_where_candidates_lie_elsewhere(with_profiles):
    assert RAW not in comparable(with_profiles)
    assert set(comparable_elsewhere(with_profiles)) == {*comparable(with_profiles), RAW, ROBUST}


def test_gapnet_is_fitted_as_it_is_and_compared_by_cosine(screen):
    planted = screen(noise=1.0)
    order = np.random.default_rng(0).permutation(len(planted.index))
    values = np.random.default_rng(1).normal(3, 2, (len(order), 5)).astype(np.float32)
    keys = planted.index["sample_key"].to_numpy()[order]
    samples = align(
        planted.index, planted.embeddings, planted.molecules, planted.split, gapnet=ImageFeatures(keys, values)
    )
    own = values[[list(keys).index(key) for key in samples.table["sample_key"]]]
    assert np.array_equal(baselines(samples)["gapnet"], own)
    for compared in (comparable(samples), comparable_elsewhere(samples)):
        np.testing.assert_allclose(compared["gapnet"], own / np.linalg.norm(own, axis=1, keepdims=True), rtol=1e-6)
    assert "gapnet" in set(molecule_table(samples, Evaluate(resamples=10))["features"])


@pytest.mark.parametrize("bad", ["a missing image", "a number that is not finite"])
def test_features_of_gapnet_that_lack_an_image_are_refused(screen, bad):
    planted = screen()
    keys, values = planted.index["sample_key"].to_numpy(), np.ones((len(planted.index), 2), dtype=np.float32)
    if bad == "a missing image":
        keys, values = keys[1:], values[1:]
    else:
        values[3, 1] = np.nan
    with pytest.raises(FormatError, match=r"have no features of GapNet|not finite"):
        align(planted.index, planted.embeddings, planted.molecules, planted.split, gapnet=ImageFeatures(keys, values))


def test_without_profiles_and_counts_there_are_no_such_baselines(screen):
    samples = screen(cell_count=False).samples()
    names = ["intensity", "plate", "position", "plate_and_position", "fingerprint"]
    assert list(baselines(samples)) == names
    assert list(comparable_elsewhere(samples)) == ["cloome", *names[:-1]]


def test_structures_are_compared_by_the_share_of_bits_in_common(samples):
    bits = np.random.default_rng(0).random((len(samples.inchikey), 32)) < 0.3
    scores = structures(replace(samples, fingerprint=bits.astype(np.uint8)))
    first, second = samples.molecule_of[[0, 40]]
    common = (bits[first] & bits[second]).sum() / np.sqrt(bits[first].sum() * bits[second].sum())
    assert scores[0] @ scores[40] == pytest.approx(common, rel=1e-5)


def test_wells_without_profile_are_neither_queries_nor_candidates(with_profiles):
    table = replicate_wells_table(with_profiles, Evaluate(resamples=10)).set_index(["features", "direction"])
    # Both are test wells; each of them was the only right candidate of its replicate.
    assert table.loc[(RAW, "well_to_compound"), ["n", "pool"]].tolist() == [48, 60]
    assert table.loc[(ROBUST, "well_to_compound"), ["n", "pool"]].tolist() == [44, 59]


def test_images_without_profile_are_not_fitted(with_profiles):
    matrix = scipy.sparse.csr_matrix(np.random.default_rng(0).choice([-1, 1], (len(with_profiles.inchikey), 1)))
    labels = Labels(matrix, with_profiles.inchikey, np.array(["1"]))
    table = activity_table(with_profiles, labels, Evaluate(resamples=10)).set_index(["features", "labels"])
    assert table.loc[(RAW, "true"), "n_test"] - table.loc[(ROBUST, "true"), "n_test"] == 2 * 3


@pytest.mark.parametrize("part", ["train", "test"])
def test_profiles_of_one_part_only_break_no_table(with_profiles, part):
    profiles, table = with_profiles.profiles, with_profiles.table
    profiles.values[ROBUST][profiles.rows(table[table["part"] == part])] = np.nan
    settings = Evaluate(resamples=10)
    for made in (molecule_table, mechanism_table, replicate_wells_table, average_precision_table, batch_effects_table):
        assert RAW in set(made(with_profiles, settings)["features"])
