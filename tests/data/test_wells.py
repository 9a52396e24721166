"""What was put into each well: GigaDB's tables and LoadData tables give the same columns."""

import pandas as pd
import pytest

from cloome.config import ArchiveScreen, LoadDataScreen, NpzScreen
from cloome.data.wells import (
    COLUMNS,
    normal_well,
    parse_sample_key,
    plate_names,
    read_load_data,
    read_npz_index,
    read_profiles,
    read_quality,
)
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


def profile_file(tmp_path, role="treated", **columns):
    table = {
        "Metadata_Plate": [24277, 24277],
        "Metadata_Well": ["a03", "p24"],
        "Metadata_ASSAY_WELL_ROLE": [role, "mock"],
        "Metadata_broad_sample": ["BRD-K18438502-001-02-6", None],
        "Metadata_mmoles_per_liter": [0.005, None],
        "Metadata_Plate_Map_Name": "H-BIOA-004-3",
        "Cells_AreaShape_Area": 1.0,
        **columns,
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


def test_a_concentration_with_its_unit_is_refused(tmp_path):
    with pytest.raises(FormatError, match="Metadata_mmoles_per_liter holds '5 uM'; write a plain number"):
        read_profiles(profile_file(tmp_path, Metadata_mmoles_per_liter=["5 uM", None]))


@pytest.mark.parametrize("column", ["Metadata_Plate", "Metadata_Well"])
def test_an_empty_plate_or_well_is_named_by_its_row(tmp_path, column):
    for path, read in (
        (profile_file(tmp_path, **{column: ["A1", None]}), read_profiles),
        (load_data(tmp_path, **{column: ["A1", None, "A1"]}), lambda path: read_load_data(own_screen(path))),
    ):
        with pytest.raises(FormatError, match=f"{path.name}: no {column} in row 2 below the header"):
            read(path)


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


def quality_file(tmp_path, **columns):
    table = {"Image_Metadata_Plate": "24277", "Well": "a01", "Site": ["1", "2"], "isSaturated": "0", "isBlurry": "0"}
    pd.DataFrame({**table, **columns}).to_csv(tmp_path / "qc.csv", index=False)
    return tmp_path / "qc.csv"


def test_flags_may_be_written_as_words(tmp_path):
    quality = read_quality(quality_file(tmp_path, isBlurry=["True", "false"], isSaturated=["", " 1"]))
    assert quality["is_blurry"].tolist() == [True, False]
    assert quality["is_saturated"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"isBlurry": ["0", "yes"]}, "column isBlurry holds 'yes'; write 1 or 0"),
        ({"Site": ["1", "two"]}, "column Site holds 'two'"),
        ({"Site": ["1", None]}, "no Site in row 2"),
        ({"Image_Metadata_Plate": [None, "24277"]}, "no Image_Metadata_Plate in row 1"),
    ],
)
def test_a_senseless_quality_table_is_refused(tmp_path, columns, message):
    with pytest.raises(FormatError, match=message):
        read_quality(quality_file(tmp_path, **columns))


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


# The index of npz files


def npz_screen(*paths, **compounds) -> NpzScreen:
    values = {"kind": "npz", "name": "n", "images": ["npz"], "index": [str(path) for path in paths]}
    return NpzScreen.model_validate(values | {"compounds": compounds})


def npz_index(tmp_path, name="index.csv", **columns):
    # As the tables of hti-cnn: real names of columns, whole numbers beside an empty cell.
    table = {
        "SAMPLE_KEY": ["24277-A03-1", "24277-A03-2", "24278-P24-1"],
        "BROAD_ID": ["BRD-K18438502-001-02-6", "BRD-K18438502-001-02-6", None],
        "PLATE_ID": [24277, 24277, 24278],
        "WELL_POSITION": ["A03", "A03", "P24"],
        "SITE": [1, 2, 1],
        "SMILES": "CCO",
        "IMG_CNT_CELLS": [80, 71, None],
        "ROW_NR_LABEL_MAT": [5.0, 5.0, None],
        **columns,
    }
    pd.DataFrame(table).to_csv(tmp_path / name, index=False)
    return tmp_path / name


