"""Morgan fingerprints: the bits that the published models were trained on."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import AllChem, rdFingerprintGenerator

from cloome.errors import FormatError
from cloome.molecules.fingerprints import morgan
from cloome.molecules.structures import read_structure


def upstream_bits(smiles: str) -> np.ndarray:
    """As the upstream code does it, with RDKit's older function."""
    bits = np.zeros(1024, np.uint8)
    with rdBase.BlockLogs():
        vector = AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(smiles), 3, nBits=1024, useChirality=True)
    DataStructs.ConvertToNumpyArray(vector, bits)
    return bits


def check_screen(smiles: list[str]) -> None:
    fingerprints = morgan(smiles)
    assert fingerprints.shape == (len(smiles), 1024)
    assert fingerprints.dtype == np.uint8
    np.testing.assert_array_equal(fingerprints, np.stack([upstream_bits(s) for s in smiles]))
    canonical = [read_structure(s, False).smiles for s in smiles]
    np.testing.assert_array_equal(morgan(canonical), fingerprints)


def test_bits_are_those_of_the_upstream_code_and_of_the_canonical_smiles(real_data):
    table = pd.read_csv(real_data / "bray" / "compounds_16978.csv.gz")
    check_screen(table["CPD_SMILES"].sample(1000, random_state=1).tolist())


@pytest.mark.slow
def test_all_bits_are_those_of_the_upstream_code(real_data):
    check_screen(pd.read_csv(real_data / "bray" / "compounds_16978.csv.gz")["CPD_SMILES"].tolist())


def test_only_chirality_tells_stereoisomers_apart():
    pair = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"]
    assert (morgan(pair)[0] != morgan(pair)[1]).any()
    blind = morgan(pair, chirality=False)
    np.testing.assert_array_equal(blind[0], blind[1])


def substructures(smiles: str, bits: int) -> np.ndarray:
    """How often each substructure occurs, counted one by one with RDKit's unfolded fingerprint."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=3, includeChirality=True)
    counts = np.zeros(bits, int)
    for substructure, count in (
        generator.GetSparseCountFingerprint(Chem.MolFromSmiles(smiles)).GetNonzeroElements().items()
    ):
        counts[substructure % bits] += count
    return counts


@pytest.mark.parametrize("bits", [1024, 8192])
def test_counts_say_how_often_a_substructure_occurs(bits):
    smiles = ["CC(=O)Oc1ccccc1C(O)=O", "CCCCCCCCCCCC", "C[C@H](N)C(=O)O"]
    fingerprints = morgan(smiles, bits=bits, counts=True)
    assert fingerprints.dtype == np.uint8
    np.testing.assert_array_equal(fingerprints, [substructures(one, bits) for one in smiles])
    np.testing.assert_array_equal(fingerprints > 0, morgan(smiles, bits=bits))


def test_counts_end_at_what_a_byte_holds():
    assert morgan(["C" * 400], counts=True).max() == 255


def test_radius_and_length_are_settings():
    phenol = ["Oc1ccccc1"]
    assert morgan(phenol, bits=2048).shape == (1, 2048)
    assert morgan(phenol, radius=0).sum() < morgan(phenol, radius=1).sum() < morgan(phenol, radius=3).sum()


def test_no_structures_give_no_rows():
    assert morgan([]).shape == (0, 1024)


@pytest.mark.parametrize("smiles", ["C1CC", ""])
def test_what_is_no_structure_is_named(smiles):
    with pytest.raises(FormatError, match="C1CC" if smiles else "no structure"):
        morgan(["CCO", smiles])
