"""The batches of an epoch: what they show, in which order, and what they do not depend on."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from cloome.config import Train
from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.data.splits import read_split
from cloome.errors import ConfigError
from cloome.model.images import centre_crop
from cloome.train.batches import copied_ahead, steps_per_epoch, training_batches, turned, validation_batches
from cloome.train.pairs import Pairs, load_pairs

PLAIN = Train(batch=5, crop=32)
TURNED = Train(batch=5, crop=32, augmentation="crop_and_symmetry")
NEVER = Train(batch=4, crop=32, duplicates="never")


def load(screen, part="train", crop=32, split=None) -> Pairs:
    split = read_split(screen.split) if split is None else split
    return load_pairs(read_index(screen.index), split, part, read_molecules(screen.molecules), screen.plates, crop)


@dataclass
class Numbered:
    """Stands for stored images whose every pixel is the number of the image."""

    count: int
    channels: tuple[str, ...] = ("DNA",)

    def __getitem__(self, number):
        return np.full((1, 34, 34), number, dtype=np.uint8)

    def sizes(self):
        return np.full((self.count, 2), 34)


def numbered(molecule: list[int], well: list[int] | None = None) -> Pairs:
    """Pairs of such images, each in a well of its own if not told otherwise."""
    keys = np.array([f"P-A01-{number}" for number in range(len(molecule))], dtype=object)
    well = range(len(molecule)) if well is None else well
    return Pairs(keys, Numbered(len(molecule)), np.array(molecule, dtype=np.int64), np.array(well, dtype=np.int64))


def numbers(batch) -> list[int]:
    """The images of a batch of such pairs."""
    return batch.images[:, 0, 0, 0].tolist()


def stacked(batches):
    batches = list(batches)
    images = torch.cat([batch.images_on("cpu") for batch in batches]).numpy()
    return images, torch.cat([batch.molecule for batch in batches])


def same(first, second) -> bool:
    """Whether two lists of batches are the same to the bit."""
    return all(
        torch.equal(one.images_on("cpu"), other.images_on("cpu"))
        and torch.equal(one.molecule, other.molecule)
        and (one.keys, one.number) == (other.keys, other.number)
        for one, other in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("settings", [PLAIN, TURNED], ids=["crop", "crop_and_symmetry"])
def test_every_training_image_is_a_crop_of_the_image_that_its_key_names(screen, settings):
    pairs = load(screen)
    row = {key: number for number, key in enumerate(pairs.sample_key)}
    for batch in training_batches(pairs, settings, seed=0, epoch=1):
        for image, key, molecule in zip(batch.images_on("cpu").numpy(), batch.keys, batch.molecule, strict=True):
            views = [np.rot90(view, turns, axes=(1, 2)) for view in (image, image[..., ::-1]) for turns in range(4)]
            versions = views if settings is TURNED else [image]
            assert any(is_crop(version, pairs.fields[row[key]]) for version in versions)
            assert molecule == pairs.molecule[row[key]]


def is_crop(image, field) -> bool:
    height, width = field.shape[1] - 31, field.shape[2] - 31
    return any(
        np.array_equal(image, field[:, top : top + 32, left : left + 32])
        for top in range(height)
        for left in range(width)
        if field[0, top, left] == image[0, 0, 0]
    )


def test_images_stay_8_bit_on_the_host(screen):
    for batch in training_batches(load(screen), PLAIN, seed=0, epoch=1):
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous()


def test_an_epoch_shows_each_image_once_and_leaves_out_the_incomplete_batch(screen):
    pairs = load(screen)  # 24 images
    batches = list(training_batches(pairs, PLAIN, seed=0, epoch=1))
    assert [len(batch.images) for batch in batches] == [5, 5, 5, 5] == [5] * steps_per_epoch(pairs, PLAIN)
    assert [batch.number for batch in batches] == [0, 1, 2, 3]
    assert len({key for batch in batches for key in batch.keys}) == 20


def test_the_log_says_once_how_many_images_an_epoch_shows(screen, caplog):
    pairs = load(screen)
    with caplog.at_level("INFO"):
        for epoch in (1, 2):
            for rank in (0, 1):
                list(training_batches(pairs, Train(batch=10, crop=32), 0, epoch, rank=rank, world=2))
    assert [record.message for record in caplog.records] == ["2 batches of 10 in an epoch, with 20 of 24 images"]


def test_fewer_pairs_than_a_batch_are_one_batch(screen):
    pairs = load(screen)
    (batch,) = training_batches(pairs, Train(batch=64, crop=32), seed=0, epoch=1)
    assert sorted(batch.molecule.tolist()) == sorted(pairs.molecule)


def test_every_position_is_drawn(screen):
    pairs = load(screen)
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


def test_turning_a_batch_is_turning_each_image():
    images = torch.arange(9 * 2 * 3 * 3, dtype=torch.uint8).reshape(9, 2, 3, 3)
    symmetry = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 5], dtype=torch.uint8)
    for image, number, found in zip(images.numpy(), symmetry.tolist(), turned(images, symmetry), strict=True):
        expected = np.rot90(image, number % 4, axes=(1, 2))
        np.testing.assert_array_equal(found, expected[..., ::-1] if number >= 4 else expected)


def test_batches_depend_on_seed_and_epoch_alone(screen):
    pairs = load(screen)
    first = list(training_batches(pairs, TURNED, seed=0, epoch=2))
    for readers in (1, 2, 7):
        assert same(first, list(training_batches(pairs, TURNED, seed=0, epoch=2, readers=readers)))
    for seed, epoch in ((0, 3), (1, 2)):
        assert not same(first, list(training_batches(pairs, TURNED, seed, epoch)))


VARIANTS = {
    "plain": {},
    "turned": {"augmentation": "crop_and_symmetry"},
    "never": {"duplicates": "never"},
    "bags": {"bag": 2},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_epoch_resumed_at_any_step_goes_on_with_the_same_batches(screen, variant):
    pairs, settings = load(screen), Train(batch=4, crop=32, **VARIANTS[variant])
    whole = list(training_batches(pairs, settings, seed=0, epoch=3))
    assert len(whole) == steps_per_epoch(pairs, settings) > 2
    for start in range(len(whole) + 1):
        assert same(whole[start:], list(training_batches(pairs, settings, seed=0, epoch=3, start=start)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_processes_share_each_batch_in_order(screen, variant):
    pairs, settings = load(screen), Train(batch=4, crop=32, **VARIANTS[variant])
    whole = list(training_batches(pairs, settings, seed=0, epoch=1))
    parts = [list(training_batches(pairs, settings, 0, 1, rank=rank, world=2)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat([first.images_on("cpu"), second.images_on("cpu")]), batch.images_on("cpu"))
        assert torch.equal(torch.cat([first.molecule, second.molecule]), batch.molecule)
        assert first.keys + second.keys == batch.keys
        assert first.number == second.number == batch.number


def test_a_batch_that_processes_cannot_share_equally_is_refused(screen):
    with pytest.raises(ConfigError, match=r"batch of 5 .* 2 processes; write train\.batch: 4"):
        training_batches(load(screen), PLAIN, seed=0, epoch=1, world=2)


@pytest.mark.parametrize(
    ("images", "steps"),
    [
        ([3] * 8, 6),  # as many of each: none is left out
        ([1, 1, 1, 1], 1),
        ([9, 2, 2, 2, 2], 2),  # most images of the first molecule have no place
        ([9, 9, 1, 1, 1, 1], 2),
        ([7, 5, 3, 2, 2, 1, 1, 1], 5),
    ],
)
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_batches_without_duplicates_show_no_molecule_twice_and_as_many_images_as_can_be(images, steps, epoch):
    pairs = numbered(np.repeat(np.arange(len(images)), images).tolist())
    batches = list(training_batches(pairs, NEVER, seed=0, epoch=epoch))
    assert len(batches) == steps == steps_per_epoch(pairs, NEVER) == most_steps(images, NEVER.batch)
    for batch in batches:
        assert len(set(batch.molecule.tolist())) == NEVER.batch
    shown = [number for batch in batches for number in numbers(batch)]
    assert len(set(shown)) == len(shown) == steps * NEVER.batch


def most_steps(images: list[int], batch: int) -> int:
    """Batches that can be made, found the plain way: each takes the molecules that have most images left."""
    left, steps = Counter(dict(enumerate(images))), 0
    while len(+left) >= batch:
        left.subtract(molecule for molecule, _ in left.most_common(batch))
        steps += 1
    return steps


@pytest.mark.parametrize("seed", range(10))
def test_the_number_of_batches_without_duplicates_is_the_largest_for_random_screens(seed):
    random = np.random.default_rng(seed)
    images = random.integers(1, 12, random.integers(4, 15)).tolist()
    pairs = numbered(np.repeat(np.arange(len(images)), images).tolist())
    assert steps_per_epoch(pairs, NEVER) == most_steps(images, NEVER.batch)


def test_each_image_gets_its_turn_in_batches_without_duplicates():
    """One molecule has more images than there are batches, so that some are left out of each epoch."""
    pairs = numbered([0] * 9 + [1, 1, 2, 2, 3, 3, 4, 4])
    shown = Counter()
    for epoch in range(1, 61):
        for batch in training_batches(pairs, NEVER, seed=0, epoch=epoch):
            shown.update(numbers(batch))
    assert set(shown) == set(range(17))


def test_batches_without_duplicates_need_as_many_molecules():
    with pytest.raises(ConfigError, match=r"batch of 4 cannot be drawn from 3 molecules; write train\.batch: 3"):
        training_batches(numbered([0, 0, 1, 1, 2, 2]), NEVER, seed=0, epoch=1)


@pytest.mark.parametrize("duplicates", ["negatives", "never"])
def test_a_bag_holds_images_of_one_well_and_its_molecule(duplicates):
    well = np.repeat(np.arange(12), 4)
    pairs = numbered((well // 2).tolist(), well.tolist())
    settings = Train(batch=3, bag=2, crop=32, duplicates=duplicates)
    shown = []
    for batch in training_batches(pairs, settings, seed=0, epoch=1):
        assert len(batch.images) == len(batch.keys) == 6
        for (first, second), molecule in zip(batch.images[:, 0, 0, 0].view(3, 2).tolist(), batch.molecule, strict=True):
            assert first != second
            assert well[first] == well[second]
            assert molecule == pairs.molecule[first]
            shown += [first, second]
    assert sorted(shown) == list(range(48)), "24 bags, 8 batches: each image once"


def test_bags_of_a_well_differ_from_epoch_to_epoch():
    pairs, settings = numbered([0] * 6, [0] * 6), Train(batch=2, bag=3, crop=32)
    bags = {
        frozenset(numbers(batch)[:3]) for epoch in range(1, 20) for batch in training_batches(pairs, settings, 0, epoch)
    }
    assert len(bags) > 5


def test_a_well_with_too_few_images_shows_some_twice():
    pairs = numbered([0, 1, 1, 1, 2, 2, 2, 2, 2], [0, 1, 1, 1, 2, 2, 2, 2, 2])
    (batch,) = training_batches(pairs, Train(batch=4, bag=3, crop=32), seed=0, epoch=1)
    bags = sorted(sorted(bag) for bag in batch.images[:, 0, 0, 0].view(4, 3).tolist())
    assert bags[0] == [0, 0, 0]
    assert bags[1] == [1, 2, 3]
    assert Counter(bags[2] + bags[3]).keys() == {4, 5, 6, 7, 8}
    assert max(Counter(bags[2] + bags[3]).values()) == 2


def test_validation_shows_centre_crops_of_all_images_in_even_batches(screen):
    pairs = load(screen)
    batches = list(validation_batches(pairs, Train(batch=10, crop=32, bag=3), seed=0))
    assert [len(batch.images) for batch in batches] == [8, 8, 8]
    assert [batch.number for batch in batches] == [0, 1, 2]
    images, molecules = stacked(batches)
    found = {image.tobytes(): molecule for image, molecule in zip(images, molecules.tolist(), strict=True)}
    for number, molecule in enumerate(pairs.molecule):
        crop = np.ascontiguousarray(centre_crop(pairs.fields[number], 32, 32))
        assert found[crop.tobytes()] == molecule


def test_no_validation_molecules_give_no_batches(screen):
    split = read_split(screen.split).query("part != 'validation'")
    assert list(validation_batches(load(screen, "validation", split=split), PLAIN, seed=0)) == []


def test_an_image_that_cannot_be_read_stops_the_epoch_with_its_error(screen):
    class Damaged(Numbered):
        def __getitem__(self, number):
            raise ConfigError("damaged")

    pairs = replace(numbered([0, 1, 2, 3]), fields=Damaged(4))
    with pytest.raises(ConfigError, match="damaged"):
        list(training_batches(pairs, Train(batch=2, crop=32), seed=0, epoch=1))


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("device", DEVICES)
def test_batches_that_are_copied_ahead_are_the_same_batches(screen, device):
    pairs, on_gpu = load(screen), device == "cuda"
    expected = list(training_batches(pairs, TURNED, seed=0, epoch=1))
    batches = training_batches(pairs, TURNED, seed=0, epoch=1, pin=on_gpu)
    found = []
    for batch in copied_ahead(batches, torch.device(device)):
        assert batch.images.device.type == device
        found.append(replace(batch, images=batch.images.cpu()))
    assert same(expected, found)
