"""Splits: no molecule, and in the scaffold split no scaffold, in two parts; shares as asked; the same every time."""

import numpy as np
import pandas as pd
import pytest

from cloome.cli import main
from cloome.config import PublishedSplit, RandomSplit, ReplicateSplit, ScaffoldSplit
from cloome.data.splits import part_of, read_split, write_split
from cloome.errors import ConfigError, FormatError
from cloome.molecules.split_command import make_split
from cloome.molecules.splits import published_split, random_split, replicate_split, scaffold_groups, scaffold_split
from cloome.molecules.structures import read_structure


def shares(split: pd.DataFrame) -> dict[str, float]:
    return split["part"].value_counts(normalize=True).to_dict()


def some_molecules(sizes: list[int], acyclic: int = 0) -> pd.DataFrame:
    """Molecules of one scaffold per entry of `sizes`, and acyclic ones."""
    scaffolds = np.repeat([f"scaffold{i}" for i in range(len(sizes))], sizes).tolist() + [""] * acyclic
    return pd.DataFrame({"inchikey": [f"K{i:05d}" for i in range(len(scaffolds))], "scaffold": scaffolds})


# Random


def test_a_random_split_has_the_shares_exactly():
    split = random_split([f"K{i}" for i in range(1000)], RandomSplit(kind="random", validation=0.1, test=0.2))
    assert split["inchikey"].is_unique
    assert shares(split) == {"train": 0.7, "test": 0.2, "validation": 0.1}


def test_a_random_split_follows_from_the_seed_and_not_from_the_order():
    keys = [f"K{i}" for i in range(50)]
    split = random_split(keys, RandomSplit(kind="random", seed=1))
    pd.testing.assert_frame_equal(split, random_split(keys[::-1], RandomSplit(kind="random", seed=1)))
    assert not split.equals(random_split(keys, RandomSplit(kind="random", seed=2)))


# Scaffold


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sizes", [[40, 30, *[1] * 30], [6] * 8, [5, 4, 3, 2, 1] * 10])
def test_no_scaffold_stands_in_two_parts_and_shares_are_about_met(sizes, seed):
    molecules = some_molecules(sizes)
    split = scaffold_split(molecules, ScaffoldSplit(kind="scaffold", validation=0.1, test=0.2, seed=seed))
    assert split.groupby(molecules["scaffold"])["part"].nunique().max() == 1
    # The smallest group bounds how closely whole groups can meet a share.
    nearest = min(sizes) / 2 / len(molecules) + 0.5 / len(molecules)
    assert shares(split)["test"] == pytest.approx(0.2, abs=nearest)
    assert shares(split)["validation"] == pytest.approx(0.1, abs=nearest)


def test_acyclic_molecules_are_a_group_each():
    molecules = some_molecules([], acyclic=100)
    assert scaffold_groups(molecules).tolist() == molecules["inchikey"].tolist()
    split = scaffold_split(molecules, ScaffoldSplit(kind="scaffold", validation=0.1, test=0.2))
    assert shares(split) == {"train": 0.7, "test": 0.2, "validation": 0.1}


def test_a_scaffold_split_follows_from_the_seed_and_not_from_the_order():
    molecules = some_molecules([5, 4, 3, 2, 1] * 10, acyclic=7)
    settings = ScaffoldSplit(kind="scaffold", seed=3)
    split = scaffold_split(molecules, settings)
    pd.testing.assert_frame_equal(split, scaffold_split(molecules.sample(frac=1, random_state=0), settings))
    assert not split.equals(scaffold_split(molecules, ScaffoldSplit(kind="scaffold", seed=4)))


def test_real_scaffolds_meet_the_shares(real_data, tmp_path):
    smiles = pd.read_csv(real_data / "bray" / "compounds_16978.csv.gz")["CPD_SMILES"].sample(600, random_state=2)
    molecules = pd.DataFrame([vars(read_structure(s, False)) for s in smiles]).sort_values("inchikey")
    split = scaffold_split(molecules, ScaffoldSplit(kind="scaffold", validation=0.1, test=0.2))
    assert shares(split) == pytest.approx({"train": 0.7, "test": 0.2, "validation": 0.1}, abs=0.005)
    write_split(split, tmp_path / "split.csv", scaffold_groups(molecules))


# Replicate


def wells(*rows) -> pd.DataFrame:
    """An index of one field per (plate, well, inchikey, concentration)."""
    return pd.DataFrame(rows, columns=["plate", "well", "inchikey", "concentration"])


def held_out(index: pd.DataFrame, number: int) -> set[str]:
    split = replicate_split(index, ReplicateSplit(kind="replicate", held_out=number))
    assert set(split["part"]) <= {"train", "test"}
    test = split[split["part"] == "test"]
    return set(test["plate"] + test["well"])


def test_one_plate_of_each_treatment_is_held_out_in_the_order_of_names():
    index = wells(*[(plate, well, well, 1.0) for plate in ("p3", "p1", "p2") for well in ("A01", "A02")])
    assert held_out(index, 0) == {"p1A01", "p1A02"}
    assert held_out(index, 2) == {"p3A01", "p3A02"}
    assert held_out(index, 4) == held_out(index, 1) == {"p2A01", "p2A02"}


