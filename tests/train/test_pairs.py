"""Pairs of a part, and the batches drawn from them."""

import numpy as np
import pandas as pd
import pytest
import torch

from cloome.config import Train
from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.data.plates import Statistics
from cloome.data.splits import read_split
from cloome.errors import ConfigError, FormatError
from cloome.model.images import centre_crop
from cloome.train.pairs import load_pairs, shuffled, steps_per_epoch, training_batches, validation_batches

PLAIN = Train(batch=5, crop=32)
TURNED = Train(batch=5, crop=32, augmentation="crop_and_symmetry")


def load(screen, part="train", crop=32, index=None, split=None):
    index = read_index(screen.index) if index is None else index
    split = read_split(screen.split) if split is None else split
    return load_pairs(index, split, part, read_molecules(screen.molecules), screen.plates, crop)


def stacked(batches):
    batches = list(batches)
    return torch.cat([batch.images for batch in batches]).numpy(), torch.cat([batch.molecule for batch in batches])


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


@pytest.mark.parametrize("settings", [PLAIN, TURNED], ids=["crop", "crop_and_symmetry"])
def test_every_training_image_is_a_crop_of_an_image_of_its_molecule(screen, settings):
    pairs = load(screen)
    images, molecules = stacked(training_batches(pairs, settings, seed=0, epoch=1))
    seen = {row: [] for row in set(pairs.molecule)}
    for number, row in enumerate(pairs.molecule):
        seen[row].append(pairs.fields[number])
    for image, molecule in zip(images, molecules.tolist(), strict=True):
        turned = [np.rot90(view, turns, axes=(1, 2)) for view in (image, image[..., ::-1]) for turns in range(4)]
        versions = turned if settings is TURNED else [image]
        assert any(is_crop(version, field) for version in versions for field in seen[molecule])


def is_crop(image, field) -> bool:
    height, width = field.shape[1] - 31, field.shape[2] - 31
    return any(
        np.array_equal(image, field[:, top : top + 32, left : left + 32])
        for top in range(height)
        for left in range(width)
        if field[0, top, left] == image[0, 0, 0]
    )


def test_an_epoch_shows_each_image_once_and_leaves_out_the_incomplete_batch(screen):
    pairs = load(screen)  # 24 images
    batches = list(training_batches(pairs, Train(batch=5, crop=40), seed=0, epoch=1))
    assert [len(batch.images) for batch in batches] == [5, 5, 5, 5] == [5] * steps_per_epoch(pairs, 5)
    shown = [image.tobytes() for batch in batches for image in batch.images.numpy()]
    assert len(set(shown)) == 20


def test_fewer_pairs_than_a_batch_are_one_batch(screen):
    pairs = load(screen)
    (batch,) = training_batches(pairs, Train(batch=64, crop=32), seed=0, epoch=1)
    assert sorted(batch.molecule.tolist()) == sorted(pairs.molecule)


def test_every_position_and_symmetry_is_drawn(screen):
    pairs = load(screen)
    whole = {pairs.fields[number].tobytes() for number in range(len(pairs))}
    found = set()
    for epoch in range(1, 40):
        images, _ = stacked(training_batches(pairs, Train(batch=24, crop=40, augmentation="crop"), 0, epoch))
        for image in images:
            columns = [
                left
                for left in range(9)
                for field in range(len(pairs))
                if np.array_equal(pairs.fields[field][:, :, left : left + 40], image)
            ]
            found.update(columns)
        if len(found) == 9:
            break
    assert found == set(range(9))
    assert len(whole) == 24


def test_eight_symmetries_are_drawn(make_screen, tmp_path):
    screen = make_screen(tmp_path, size=(32, 32))
    pairs = load(screen)
    originals = {pairs.fields[number].tobytes(): number for number in range(len(pairs))}
    settings = TURNED.model_copy(update={"batch": 24})
    images = np.concatenate([stacked(training_batches(pairs, settings, 0, epoch))[0] for epoch in (1, 2, 3)])
    used = set()
    for image in images:
        for number in range(8):
            undone = image[..., ::-1] if number >= 4 else image
            undone = np.rot90(undone, -(number % 4), axes=(1, 2))
            if np.ascontiguousarray(undone).tobytes() in originals:
                used.add(number)
    assert used == set(range(8))


def test_batches_depend_on_seed_and_epoch_alone(screen):
    pairs = load(screen)
    first = stacked(training_batches(pairs, TURNED, seed=0, epoch=2))[0]
    np.testing.assert_array_equal(stacked(training_batches(pairs, TURNED, seed=0, epoch=2))[0], first)
    for seed, epoch in ((0, 3), (1, 2)):
        assert not np.array_equal(stacked(training_batches(pairs, TURNED, seed, epoch))[0], first)


def test_validation_shows_centre_crops_of_all_images_in_even_batches(screen):
    pairs = load(screen)
    batches = list(validation_batches(pairs, Train(batch=10, crop=32), seed=0))
    assert [len(batch.images) for batch in batches] == [8, 8, 8]
    images, molecules = stacked(batches)
    found = {image.tobytes(): molecule for image, molecule in zip(images, molecules.tolist(), strict=True)}
    for number, molecule in enumerate(pairs.molecule):
        crop = np.ascontiguousarray(centre_crop(pairs.fields[number], 32, 32))
        assert found[crop.tobytes()] == molecule


def test_no_validation_molecules_give_no_batches(screen):
    split = read_split(screen.split).query("part != 'validation'")
    assert list(validation_batches(load(screen, "validation", split=split), PLAIN, seed=0)) == []


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_pairs_never_show_an_image_with_its_own_molecule(screen, seed):
    pairs = load(screen)
    other = shuffled(pairs, seed)
    assert (other.molecule != pairs.molecule).all()
    assert sorted(set(other.molecule)) == sorted(set(pairs.molecule))
    assert (
        len(set(zip(pairs.molecule, other.molecule, strict=True))) == 6
    )  # one to one: a molecule's images stay together
    assert list(other.sample_key) == list(pairs.sample_key)
    np.testing.assert_array_equal(shuffled(pairs, seed).molecule, other.molecule)


def test_pairs_of_one_molecule_cannot_be_shuffled(screen):
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