def test_an_npz_index_gives_one_row_per_field(tmp_path):
    fields = read_npz_index(npz_screen(npz_index(tmp_path)))
    assert list(fields.columns) == [*COLUMNS, "site"]
    assert fields[["plate", "well", "site"]].to_numpy().tolist() == [
        ["24277", "A03", 1],
        ["24277", "A03", 2],
        ["24278", "P24", 1],
    ]
    assert fields["role"].tolist() == ["treated", "treated", "mock"], "a well without a compound is mock treated"
    assert fields["compound"].tolist() == ["BRD-K18438502-001-02-6"] * 2 + [""]
    assert fields["concentration"].isna().all()
    assert set(fields["batch"]) == {""}


def test_rows_of_one_plate_are_read_from_any_table(tmp_path):
    one = npz_index(tmp_path, "train.csv")
    keys, well = [f"7-B01-{site}" for site in (1, 2, 3)], {"WELL_POSITION": "B01", "BROAD_ID": "BRD-2"}
    two = npz_index(tmp_path, "test.csv", SAMPLE_KEY=keys, PLATE_ID=7, SITE=[1, 2, 3], **well)
    screen = npz_screen(one, two)
    assert read_npz_index(screen, "7")["site"].tolist() == [1, 2, 3]
    assert read_npz_index(screen, "24278")["well"].tolist() == ["P24"]
    with pytest.raises(FormatError, match=r"train\.csv, .*test\.csv: no row of plate 8"):
        read_npz_index(screen, "8")


def test_the_same_row_in_two_tables_counts_once(tmp_path):
    screen = npz_screen(npz_index(tmp_path, "train.csv"), npz_index(tmp_path, "all.csv", IMG_CNT_CELLS=0))
    assert len(read_npz_index(screen)) == 3


def test_two_compounds_of_one_field_contradict(tmp_path):
    screen = npz_screen(npz_index(tmp_path, "train.csv"), npz_index(tmp_path, "test.csv", BROAD_ID="BRD-2"))
    with pytest.raises(FormatError, match=r"24277-A03-1 has two compounds \('BRD-2', 'BRD-K18438502-001-02-6'\)"):
        read_npz_index(screen)


def test_wells_and_sites_of_an_npz_index_have_several_spellings(tmp_path):
    columns = {"WELL_POSITION": ["a3", "A3", "p24"], "SITE": ["1.0", "2", "01"]}
    keys = ["24277-A03-1", "24277-A3-2", "24278-p24-01"]
    fields = read_npz_index(npz_screen(npz_index(tmp_path, SAMPLE_KEY=keys, **columns)))
    assert fields["well"].tolist() == ["A03", "A03", "P24"]
    assert fields["site"].tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"SAMPLE_KEY": ["24277-A03-1", "24277-A04-2", "24278-P24-1"]}, "'24277-A04-2' in row 2 .* say 24277-A03-2"),
        ({"SAMPLE_KEY": ["x", "24277-A03-2", "24278-P24-1"]}, "SAMPLE_KEY 'x' in row 1"),
        ({"SAMPLE_KEY": [None, "24277-A03-2", "24278-P24-1"]}, "no SAMPLE_KEY in row 1"),
        ({"PLATE_ID": ["24277", None, "24278"]}, "no PLATE_ID in row 2"),
        ({"WELL_POSITION": ["A03", "A03", None]}, "no WELL_POSITION in row 3"),
        ({"WELL_POSITION": ["A03", "A03", "24P"]}, "'24P' is not a well"),
        ({"SITE": ["1", "two", "1"]}, "column SITE holds 'two'; write a plain number"),
        ({"SITE": ["1", "1.5", "1"]}, "column SITE holds 1.5; write a whole number of 0 to 9999"),
        ({"SITE": ["1", "-1", "1"]}, "column SITE holds -1"),
    ],
)
def test_a_senseless_npz_index_is_refused(tmp_path, columns, message):
    with pytest.raises(FormatError, match=rf"{message}"):
        read_npz_index(npz_screen(npz_index(tmp_path, **columns)))


