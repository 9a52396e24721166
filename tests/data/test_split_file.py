"""The split file: nothing leaks, and each field of the index finds its part."""

import pandas as pd
import pytest

from cloome.data.splits import part_of, read_split, write_split
from cloome.errors import FormatError


def by_molecule(**parts: str) -> pd.DataFrame:
    return pd.DataFrame({"inchikey": list(parts), "part": list(parts.values())})


def test_what_is_written_is_read(tmp_path):
    split = by_molecule(A="train", B="test", C="validation")
    write_split(split, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv").to_numpy().tolist() == split.to_numpy().tolist()


@pytest.mark.parametrize(
    ("split", "group", "message"),
    [
        (pd.concat([by_molecule(A="train"), by_molecule(A="test")]), None, r"\['A'\] stands in it twice"),
        (by_molecule(A="train", B="test", C="holdout"), None, "holdout"),
        (by_molecule(A="train", B="validation"), None, "leaves nothing in 'test'"),
        (by_molecule(A="test"), None, "leaves nothing in 'train'"),
        (by_molecule(A="train", B="test", C="train"), pd.Series(["x", "x", "y"]), "'x' stands in two parts"),
        (pd.DataFrame({"molecule": ["A"], "part": ["train"]}), None, "columns inchikey, part or plate, well, part"),
    ],
)
def test_a_leaking_or_senseless_split_is_not_written(tmp_path, split, group, message):
    with pytest.raises(FormatError, match=message):
        write_split(split, tmp_path / "split.csv", group)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("A,trian", "a part is called 'trian'; the parts are train, validation, test"),
        ("A,", "a part is called ''"),
        ("A,train\nA,test", r"\['A'\] stands in it twice"),
    ],
)
def test_a_split_made_by_hand_is_checked_too(tmp_path, rows, message):
    path = tmp_path / "split.csv"
    path.write_text(f"inchikey,part\nB,test\n{rows}\n")
    with pytest.raises(FormatError, match=rf"split\.csv: {message}"):
        read_split(path)


def test_each_field_finds_its_part_by_molecule_or_by_well():
    index = pd.DataFrame(
        {"plate": ["1", "1", "1", "2"], "well": ["A01", "A02", "A03", "A01"], "inchikey": ["A", "B", "", "C"]},
        index=[7, 3, 5, 1],
    )
    part = part_of(index, by_molecule(B="test", A="train"))
    assert part.to_dict() == {7: "train", 3: "test", 5: "", 1: ""}, "no molecule, or none that the split knows: ''"
    wells = pd.DataFrame({"plate": ["1", "2", "1"], "well": ["A01", "A01", "A03"], "part": ["train", "test", "test"]})
    assert part_of(index, wells).to_dict() == {7: "train", 3: "", 5: "", 1: "test"}


def test_plate_names_stay_text(tmp_path):
    split = pd.DataFrame({"plate": ["0012", "0013"], "well": ["A01", "A01"], "part": ["train", "test"]})
    write_split(split, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv")["plate"].tolist() == ["0012", "0013"]
