"""Molecules and embeddings: what is written is read; a truncated file or one of another kind is refused."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest

from cloome.data.embeddings import Embeddings, read_embeddings, unit_and_length, write_embeddings
from cloome.data.files import create_h5
from cloome.data.molecules import TEXTS, Molecules, read_molecules, write_molecules
from cloome.errors import FormatError


@pytest.fixture
def molecules() -> Molecules:
    rows = [("A", "CCO", "", "Äthanol", "solvent|x"), ("B", "c1ccccc1", "c1ccccc1", "B", "")]
    bits = np.random.default_rng(0).integers(0, 2, (2, 24), dtype=np.uint8)
    return Molecules(pd.DataFrame(rows, columns=TEXTS), bits)


@pytest.fixture
def embeddings() -> Embeddings:
    random = np.random.default_rng(0)
    image, molecule = random.normal(size=(3, 4)).astype(np.float32), random.normal(size=(2, 4)).astype(np.float32)
    return Embeddings(
        sample_key=np.array(["1-A01-1", "1-A01-2", "1-A02-1"], object),
        image=image,
        length=np.array([0.5, 1, 2], np.float32),
        inchikey=np.array(["A", "B"], object),
        molecule=molecule,
        crop=(520, 696),
        model="f00d",
    )


def test_molecules_come_back(molecules, tmp_path):
    path = tmp_path / "molecules.h5"
    write_molecules(molecules, path, {"radius": 3})
    back = read_molecules(path)
    assert back.table.to_numpy().tolist() == molecules.table.to_numpy().tolist()
    np.testing.assert_array_equal(back.fingerprints, molecules.fingerprints)
    assert back.mechanisms() == {"A": ["solvent", "x"]}
    with h5py.File(path) as file:
        assert file["fingerprint"].shape == (2, 3), "eight bits in a byte"
        assert json.loads(file.attrs["settings"]) == {"radius": 3}


def test_counts_come_back_whole_and_are_not_taken_for_bits(molecules, tmp_path):
    path = tmp_path / "molecules.h5"
    counted = replace(molecules, fingerprints=molecules.fingerprints * np.array([[255], [7]], np.uint8), counts=True)
    write_molecules(counted, path, {})
    back = read_molecules(path)
    assert back.counts
    assert back.fingerprints.dtype == np.uint8
    np.testing.assert_array_equal(back.fingerprints, counted.fingerprints)
    with pytest.raises(FormatError, match="fingerprints of bits hold counts"):
        write_molecules(replace(counted, counts=False), path, {})


def test_embeddings_come_back(embeddings, tmp_path):
    path = tmp_path / "embeddings.h5"
    write_embeddings(embeddings, path)
    back = read_embeddings(path)
    for name in ("sample_key", "image", "length", "inchikey", "molecule"):
        np.testing.assert_array_equal(getattr(back, name), getattr(embeddings, name))
    assert back.image.dtype == back.length.dtype == back.molecule.dtype == np.float32
    assert (back.crop, back.model) == ((520, 696), "f00d")


def test_embeddings_of_whole_images_only_come_back(embeddings, tmp_path):
    path = tmp_path / "embeddings.h5"
    no_molecules = {"inchikey": np.array([], object), "molecule": np.zeros((0, 4), np.float32)}
    write_embeddings(replace(embeddings, **no_molecules, crop=None), path)
    back = read_embeddings(path)
    assert (back.image.shape, back.molecule.shape, len(back.inchikey)) == ((3, 4), (0, 4), 0)
    assert back.crop is None


def test_features_are_direction_times_length():
    features = np.array([[3, 4], [0, 0], [0, -2]], np.float32)
    unit, length = unit_and_length(features)
    assert unit.dtype == length.dtype == np.float32
    assert length.tolist() == [5, 0, 2]
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [0, -1]])


def test_a_wrong_file_is_named_as_such(molecules, embeddings, tmp_path):
    path = tmp_path / "file.h5"
    with pytest.raises(FormatError, match="no such file"):
        read_molecules(path)
    write_embeddings(embeddings, path)
    with pytest.raises(FormatError, match="holds embeddings version 2, expected molecules version 2"):
        read_molecules(path)
    with create_h5(path, "molecules", 99):
        pass
    with pytest.raises(FormatError, match="version 99"):
        read_molecules(path)
    write_molecules(molecules, path, {})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FormatError, match="truncated"):
        read_molecules(path)


def test_a_failed_write_leaves_the_old_file(molecules, tmp_path):
    path = tmp_path / "molecules.h5"
    write_molecules(molecules, path, {})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_molecules(molecules, path, {"not": object()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
