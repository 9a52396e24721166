"""CellProfiler's profiles: read per plate, robustised against its mock wells, selected and sphered."""

import logging

import numpy as np
import pandas as pd
import pytest

from cloome.errors import FormatError
from cloome.evaluate.profiles import KEYS, RAW, ROBUST, SELECTED, SPHERED, normalised, read_well_profiles

FEATURES = ["Cells_AreaShape_Area", "Cytoplasm_Texture_Contrast_DNA", "Nuclei_Intensity_MeanIntensity_DNA"]
MOCKS, TREATED = 12, 20


def measured(plate, rng, mocks=MOCKS, treated=TREATED, features=FEATURES):
    """A plate map with made-up features: independent, each of its own scale, shifted for this plate."""
    roles = ["mock"] * mocks + ["treated"] * treated
    table = pd.DataFrame(
        {
            "Metadata_Plate": plate,
            "Metadata_Well": [f"{chr(97 + n // 24)}{n % 24 + 1:02d}" for n in range(len(roles))],
            "Metadata_ASSAY_WELL_ROLE": roles,
            "Metadata_broad_sample": ["DMSO"] * mocks + [f"BRD-{n}" for n in range(treated)],
        }
    )
    for number, feature in enumerate(features):
        table[feature] = (rng.normal(size=len(roles)) + rng.normal()) * 10.0**number
    return table


@pytest.fixture
def plates(tmp_path):
    """Writes plate maps, as the workflow lays them; returns their folder and the index of all wells, mock or not."""

    def write(*tables, without_file=()):
        rows = []
        for table in tables:
            plate = table["Metadata_Plate"].iloc[0]
            (tmp_path / plate).mkdir(exist_ok=True)
            if plate not in without_file:
                table.to_csv(tmp_path / plate / "mean_well_profiles.csv", index=False)
            for well, role in zip(table["Metadata_Well"], table["Metadata_ASSAY_WELL_ROLE"], strict=True):
                rows += [(plate, well.upper(), site, "" if role == "mock" else "KEY") for site in (1, 2)]
        return tmp_path, pd.DataFrame(rows, columns=["plate", "well", "site", "inchikey"])

    return write


def naive_robust(table):
    """Each value minus the median of the plate's mock wells, by 1.4826 times their median absolute deviation."""
    out = []
    for _, row in table[table["Metadata_ASSAY_WELL_ROLE"] == "treated"].iterrows():
        of_plate = table[(table["Metadata_Plate"] == row["Metadata_Plate"])]
        mocks = of_plate[of_plate["Metadata_ASSAY_WELL_ROLE"] == "mock"]
        values = []
        for feature in FEATURES:
            median = np.median(mocks[feature])
            deviation = np.median([abs(value - median) for value in mocks[feature]])
            values.append((row[feature] - median) / (1.4826 * deviation))
        out.append(values)
    return np.array(out)


def test_robust_profiles_are_median_and_deviation_of_the_mock_wells_of_each_plate(plates):
    rng = np.random.default_rng(0)
    tables = [measured(plate, rng) for plate in ("P1", "P2")]
    profiles = read_well_profiles(*plates(*tables))
    np.testing.assert_allclose(profiles.values[ROBUST], naive_robust(pd.concat(tables)), rtol=1e-4, atol=1e-5)
    assert all(values.dtype == np.float32 for values in profiles.values.values())


def test_raw_profiles_are_the_file_s_values_of_wells_with_a_molecule(plates):
    table = measured("P1", np.random.default_rng(0))
    profiles = read_well_profiles(*plates(table))
    treated = table[table["Metadata_ASSAY_WELL_ROLE"] == "treated"]
    np.testing.assert_allclose(profiles.values[RAW], treated[FEATURES], rtol=1e-6)
    assert profiles.wells.tolist() == [("P1", well.upper()) for well in treated["Metadata_Well"]]


def test_an_image_finds_its_well_and_a_foreign_well_finds_none(plates):
    profiles = read_well_profiles(*plates(measured("P1", np.random.default_rng(0))))
    plate, well = profiles.wells[3]
    images = pd.DataFrame({"plate": [plate, plate, "P9"], "well": [well, "Z99", well]})
    assert profiles.rows(images).tolist() == [3, -1, -1]


def test_sphering_makes_the_mock_wells_of_all_plates_uncorrelated_with_variance_1():
    rng = np.random.default_rng(1)
    table = pd.concat([measured(plate, rng, mocks=200) for plate in ("P1", "P2")], ignore_index=True)
    table[FEATURES[1]] += 50 * table[FEATURES[0]] * rng.normal(1, 0.1, len(table))
    sphered = normalised(table.drop(columns="Metadata_broad_sample"))[SPHERED]
    mocks = sphered.loc[sphered["Metadata_ASSAY_WELL_ROLE"] == "mock"].drop(columns=KEYS)
    np.testing.assert_allclose(np.cov(mocks.T), np.eye(mocks.shape[1]), atol=1e-3)


def test_selection_leaves_out_copies_extremes_and_misleading_features():
    table = measured("P1", np.random.default_rng(2), mocks=100, treated=300)
    table["Cells_Copy"] = 2 * table[FEATURES[0]] + 1
    table["Cells_Extreme"] = table[FEATURES[0]].to_numpy()[::-1]
    table.loc[350, "Cells_Extreme"] = 1e6
    # In pycytominer's list of features to leave out.
    table["Nuclei_Correlation_Manders_AGP_DNA"] = np.random.default_rng(3).normal(size=len(table))
    kept = set(normalised(table.drop(columns="Metadata_broad_sample"))[SELECTED].columns) - set(KEYS)
    assert len(kept & {FEATURES[0], "Cells_Copy"}) == 1
    assert kept - {"Cells_Copy", FEATURES[0]} == {FEATURES[1], FEATURES[2]}


