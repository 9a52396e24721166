"""``cloome molecules``: which molecule each field shows, and what is refused."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from cloome.cli import main
from cloome.data.index import COLUMNS, measure_columns
from cloome.errors import ConfigError, FormatError
from cloome.molecules.fingerprints import morgan

ETHANOL, BENZOIC, ALANINE = (
    "LFQSCWFLJHTTHZ-UHFFFAOYSA-N",
    "WPYMKLBDIGXBTP-UHFFFAOYSA-N",
    "QNAYBMKLOCPYGJ-REOHCLBHSA-N",
)


def test_the_index_says_what_each_field_shows(screen):
    index, _, _ = screen.build()
    assert list(index.columns) == [*COLUMNS, *measure_columns(index)]
    assert {"mean_DNA", "mean_ER", "std_DNA", "std_ER"} <= set(index.columns)
    assert len(index) == 2 * 4 * 2
    row = index.set_index("sample_key").loc["2-A03-2"]
    assert (row.plate, row.well, row.site, row.role, row.compound) == ("2", "A03", 2, "treated", "BRD-3")
    assert (row.inchikey, row.concentration, row.batch) == (ALANINE, 0.01, "H-BIOA-001")
    assert (row.cell_count, row.mean_DNA, row.std_ER) == (2, 22.0, 0.0)


def test_molecules_are_sorted_and_carry_names_mechanisms_and_fingerprints(screen):
    _, molecules, refused = screen.build()
    table = molecules.table
    assert table["inchikey"].tolist() == [ETHANOL, ALANINE, BENZOIC] == sorted([ETHANOL, ALANINE, BENZOIC])
    assert table["name"].tolist() == ["ethanol", "NA", "BRD-2"], "without a name, the id; NA is a name"
    assert table["mechanism"].tolist() == ["antiseptic|solvent", "food", ""]
    assert table["scaffold"].tolist() == ["", "", "c1ccccc1"]
    np.testing.assert_array_equal(molecules.fingerprints, morgan(table["smiles"].tolist()))
    assert refused.empty


def test_fingerprint_settings_are_followed_and_written_down(screen):
    _, molecules, _ = screen.build(screen.config(molecules={"bits": 256, "radius": 1}))
    np.testing.assert_array_equal(molecules.fingerprints, morgan(molecules.table["smiles"].tolist(), 1, 256))
    with h5py.File(screen.folder / "molecules.h5") as file:
        assert json.loads(file.attrs["settings"])["radius"] == 1


def test_counts_in_place_of_bits_are_a_setting(screen):
    _, molecules, _ = screen.build(screen.config(molecules={"bits": 8192, "counts": True}))
    assert molecules.counts
    smiles = molecules.table["smiles"].tolist()
    np.testing.assert_array_equal(molecules.fingerprints, morgan(smiles, bits=8192, counts=True))


def test_mock_wells_have_no_molecule_and_are_not_refused(screen):
    screen.write_compounds([*screen.compounds, ("DMSO", "CS(C)=O", "DMSO", "")])
    index, molecules, refused = screen.build()
    assert set(index.loc[index["role"] == "mock", "inchikey"]) == {""}
    assert "CS(C)=O" not in set(molecules.table["smiles"])
    assert refused.empty


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("BRD-1", "", "", "")], "no structure"),
        ([("BRD-1", "C1CC", "", "")], "invalid SMILES"),
        ([("BRD-1", "CCO", "", ""), ("BRD-1", "CCN", "", "")], "two structures under one id"),
        ([("BRD-1", "CCO", "", ""), ("BRD-1", "C1CC", "", "")], "two structures under one id"),
        ([], "compound not in the compound table"),
    ],
)
def test_a_compound_without_one_usable_structure_is_refused_and_its_fields_stay(screen, rows, reason):
    screen.write_compounds([*screen.compounds[1:], *rows])
    index, molecules, refused = screen.build()
    assert refused["item"].tolist() == ["BRD-1"]
    assert refused["reason"].str.startswith(reason).all()
    assert len(index) == 16
    assert set(index.loc[index["compound"] == "BRD-1", "inchikey"]) == {""}
    assert len(molecules.table) == 2


@pytest.mark.parametrize("twin", ["OCC", ""])
def test_rows_of_an_id_that_agree_or_are_empty_do_not_contradict(screen, twin):
    screen.write_compounds([*screen.compounds, ("BRD-1", twin, "", "")])
    _, molecules, refused = screen.build()
    assert ETHANOL in set(molecules.table["inchikey"])
    assert refused.empty


def test_two_ids_of_one_structure_are_one_molecule(screen):
    rows = [("BRD-3", "OCC", "spirit", "fuel"), ("BRD-1", "CCO", "ethanol", "solvent"), screen.compounds[1]]
    screen.write_compounds(rows)
    index, molecules, _ = screen.build()
    one = molecules.table.set_index("inchikey").loc[ETHANOL]
    assert (one["name"], one["mechanism"]) == ("ethanol", "fuel|solvent"), "name of the first id, mechanisms of both"
    assert set(index.loc[index["inchikey"] == ETHANOL, "compound"]) == {"BRD-1", "BRD-3"}


def test_a_treated_well_without_compound_is_named(screen):
    screen.write_wells("1", [("a01", "treated", None, 0.005), *screen.wells[1:]])
    _, _, refused = screen.build()
    assert refused.to_dict("records") == [{"item": "1-A01", "reason": "treated well without a compound id"}]


def test_compounds_of_no_well_are_left_alone(screen):
    screen.write_compounds([*screen.compounds, ("BRD-9", "C1CC", "", ""), ("BRD-8", "CCC", "", "")])
    _, molecules, refused = screen.build()
    assert len(molecules.table) == 3
    assert refused.empty


def test_no_usable_structure_at_all_is_an_error_and_writes_nothing(screen):
    screen.write_compounds([("other", "CCO", "", "")])
    with pytest.raises(FormatError, match=r"not one of the 3 compounds .* check the columns"):
        screen.build()
    assert not (screen.folder / "molecules.h5").exists()
    assert not (screen.folder / "index.parquet").exists()


def test_quality_flags_belong_to_their_field(screen):
    screen.write_quality("1", [("a01", 1, 1, 0), ("a01", 2, 0, 0), ("a02", 1, None, 1), ("p24", 6, 1, 1)])
    index, _, _ = screen.build()
    assert set(index.loc[index["is_blurry"], "sample_key"]) == {"1-A01-1"}
    assert set(index.loc[index["is_saturated"], "sample_key"]) == {"1-A02-1"}
    assert index["is_blurry"].dtype == index["is_saturated"].dtype == bool


def test_one_column_may_be_both_id_and_name(screen):
    columns = {"name": "BROAD_ID"}
    config = screen.config({"kind": "archives", "name": "small", "plates": ["1"], "compounds": columns})
    assert set(screen.build(config)[1].table["name"]) == {"BRD-1", "BRD-2", "BRD-3"}


def test_mechanisms_may_come_from_a_table_of_their_own(screen):
    pd.DataFrame({"id": ["BRD-2", "BRD-2", "BRD-3", "x"], "moa": ["b ", "a|b", "", "c"]}).to_csv(
        screen.resources / "mechanisms.csv", index=False
    )
    config = screen.config(
        {"kind": "archives", "name": "s", "plates": ["1"], "mechanisms": {"id": "id", "mechanism": "moa"}}
    )
    _, molecules, _ = screen.build(config)
    assert molecules.mechanisms() == {BENZOIC: ["a", "b"]}


def test_mechanisms_of_other_ids_are_an_error(screen):
    pd.DataFrame({"name": ["ethanol"], "moa": ["solvent"]}).to_csv(screen.resources / "mechanisms.csv", index=False)
    config = screen.config(
        {"kind": "archives", "name": "s", "plates": ["1"], "mechanisms": {"id": "name", "mechanism": "moa"}}
    )
    with pytest.raises(FormatError, match=r"such as 'ethanol', .* such as 'BRD-1'; check screen\.mechanisms\.id"):
        screen.build(config)


def test_a_well_with_two_contents_is_an_error(screen):
    screen.write_wells("2", [*screen.wells, ("a01", "treated", "BRD-2", 0.005)])
    with pytest.raises(FormatError, match=r"plate 2, well A01 .* two contents \('BRD-1', 'BRD-2'"):
        screen.build()


def test_a_field_outside_the_plate_map_is_an_error(screen):
    screen.write_wells("2", screen.wells[1:])
    with pytest.raises(FormatError, match=r"2 fields .* the first 2-A01-1"):
        screen.build()


def test_plates_of_other_channels_are_an_error(screen):
    screen.write_store("2", channels=("DNA", "RNA"))
    with pytest.raises(FormatError, match="channels DNA, RNA, the screen has DNA, ER"):
        screen.build()


def test_the_folder_of_tables_must_be_named(screen):
    screen.resources = None
    with pytest.raises(ConfigError, match="--resources"):
        screen.build()


def load_data(screen) -> str:
    """A LoadData CSV of the same wells; A04 has no compound."""
    rows = [
        {
            "Metadata_Plate": plate,
            "Metadata_Well": well.upper(),
            "Metadata_Site": site,
            "Metadata_broad_sample": compound if role == "treated" else None,
            "Metadata_mmoles_per_liter": concentration,
            **{f"{kind}_Orig{channel}": "x" for kind in ("FileName", "PathName") for channel in ("DNA", "ER")},
        }
        for plate in ("1", "2")
        for well, role, compound, concentration in screen.wells
        for site in (1, 2)
    ]
    pd.DataFrame(rows).to_csv(screen.folder / "load_data.csv", index=False)
    return str(screen.folder / "load_data.csv")


def test_a_load_data_screen_gives_the_same(screen):
    from_archives, molecules_there, _ = screen.build()
    table = {"path": str(screen.resources / "compounds.csv"), "mechanism": "moa"}
    config = screen.config({"kind": "load_data", "name": "own", "load_data": load_data(screen), "compounds": table})
    screen.resources = None
    index, molecules, _ = screen.build(config)
    differ = ["batch", "compound"]
    pd.testing.assert_frame_equal(index.drop(columns=differ), from_archives.drop(columns=differ))
    pd.testing.assert_frame_equal(molecules.table, molecules_there.table)


def test_an_npz_screen_gives_the_same(screen):
    from_archives, molecules_there, _ = screen.build()
    fields = from_archives[["sample_key", "plate", "well", "site", "compound"]]
    fields = fields.assign(compound=fields["compound"].where(from_archives["role"] == "treated", ""))
    columns = ["SAMPLE_KEY", "PLATE_ID", "WELL_POSITION", "SITE", "BROAD_ID"]
    fields.set_axis(columns, axis=1).to_csv(screen.folder / "npz.csv", index=False)
    table = {"path": str(screen.resources / "compounds.csv"), "smiles": "CPD_SMILES", "mechanism": "moa"}
    files = {"images": ["unread"], "index": [str(screen.folder / "npz.csv")]}
    images = {"nuclei": "DNA", "intensity": "none"}
    config = screen.config({"kind": "npz", "name": "own", **files, "compounds": table}, images=images)
    index, molecules, _ = screen.build(config)
    differ = ["batch", "compound", "concentration"]
    pd.testing.assert_frame_equal(index.drop(columns=differ), from_archives.drop(columns=differ))
    pd.testing.assert_frame_equal(molecules.table, molecules_there.table)


def test_the_command_line(screen, capsys):
    config = screen.write_config()
    words = ["molecules", "--config", config, "--plates", *screen.stores, "--resources", str(screen.resources)]
    words += ["--out-index", str(screen.folder / "i.parquet"), "--out-molecules", str(screen.folder / "m.h5")]
    assert main(words) == 0
    written = {"i.parquet", "fields.refused.csv", "m.h5", "m.refused.csv"}
    assert written <= {path.name for path in screen.folder.iterdir()}
    (screen.resources / "compounds.csv").unlink()
    assert main(words) == 1
    assert "compounds.csv: no such file" in capsys.readouterr().err
