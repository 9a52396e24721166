"""Structures: what a SMILES becomes, why one is refused, and that real structures come out as published."""

import gzip

import pandas as pd
import pytest
from rdkit import Chem

from cloome.errors import FormatError
from cloome.molecules.structures import NO_STRUCTURE, parse, read_structure


def real_structures(real_data) -> pd.Series:
    with gzip.open(real_data / "bray" / "compounds_16978.csv.gz", "rt") as file:
        return pd.read_csv(file)["CPD_SMILES"]


def test_one_molecule_written_in_two_ways_is_one_structure():
    assert read_structure("OCC", False) == read_structure("C(O)C", False)
    assert read_structure("OCC", False).inchikey == "LFQSCWFLJHTTHZ-UHFFFAOYSA-N"


def test_stereoisomers_are_two_molecules_with_one_scaffold():
    left, right = (read_structure(s, False) for s in ("C[C@H](N)C(=O)Oc1ccccc1", "C[C@@H](N)C(=O)Oc1ccccc1"))
    assert left.inchikey != right.inchikey
    assert left.scaffold == right.scaffold == "c1ccccc1"


def test_an_acyclic_molecule_has_no_scaffold():
    assert read_structure("CCCl", False).scaffold == ""


def test_only_standardising_takes_the_salt_off():
    salt, base = "CC(N)c1ccccc1.Cl", "CC(N)c1ccccc1"
    assert read_structure(salt, standardise=True) == read_structure(base, standardise=True)
    assert read_structure(salt, standardise=False).inchikey != read_structure(base, standardise=False).inchikey


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("", NO_STRUCTURE),
        ("  ", NO_STRUCTURE),
        ("not a molecule", "invalid SMILES: .*wrong syntax"),
        ("C1CC", "invalid SMILES"),
        ("CF(C)C", "invalid SMILES: .*valence"),
        ("c1cccc1", "invalid SMILES: .*[Kk]ekulize"),
        ("*CC*", "invalid SMILES: .*InChIKey"),
    ],
)
def test_what_is_no_structure_is_refused_with_a_reason(smiles, reason):
    with pytest.raises(FormatError, match=reason):
        read_structure(smiles, standardise=False)


def test_rdkit_says_nothing_on_the_side(capfd):
    with pytest.raises(FormatError):
        parse("CF(C)C")
    read_structure("C[N+](C)(C)CC(=O)O", standardise=True)
    assert capfd.readouterr().err == ""
    Chem.MolFromSmiles("CF(C)C")
    assert "valence" in capfd.readouterr().err, "only these calls are silenced, not RDKit as a whole"


def test_published_inchikeys_are_met(real_data):
    table = pd.read_csv(real_data / "bbbc021" / "compounds.csv")
    computed = [read_structure(smiles, False).inchikey for smiles in table["Metadata_SMILES"]]
    assert computed == table["Metadata_InChIKey"].tolist()
    rows = pd.read_csv(real_data / "bray" / "labels" / "row-smiles.csv").sample(300, random_state=0)
    computed = [read_structure(smiles, False).inchikey for smiles in rows["SMILES"]]
    assert computed == rows["INCHIKEY"].tolist()


def check_screen(smiles: pd.Series) -> None:
    structures = [read_structure(s, False) for s in smiles]
    assert len({s.inchikey for s in structures}) == len(smiles), "the table lists each molecule once"
    again = [read_structure(s.smiles, False) for s in structures]
    assert again == structures, "the canonical SMILES is the same molecule"


def test_structures_of_the_screen(real_data):
    check_screen(real_structures(real_data).sample(1000, random_state=0))


@pytest.mark.slow
def test_all_structures_of_the_screen(real_data):
    check_screen(real_structures(real_data))