def test_a_plate_without_mock_wells_has_raw_profiles_only(plates, caplog):
    caplog.set_level(logging.INFO)
    rng = np.random.default_rng(0)
    profiles = read_well_profiles(*plates(measured("P1", rng), measured("P2", rng, mocks=0)))
    on_second = profiles.wells.get_level_values("plate") == "P2"
    assert np.isfinite(profiles.values[RAW]).all()
    for name in (ROBUST, SELECTED, SPHERED):
        assert np.isnan(profiles.values[name][on_second]).all()
        assert np.isfinite(profiles.values[name][~on_second]).all()
    assert "plate P2 has no mock well" in caplog.text
    assert f"{ROBUST}: 3 features of 40 wells; 20 wells have none" in caplog.text


@pytest.mark.parametrize("mocks", [0, 1])
def test_without_mock_wells_or_with_one_that_has_no_deviation_nothing_is_robustised(plates, mocks):
    profiles = read_well_profiles(*plates(measured("P1", np.random.default_rng(0), mocks=mocks)))
    assert list(profiles.values) == [RAW]


def test_wells_and_plates_without_profile_are_rows_of_nan_and_counted(plates, caplog):
    caplog.set_level(logging.INFO)
    rng = np.random.default_rng(0)
    first, second, third = (measured(plate, rng) for plate in ("P1", "P2", "P3"))
    folder, index = plates(first, second, third, without_file=["P2"])
    first.iloc[:-2].to_csv(folder / "P1" / "mean_well_profiles.csv", index=False)
    profiles = read_well_profiles(folder, index)
    missing = np.isnan(profiles.values[RAW]).all(axis=1)
    assert profiles.wells[missing].tolist() == [("P1", "B07"), ("P1", "B08")] + [
        ("P2", well.upper()) for well in second["Metadata_Well"].iloc[MOCKS:]
    ]
    assert np.isfinite(profiles.values[RAW][~missing]).all()
    assert "no CellProfiler profiles of plate P2" in caplog.text
    assert f"{RAW}: 3 features of 60 wells; 22 wells have none" in caplog.text


def test_constant_columns_and_columns_that_many_wells_lack_are_left_out(plates):
    table = measured("P1", np.random.default_rng(0))
    table["Cells_Constant"] = 3.0
    table["Cells_MostlyMissing"] = np.where(np.arange(len(table)) < 20, np.nan, table[FEATURES[0]])
    profiles = read_well_profiles(*plates(table))
    assert {values.shape[1] for values in profiles.values.values()} == {3}


def test_a_column_constant_among_mock_wells_gives_no_huge_numbers(plates):
    table = measured("P1", np.random.default_rng(0))
    table.loc[table["Metadata_ASSAY_WELL_ROLE"] == "mock", FEATURES[0]] = 7.0
    profiles = read_well_profiles(*plates(table))
    assert profiles.values[RAW].shape[1] == 3
    assert profiles.values[ROBUST].shape[1] == 2
    assert np.abs(profiles.values[ROBUST]).max() < 100


def test_a_missing_value_becomes_the_usual_one(plates):
    table = measured("P1", np.random.default_rng(0), treated=80)
    gap = MOCKS + 5
    table.loc[gap, FEATURES[0]] = np.nan
    table.loc[gap + 1, FEATURES[1]] = np.inf
    profiles = read_well_profiles(*plates(table))
    assert profiles.values[RAW][5, 0] == pytest.approx(table[FEATURES[0]].median(), rel=1e-6)
    assert profiles.values[ROBUST][5, 0] == profiles.values[ROBUST][6, 1] == 0


def test_names_of_files_beside_the_measurements_are_no_features(plates):
    table = measured("P1", np.random.default_rng(0))
    table["Image_FileName_DNA"] = "a.tif"
    assert read_well_profiles(*plates(table)).values[RAW].shape[1] == 3


def test_features_that_only_some_plates_measure_are_left_out(plates):
    rng = np.random.default_rng(0)
    first, second = measured("P1", rng), measured("P2", rng, features=FEATURES[:2])
    assert read_well_profiles(*plates(first, second)).values[RAW].shape[1] == 2


def test_without_files_or_features_there_are_no_profiles_and_the_log_says_so(plates, caplog):
    caplog.set_level(logging.INFO)
    table = measured("P1", np.random.default_rng(0), features=[])
    assert read_well_profiles(*plates(table)) is None
    assert read_well_profiles(*plates(table, without_file=["P1"])) is None
    assert "no baselines cellprofiler" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Metadata_Plate": "P2"}, "holds the plate P1, P2, not only P1"),
        ({"Metadata_Well": "A01"}, "names the well A01 twice"),
    ],
)
def test_a_file_of_another_plate_or_with_a_well_twice_is_refused(plates, change, message):
    table = measured("P1", np.random.default_rng(0))
    folder, index = plates(table)
    for column, value in change.items():
        table.loc[5, column] = value
    table.to_csv(folder / "P1" / "mean_well_profiles.csv", index=False)
    with pytest.raises(FormatError, match=message):
        read_well_profiles(folder, index)
