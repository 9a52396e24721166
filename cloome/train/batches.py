"""The batches of an epoch: which images, in which order, cut where.

All of it follows from the seed and the number of the epoch alone: not from the number of readers or processes, nor
from the step at which a killed run goes on.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from cloome.config import Train
from cloome.data.read_ahead import READERS, fill_ahead
from cloome.errors import ConfigError
from cloome.model.device import host_memory
from cloome.model.images import centre_crop
from cloome.train.pairs import ONCE, Pairs

log = logging.getLogger(__name__)

SYMMETRIES = 8
Cut = Callable[[int, int], np.ndarray]  # (item, place in its bag) -> uint8 (C, crop, crop), a view into the store


@dataclass(frozen=True)
class Batch:
    """B items: a molecule and `bag` image crops of one of its wells, mostly one crop."""

    images: torch.Tensor  # uint8 (B * bag, C, crop, crop); those of item i are i * bag and the next ones
    molecule: torch.Tensor  # int64 (B,), row in the table of molecules
    keys: tuple[str, ...]  # sample keys of the images
    number: int  # of the batch within its epoch, from 0
    symmetry: torch.Tensor | None = None  # uint8 (B * bag,), 0 to 7, how each image is still to be turned; None: not

    def images_on(self, device: torch.device | str) -> torch.Tensor:
        """The images on a device, turned there; uint8 (B * bag, C, crop, crop)."""
        images = self.images.to(device, non_blocking=True)
        return images if self.symmetry is None else turned(images, self.symmetry)


def turned(images: torch.Tensor, symmetry: torch.Tensor) -> torch.Tensor:
    """Each square image (N, C, H, H) by its own of the eight symmetries of the square, as a new tensor.

    Symmetries 0 to 3 are so many quarter turns; 4 to 7 are the same, then mirrored left to right.
    """
    result = torch.empty_like(images)
    for number in range(SYMMETRIES):
        # Rows are found on the host, so that a GPU need not be waited for.
        rows = torch.nonzero(symmetry == number).flatten().to(images.device, non_blocking=True)
        view = images[rows].rot90(number % 4, (2, 3))
        result[rows] = view.flip(3) if number >= 4 else view
    return result


def steps_per_epoch(pairs: Pairs, settings: Train) -> int:
    """Full batches in an epoch; fewer items than one batch are one batch of all.

    Raises
    ------
    ConfigError
        If batches without duplicates are wanted, but there are fewer molecules than a batch has items.
    """
    molecule = pairs.molecule[_bags(pairs, settings.bag)[:, 0]]
    if settings.duplicates != "never":
        return max(1, len(molecule) // settings.batch)
    counts = np.unique(molecule, return_counts=True)[1]
    if len(counts) < settings.batch:
        raise ConfigError(
            f"train.duplicates is never, but a batch of {settings.batch} cannot be drawn from {len(counts)} "
            f"molecules; write train.batch: {len(counts)} or less, or train.duplicates: masked"
        )

    def too_many(steps: int) -> bool:
        """A molecule has a place in each batch at most; are there fewer images than places to fill?"""
        return bool(np.minimum(counts, steps).sum() < steps * settings.batch)

    # Once there are too many steps, there are so for each larger number: images run out, places do not.
    return bisect_left(range(1, len(molecule) + 1), True, key=too_many)


def training_batches(
    pairs: Pairs,
    settings: Train,
    seed: int,
    epoch: int,
    *,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    pin: bool = False,
    readers: int = READERS,
) -> Iterator[Batch]:
    """Batches of random crops of one epoch; what does not fill a batch is left out, as upstream.

    Parameters
    ----------
    pairs : Pairs
        The training pairs.
    settings : cloome.config.Train
        Size of batches, bags and crops, what to do with duplicates, augmentation.
    seed, epoch : int
        Together they fix order, crops and symmetries. Epochs count from 1.
    start : int
        The first step of the epoch to yield; those before it are not read.
    rank, world : int
        Which of how many equal parts of each batch to yield, in its order.
    pin : bool
        Put images into page-locked memory, from which a GPU copies faster.
    readers : int
        Threads that read.

    Raises
    ------
    ConfigError
        If a batch cannot be shared equally, or not be drawn without duplicates.
    """
    random = np.random.default_rng([seed, epoch])
    steps = steps_per_epoch(pairs, settings)
    items = _bags(pairs, settings.bag, random)
    size = min(settings.batch, len(items))
    if size % world:
        raise ConfigError(
            f"a batch of {size} cannot be shared equally by {world} processes; write train.batch: "
            f"{max(size - size % world, world)} or running.processes: 1"
        )
    draw = _without_duplicates if settings.duplicates == "never" else _in_any_order
    order = draw(pairs.molecule[items[:, 0]], steps, size, random)
    # One corner of RandomCrop per image: whole pixels, each position equally likely, no resizing (FACTS 4, row 8).
    corner = random.integers(0, pairs.fields.sizes()[items] - settings.crop + 1)
    symmetry = random.integers(0, SYMMETRIES, items.shape, dtype=np.uint8)
    if epoch == 1 and start == 0 and rank == 0:
        shown = len(np.unique(items[order]))
        log.info("%d batches of %d in an epoch, with %d of %d images", steps, size, shown, len(pairs))

    def cut(item: int, place: int) -> np.ndarray:
        (top, left), side = corner[item, place], settings.crop
        return pairs.fields[items[item, place]][:, top : top + side, left : left + side]

    mine = slice(rank * size // world, (rank + 1) * size // world)
    groups = [(number, order[number, mine]) for number in range(start, steps)]
    turns = None if settings.augmentation == "crop" else symmetry
    return _read(pairs, groups, items, cut, settings.crop, turns, pin, readers)


def validation_batches(
    pairs: Pairs, settings: Train, seed: int, *, pin: bool = False, readers: int = READERS
) -> Iterator[Batch]:
    """Batches of single centre crops, the same in each epoch, in nearly equal sizes and a random order.

    In the order of the sample keys a batch would hold many images of few molecules.
    """
    order = np.random.default_rng([seed, ONCE]).permutation(len(pairs))
    groups = np.array_split(order, -(-len(pairs) // settings.batch)) if len(pairs) else []

    def cut(item: int, place: int) -> np.ndarray:
        return centre_crop(pairs.fields[item], settings.crop, settings.crop)

    items = np.arange(len(pairs))[:, None]
    return _read(pairs, list(enumerate(groups)), items, cut, settings.crop, None, pin, readers)


def copied_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches; on a GPU each is copied there while the one before it is still computed on.

    That holds one more batch of 8-bit images in the GPU's memory. On a CPU nothing changes.
    """
    if device.type != "cuda":
        yield from batches
        return
    copying, computing = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    waiting: Batch | None = None
    for batch in batches:
        with torch.cuda.stream(copying):
            images = batch.images.to(device, non_blocking=True)
        copied = copying.record_event()
        # Without this, the memory could be given to another batch before this one is computed on.
        images.record_stream(computing)
        if waiting is not None:
            yield waiting
        computing.wait_event(copied)
        waiting = replace(batch, images=images)
    if waiting is not None:
        yield waiting


