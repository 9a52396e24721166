"""Pairs of a part of the split."""

import numpy as np
import pandas as pd
import pytest

from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.data.plates import Statistics
from cloome.data.splits import read_split
from cloome.errors import ConfigError, FormatError
from cloome.train.pairs import load_pairs, shuffled_molecules, shuffled_wells


def load(screen, part="train", crop=32, index=None, split=None):
    index = read_index(screen.index) if index is None else index
    split = read_split(screen.split) if split is None else split
    return load_pairs(index, split, part, read_molecules(screen.molecules), screen.plates, crop)


def test_pairs_are_the_part_of_the_split_sorted_by_sample_key(screen):
    inchikey = screen.inchikey()
    names = screen.names
    for part, molecules in (("train", names[:6]), ("validation", names[6:7]), ("test", names[7:])):
        pairs = load(screen, part)
        assert list(pairs.sample_key) == sorted(inchikey.index[inchikey.isin(molecules)])
        assert [names[row] for row in pairs.molecule] == [inchikey[key] for key in pairs.sample_key]
        for number, key in enumerate(pairs.sample_key):
            np.testing.assert_array_equal(pairs.fields[number], screen.image(key))


def test_statistics_are_of_the_training_images_only(screen):
    pairs = load(screen)
    expected = Statistics.of(np.stack([screen.image(key) for key in pairs.sample_key]))
    np.testing.assert_array_equal(pairs.statistics().sum, expected.sum)
    np.testing.assert_array_equal(pairs.statistics().sum_of_squares, expected.sum_of_squares)
    np.testing.assert_array_equal(pairs.statistics().pixels, expected.pixels)


def test_images_of_one_well_of_one_plate_have_one_number_of_their_own(screen):
    pairs = load(screen)
    well = ["-".join(key.split("-")[:2]) for key in pairs.sample_key]
    assert len(set(zip(well, pairs.well, strict=True))) == len(set(well)) == len(set(pairs.well)) == 12


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_pairs_never_show_an_image_with_its_own_molecule(screen, seed):
    pairs = load(screen)
    other = shuffled_molecules(pairs, seed)
    assert (other.molecule != pairs.molecule).all()
    assert sorted(set(other.molecule)) == sorted(set(pairs.molecule))
    assert (
        len(set(zip(pairs.molecule, other.molecule, strict=True))) == 6
    )  # one to one: a molecule's images stay together
    assert list(other.sample_key) == list(pairs.sample_key)
    np.testing.assert_array_equal(shuffled_molecules(pairs, seed).molecule, other.molecule)


def test_shuffled_wells_keep_their_images_together_and_may_keep_their_molecule(screen):
    pairs = load(screen)
    wells = pd.Series(pairs.molecule).groupby(pairs.well).first()
    kept = []
    for seed in range(200):
        other = shuffled_wells(pairs, seed)
        dealt = pd.Series(other.molecule).groupby(pairs.well)
        assert (dealt.nunique() == 1).all()
        assert sorted(dealt.first()) == sorted(wells)
        kept.append((dealt.first() == wells).mean())
    # 12 wells of 6 molecules: one in six keeps its molecule, as chance has it.
    assert np.mean(kept) == pytest.approx(1 / 6, abs=0.03)


@pytest.mark.parametrize("shuffled", [shuffled_molecules, shuffled_wells])
def test_pairs_of_one_molecule_cannot_be_shuffled(screen, shuffled):
    with pytest.raises(ConfigError, match="cannot be shuffled"):
        shuffled(load(screen, "validation"), 0)


def test_a_crop_larger_than_an_image_is_refused(screen):
    with pytest.raises(ConfigError, match="write crop: 40 or less"):
        load(screen, crop=41)


def test_a_molecule_that_is_not_there_is_named(screen):
    index = read_index(screen.index)
    index["inchikey"] = index["inchikey"].replace("MOLECULE-2", "NOWHERE")
    split = pd.concat([read_split(screen.split), pd.DataFrame({"inchikey": ["NOWHERE"], "part": ["train"]})])
    with pytest.raises(FormatError, match="NOWHERE"):
        load(screen, index=index, split=split)


def test_an_image_that_is_not_there_is_named(screen):
    index = read_index(screen.index)
    index["sample_key"] = index["sample_key"].replace("P1-A01-1", "P9-A01-1")
    with pytest.raises(FormatError, match="P9-A01-1"):
        load(screen, index=index)
