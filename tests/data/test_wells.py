"""What was put into each well: GigaDB's tables and LoadData tables give the same columns."""

import pandas as pd
import pytest

from cloome.config import LoadDataScreen
from cloome.data.wells import COLUMNS, normal_well, read_load_data, read_profiles, read_quality
from cloome.errors import FormatError


@pytest.mark.parametrize(
    ("written", "well"), [("a01", "A01"), ("A1", "A01"), ("p24", "P24"), (" B07 ", "B07"), ("AF48", "AF48")]
)
def test_wells_have_one_spelling(written, well):
    assert normal_well(written) == well


@pytest.mark.parametrize("written", ["", "1A", "A", "A001B", "A1234", "nan"])
def test_what_is_no_well_is_refused(written):
    with pytest.raises(FormatError, match="is not a well"):
        normal_well(written)


def profile_file(tmp_path, role="treated"):
    table = {
        "Metadata_Plate": [24277, 24277],
        "Metadata_Well": ["a03", "p24"],
        "Metadata_ASSAY_WELL_ROLE": [role, "mock"],
        "Metadata_broad_sample": ["BRD-K18438502-001-02-6", None],
        "Metadata_mmoles_per_liter": [0.005, None],
        "Metadata_Plate_Map_Name": "H-BIOA-004-3",
        "Cells_AreaShape_Area": 1.0,
    }
    pd.DataFrame(table).to_csv(tmp_path / "mean_well_profiles.csv", index=False)
    return tmp_path / "mean_well_profiles.csv"


def test_well_profiles_say_what_each_well_held(tmp_path):
    wells = read_profiles(profile_file(tmp_path))
    assert list(wells.columns) == COLUMNS
    assert wells.iloc[0].tolist() == ["24277", "A03", "treated", "BRD-K18438502-001-02-6", 0.005, "H-BIOA-004-3"]
    assert wells["compound"].iloc[1] == ""


@pytest.mark.parametrize("role", ["pert", None])
def test_an_unknown_role_is_refused(tmp_path, role):
    with pytest.raises(FormatError, match="either 'treated' or 'mock'"):
        read_profiles(profile_file(tmp_path, role))


@pytest.mark.parametrize("prefix", ["", "Image_Metadata_", "Metadata_"])
def test_quality_flags_are_read_under_either_prefix(tmp_path, prefix):
    path = tmp_path / "qc.csv"
    flags = {"isSaturated": [1, 0, None], "isBlurry": [0, 1, 0]}
    table = {"Image_Metadata_Plate": 24277, f"{prefix}Well": ["a01", "a01", "a02"], f"{prefix}Site": [1, 2, 1], **flags}
    pd.DataFrame(table).to_csv(path, index=False)
    quality = read_quality(path)
    assert quality["plate"].tolist() == ["24277"] * 3
    assert quality["well"].tolist() == ["A01", "A01", "A02"]
    assert quality["is_saturated"].tolist() == [True, False, False]
    assert quality["is_blurry"].tolist() == [False, True, False]
    pd.DataFrame(table).drop(columns="isBlurry").to_csv(path, index=False)
    with pytest.raises(FormatError, match="no column isBlurry"):
        read_quality(path)


def own_screen(path, **more) -> LoadDataScreen:
    values = {
        "kind": "load_data",
        "name": "own",
        "load_data": str(path),
        "channels": ["DNA"],
        "compounds": {"path": "c"},
    }
    return LoadDataScreen.model_validate({**values, **more})


def load_data(tmp_path, **columns):
    table = {
        "Metadata_Plate": "7",
        "Metadata_Well": ["A1", "a1", "A2"],
        "Metadata_Site": [1, 2, 1],
        "Metadata_broad_sample": ["BRD-1", "BRD-1", None],
        "Metadata_mmoles_per_liter": [0.01, 0.01, None],
        "PathName_OrigDNA": "img",
        "FileName_OrigDNA": ["1.tif", None, "3.tif"],
        **columns,
    }
    pd.DataFrame(table).to_csv(tmp_path / "load_data.csv", index=False)
    return tmp_path / "load_data.csv"


def test_load_data_gives_one_row_per_field(tmp_path):
    fields = read_load_data(own_screen(load_data(tmp_path)))
    assert fields[COLUMNS].iloc[1].tolist() == ["7", "A01", "treated", "BRD-1", 0.01, ""]
    assert fields["role"].tolist() == ["treated", "treated", "mock"], "a well without a compound is mock treated"
    assert fields["site"].tolist() == [1, 2, 1]
    assert fields["path_DNA"].tolist() == [str(tmp_path / "img/1.tif"), "", str(tmp_path / "img/3.tif")]


def test_absolute_paths_stay_and_missing_sites_are_one(tmp_path):
    path = load_data(tmp_path, PathName_OrigDNA="/images")
    pd.read_csv(path).drop(columns="Metadata_Site").to_csv(path, index=False)
    fields = read_load_data(own_screen(path))
    assert fields["path_DNA"].iloc[0] == "/images/1.tif"
    assert set(fields["site"]) == {1}


@pytest.mark.parametrize("column", ["Metadata_mmoles_per_liter", "Metadata_Site"])
def test_text_where_a_number_belongs_is_refused(tmp_path, column):
    path = load_data(tmp_path, **{column: ["1", "10 uM", "1"]})
    with pytest.raises(FormatError, match=f"{column} holds '10 uM'"):
        read_load_data(own_screen(path))


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(FormatError, match="no column PathName_OrigRNA, FileName_OrigRNA"):
        read_load_data(own_screen(load_data(tmp_path), channels=["DNA", "RNA"]))


def test_a_real_load_data_table(real_data):
    path = real_data / "bbbc021" / "load_data.csv"
    screen = own_screen(
        path,
        channels=["DNA", "Tubulin", "Actin"],
        compound_column="Metadata_pert_iname",
        batch_column="Metadata_Batch",
    )
    fields = read_load_data(screen)
    assert len(fields) == 372
    assert fields[["plate", "well"]].drop_duplicates().shape[0] == 93
    assert fields["plate"].nunique() == 24
    assert fields["compound"].nunique() == 13
    assert fields[["compound", "concentration"]].drop_duplicates().shape[0] == 31
    assert (fields.groupby("compound")["batch"].nunique() == 1).all(), "each compound was imaged in one week"