def _bags(pairs: Pairs, bag: int, random: np.random.Generator | None = None) -> np.ndarray:
    """Rows of the images of each item, int (items, bag): of one well, each image once, or twice where they run out.

    Without `random` the images of a well follow each other in their order.
    """
    if bag == 1:
        return np.arange(len(pairs))[:, None]
    order = np.arange(len(pairs)) if random is None else random.permutation(len(pairs))
    order = order[np.argsort(pairs.well[order], kind="stable")]
    _, first, images = np.unique(pairs.well[order], return_index=True, return_counts=True)
    places = -(-images // bag) * bag
    well = np.repeat(np.arange(len(images)), places)
    place = np.arange(len(well)) - np.repeat(np.cumsum(places) - places, places)
    return order[first[well] + place % images[well]].reshape(-1, bag)


def _in_any_order(molecule: np.ndarray, steps: int, size: int, random: np.random.Generator) -> np.ndarray:
    """Items of each batch, int (steps, size), whatever their molecules are."""
    return random.permutation(len(molecule))[: steps * size].reshape(steps, size)


def _without_duplicates(molecule: np.ndarray, steps: int, size: int, random: np.random.Generator) -> np.ndarray:
    """Items of each batch, int (steps, size), no molecule twice in one, each item at most once.

    Items are dealt out to the batches like cards, those of one molecule one after another: as these are no more than
    there are batches, no batch gets two of them.
    """
    order = random.permutation(len(molecule))
    rank = random.permutation(molecule.max() + 1)[molecule[order]]
    order = order[np.argsort(rank, kind="stable")]
    first = np.searchsorted(np.sort(rank), np.sort(rank))
    order = order[np.arange(len(order)) - first < steps]
    kept = np.sort(random.choice(len(order), steps * size, replace=False))
    return random.permutation(order[kept].reshape(size, steps).T)


def _read(
    pairs: Pairs,
    groups: list[tuple[int, np.ndarray]],
    items: np.ndarray,
    cut: Cut,
    side: int,
    symmetry: np.ndarray | None,
    pin: bool,
    readers: int,
) -> Iterator[Batch]:
    """The batches of groups of items, (number, items); several threads fill one batch, while two more wait."""
    bag = items.shape[1]

    def empty(group: tuple[int, np.ndarray]) -> torch.Tensor:
        shape = (len(group[1]) * bag, len(pairs.fields.channels), side, side)
        return host_memory(shape, pin)

    def fill(images: torch.Tensor, group: tuple[int, np.ndarray], rows: range) -> None:
        target = images.numpy()
        for row in rows:
            target[row] = cut(group[1][row // bag], row % bag)

    filled = fill_ahead(empty, fill, ((group, len(group[1]) * bag) for group in groups), readers)
    for (number, group), images in filled:
        shown = items[group]
        yield Batch(
            images,
            torch.from_numpy(pairs.molecule[shown[:, 0]]),
            tuple(pairs.sample_key[shown.ravel()]),
            number,
            None if symmetry is None else torch.from_numpy(symmetry[group].ravel()),
        )
