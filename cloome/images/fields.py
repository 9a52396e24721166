"""From the files of a plate to the images of its store, whatever kind of screen it is."""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import cv2
import imagecodecs
import numpy as np

from cloome.config import Images
from cloome.data.plates import GZIP_LEVEL, NOT_COUNTED, Field
from cloome.data.read_ahead import read_ahead
from cloome.errors import FormatError
from cloome.images.illumination import Functions, corrected
from cloome.images.intensity import eight_bit
from cloome.images.layout import Group, Placed, arrange, check_complete, groups
from cloome.images.measures import Measures, count_nuclei, measure, quality_of, reduction_of, statistics_of
from cloome.images.names import FieldFiles

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10
SAMPLE = 5  # fields that say what size the images of the plate have


class Source(Protocol):
    """The files of one plate: `Archives`, `ListedImages` or `Preprocessed`."""

    source: str  # what they are, in a few words
    fields: list[FieldFiles]  # sorted by well and site
    refused: list[tuple[str, str]]

    def channels(self, files: FieldFiles) -> Iterator[np.ndarray]:
        """The image of each channel, uint8 or uint16 (H, W), valid until the next; raises FormatError."""


@dataclass(frozen=True)
class Recipe:
    """How the images of a plate are made."""

    channels: list[str]  # in the order of storage
    settings: Images
    functions: Functions | None  # illumination correction
    shape: tuple[int, ...] | None  # of the plate's fields; None: not a single one can be read
    # Images that are stored already: memory that is used again costs a tenth less time than fresh memory.
    spare: deque[np.ndarray] = field(default_factory=deque)

    def memory(self, shape: tuple[int, ...]) -> np.ndarray:
        """Room for an image, uint8 (C, H, W)."""
        try:
            image = self.spare.pop()
        except IndexError:
            return np.empty(shape, np.uint8)
        return image if image.shape == shape else np.empty(shape, np.uint8)


def stored_fields(
    source: Source, plate: str, channels: list[str], settings: Images, functions: Functions | None, threads: int
) -> Iterator[Field]:
    """Decode, scale and measure the images of a plate, in background threads.

    Parameters
    ----------
    source : Source
        The files; what cannot be used is added to its ``refused``.
    plate : str
        Plate id.
    channels : list of str
        In the order of storage.
    settings : Images
        Intensity, layout and nuclear channel.
    functions : Functions or None
        Illumination correction functions of the channels.
    threads : int
        Number of threads. So many fields, and as many more, are in memory at once, whatever the plate's size.

    Yields
    ------
    Field
        Sorted by well, site and tile; all of one size. Its image is valid until the next one is asked for.
    """
    recipe = Recipe(channels, settings, functions, _usual_shape(source))
    parts = groups(plate, source.fields, settings)
    said = time.monotonic()
    make = partial(_make, source, recipe)
    # One thread by itself needs no other to wait for it.
    made = map(make, parts) if threads == 1 else read_ahead(make, parts, readers=threads, ahead=2 * threads)
    for number, (group, fields) in enumerate(zip(parts, made, strict=True), start=1):
        if isinstance(fields, str):
            source.refused.append((group.name, fields))
            continue
        yield from fields
        recipe.spare.extend(stored.image for stored in fields if stored.image.shape[1:] == recipe.shape)
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            log.info("plate %s: %d of %d", plate, number, len(parts))


def _usual_shape(source: Source) -> tuple[int, ...] | None:
    """The most frequent size in a sample over the plate, so that one odd field cannot have all others refused."""
    shapes = Counter()
    for files in source.fields[:: max(1, len(source.fields) // SAMPLE)]:
        try:
            shapes[next(source.channels(files)).shape] += 1
        except FormatError:
            continue
    return shapes.most_common(1)[0][0] if shapes else None


def _make(source: Source, recipe: Recipe, group: Group) -> list[Field] | str:
    """The images of a group of fields, or the reason why there are none."""
    settings = recipe.settings
    try:
        check_complete(group, settings)
        scaled = [_scaled(source, files, recipe) for files in group.fields]
        images = [_resized(image, settings.resize) for image, _ in scaled]
        well, reduction = group.fields[0].well, reduction_of(images[0].shape[1:])
        made = []
        for place in arrange(images, [files.site for files in group.fields], settings):
            image = np.ascontiguousarray(place.image)
            measures = scaled[0][1] if image is scaled[0][0] else [measure(channel) for channel in image]
            made.append(_field(well, place, image, measures, reduction, recipe))
        return made
    except FormatError as error:
        return str(error)


def _scaled(source: Source, files: FieldFiles, recipe: Recipe) -> tuple[np.ndarray, list[Measures]]:
    """All channels of a field, uint8 (C, H, W), each measured while it is still in the processor's cache."""
    image, shape, measures = None, recipe.shape, []
    for number, (channel, pixels) in enumerate(zip(recipe.channels, source.channels(files), strict=True)):
        shape = shape or pixels.shape
        if pixels.shape != shape:
            raise FormatError(f"the {channel} image is {_size(pixels.shape)}, others of the plate are {_size(shape)}")
        if image is None:
            image = recipe.memory((len(recipe.channels), *shape))
        try:
            if recipe.functions is not None:
                pixels = corrected(pixels, recipe.functions[number])
            eight_bit(pixels, recipe.settings.intensity, out=image[number])
        except FormatError as error:
            raise FormatError(f"the {channel} image: {error}") from error
        measures.append(measure(image[number]))
        if measures[-1].sum == 0:
            raise FormatError(f"the {channel} image is empty: no pixel, but for the few that are cut, is above 0")
    return image, measures


def _resized(image: np.ndarray, size: list[int] | None) -> np.ndarray:
    """By the mean over areas when it gets smaller, and bilinearly when larger."""
    if size is None:
        return image
    height, width = size
    smaller = height <= image.shape[1] and width <= image.shape[2]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.stack([cv2.resize(channel, (width, height), interpolation=way) for channel in image])


def _field(
    well: str, place: Placed, image: np.ndarray, measures: list[Measures], reduction: int, recipe: Recipe
) -> Field:
    settings = recipe.settings
    count = NOT_COUNTED
    if settings.nuclei is not None:
        count = count_nuclei(image[recipe.channels.index(settings.nuclei)], reduction)
    packed = imagecodecs.deflate_encode(image, level=GZIP_LEVEL) if settings.compression == "gzip" else None
    return Field(well, place.site, image, count, place.tile, statistics_of(measures), quality_of(measures), packed)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