def test_wells_of_a_treatment_on_one_plate_stay_together_and_doses_are_treatments():
    index = wells(
        ("p1", "A01", "X", 1.0),
        ("p1", "A02", "X", 1.0),
        ("p2", "A01", "X", 1.0),
        ("p2", "A02", "X", 9.0),
        ("p3", "A01", "X", 9.0),
    )
    assert held_out(index, 0) == {"p1A01", "p1A02", "p2A02"}


def test_a_treatment_on_one_plate_is_for_training_and_mock_wells_for_nothing():
    index = wells(("p1", "A01", "X", 1.0), ("p1", "A02", "Y", 1.0), ("p2", "A02", "Y", 1.0), ("p1", "A03", "", 0.0))
    split = replicate_split(index, ReplicateSplit(kind="replicate"))
    assert split.to_numpy().tolist() == [["p1", "A01", "train"], ["p1", "A02", "test"], ["p2", "A02", "train"]]


def test_without_concentrations_the_molecule_is_the_treatment():
    index = wells(*[(plate, "A01", "X", None) for plate in ("p1", "p2")]).astype({"concentration": float})
    assert held_out(index, 1) == {"p2A01"}


def test_replicates_of_a_real_screen(real_data):
    table = pd.read_csv(real_data / "bbbc021" / "load_data.csv")
    index = table.rename(columns=lambda name: name.removeprefix("Metadata_").lower())
    index = index.rename(columns={"pert_iname": "inchikey", "mmoles_per_liter": "concentration"})
    split = replicate_split(index, ReplicateSplit(kind="replicate"))
    assert split["part"].value_counts().to_dict() == {"train": 62, "test": 31}


# Published


def test_what_is_in_neither_published_table_is_for_validation():
    split = published_split(["C", "B", "A"], train={"B", "elsewhere"}, test={"A"})
    assert split.to_numpy().tolist() == [["A", "test"], ["B", "train"], ["C", "validation"]]


def test_a_molecule_in_both_published_tables_is_an_error():
    with pytest.raises(FormatError, match=r"both .* the first B"):
        published_split(["A", "B"], train={"A", "B"}, test={"B"})


@pytest.mark.parametrize(("train", "test", "empty"), [({"A"}, {"X", "Y"}, "2 .* test"), ({"X"}, {"A"}, "1 .* train")])
def test_published_tables_of_another_screen_are_an_error(train, test, empty):
    with pytest.raises(FormatError, match=f"none of the {empty} table is in this screen"):
        published_split(["A", "B"], train, test)


def test_published_tables_have_a_row_per_image(tmp_path):
    pd.DataFrame({"SAMPLE_KEY": ["1", "2", "3"], "INCHIKEY": ["A", "A", None]}).to_csv(tmp_path / "split_train.csv")
    pd.DataFrame({"SAMPLE_KEY": ["4"], "INCHIKEY": ["B"]}).to_csv(tmp_path / "split_test.csv")
    molecules = pd.DataFrame({"inchikey": ["A", "B", "C"]})
    split, _ = make_split(PublishedSplit(kind="published"), pd.DataFrame(), molecules, tmp_path)
    assert split["part"].tolist() == ["train", "test", "validation"]
    with pytest.raises(ConfigError, match="--resources"):
        make_split(PublishedSplit(kind="published"), pd.DataFrame(), molecules, None)


# The command


def command(screen, name: str, out: str) -> list[str]:
    splits = {
        "unseen": {"kind": "random", "test": 0.34, "validation": 0.33},
        "plate": {"kind": "replicate"},
        "none": {"kind": "random", "test": 0.1},
    }
    config = screen.write_config(runs={"splits": splits})
    words = ["split", "--config", config, "--split", name, "--index", str(screen.folder / "index.parquet")]
    return [*words, "--molecules", str(screen.folder / "molecules.h5"), "--out", out]


def test_the_command_writes_what_the_other_stages_read(screen):
    index, _, _ = screen.build()
    out = str(screen.folder / "split.csv")
    assert main(command(screen, "unseen", out)) == 0
    part = part_of(index, read_split(out))
    assert (part[index["role"] == "mock"] == "").all()
    assert part.groupby(index["inchikey"]).nunique().max() == 1
    assert set(part) == {"", "train", "validation", "test"}
    assert main(command(screen, "plate", out)) == 0
    assert part_of(index, read_split(out)).groupby(index["plate"]).agg(set).tolist() == [{"test", ""}, {"train", ""}]


@pytest.mark.parametrize(("name", "message"), [("other", "has no 'other'"), ("none", "leaves nothing in 'test'")])
def test_what_cannot_be_split_is_said(screen, capsys, name, message):
    screen.build()
    assert main(command(screen, name, str(screen.folder / "split.csv"))) == 1
    assert message in capsys.readouterr().err
    assert not (screen.folder / "split.csv").exists()


def test_index_and_molecules_of_two_runs_are_refused(screen, capsys):
    screen.build()
    (screen.folder / "index.parquet").rename(screen.folder / "first.parquet")
    screen.write_compounds(screen.compounds[:2])
    screen.build()
    (screen.folder / "first.parquet").replace(screen.folder / "index.parquet")
    assert main(command(screen, "unseen", str(screen.folder / "split.csv"))) == 1
    assert "1 molecules of the index are not among the molecules" in capsys.readouterr().err