def test_a_missing_column_of_an_npz_index_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"index\.csv: no column compound; it has SAMPLE_KEY, BROAD_ID"):
        read_npz_index(npz_screen(npz_index(tmp_path), id="compound"))


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("24277-A03-1", ("24277", "A03", 1)),
        ("a-b_c.d-p24-12", ("a-b_c.d", "P24", 12)),
        ("24277-A03", None),
        ("24277-A03-1-2", None),
        ("../24277-A03-1", None),
        ("24277-A03-one", None),
        ("-A03-1", None),
    ],
)
def test_a_sample_key_is_plate_well_and_site(key, field):
    assert parse_sample_key(key) == field


# Plate names


def archive_plates(plates) -> list[str]:
    return plate_names(ArchiveScreen(kind="archives", name="s", plates=plates))


def test_plates_are_listed_in_the_configuration_a_file_or_the_load_data_table(tmp_path):
    assert archive_plates(["24278", "24277"]) == ["24278", "24277"]
    (tmp_path / "plates.txt").write_text("# first batch\n24278 24277\n\n  # second\n26092\n")
    assert archive_plates(str(tmp_path / "plates.txt")) == ["24278", "24277", "26092"]
    assert plate_names(own_screen(load_data(tmp_path, Metadata_Plate=["7", "A-1.b_c", "7"]))) == ["7", "A-1.b_c"]


def test_plates_of_npz_files_are_those_of_all_index_tables_as_text(tmp_path):
    one, two = npz_index(tmp_path, "train.csv"), npz_index(tmp_path, "test.csv", PLATE_ID=[24278, 24300, 24300])
    assert plate_names(npz_screen(one, two)) == ["24277", "24278", "24300"]
    with pytest.raises(FormatError, match=r"test\.csv: no PLATE_ID in row 2 below the header"):
        plate_names(npz_screen(one, npz_index(tmp_path, "test.csv", PLATE_ID=["24278", None, "24300"])))


@pytest.mark.parametrize("name", ["a b", "a/b", "..", "-x", "a;b", "ä", ""])
def test_a_plate_name_that_would_break_paths_or_commands_is_refused(tmp_path, name):
    with pytest.raises(FormatError, match=r"screen\.plates: .* cannot be the name of a plate; use the letters"):
        archive_plates([name])
    if name:
        with pytest.raises(FormatError, match=r"load_data\.csv: .* cannot be the name of a plate"):
            plate_names(own_screen(load_data(tmp_path, Metadata_Plate=name)))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "names no plate"), (b"# none\n", "names no plate"), (b"1 2\n1", "plate 1 twice"), (b"\xff", "not a text")],
)
def test_a_senseless_file_of_plates_is_refused(tmp_path, content, message):
    (tmp_path / "plates.txt").write_bytes(content)
    with pytest.raises(FormatError, match=rf"plates\.txt: .*{message}"):
        archive_plates(str(tmp_path / "plates.txt"))


def test_a_folder_is_no_table_and_no_list_of_plates(tmp_path):
    with pytest.raises(FormatError, match=f"{tmp_path}: Is a directory; screen.plates is a list or a file"):
        archive_plates(str(tmp_path))
    with pytest.raises(FormatError, match=f"{tmp_path}: cannot be read: Is a directory"):
        plate_names(own_screen(tmp_path))


def test_a_load_data_table_without_plates_says_what_it_has(tmp_path):
    path = load_data(tmp_path)
    pd.read_csv(path).drop(columns="Metadata_Plate").to_csv(path, index=False)
    with pytest.raises(FormatError, match="no column Metadata_Plate; it has Metadata_Well, Metadata_Site"):
        plate_names(own_screen(path))
    load_data(tmp_path, Metadata_Plate=["7", None, "7"])
    with pytest.raises(FormatError, match="no Metadata_Plate in row 2 below the header"):
        plate_names(own_screen(path))
