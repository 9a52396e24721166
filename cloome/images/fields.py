"""From the files of a plate to the fields of its store, whatever kind of screen it is."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from cloome.config import Images
from cloome.data.plates import NOT_COUNTED, Field, sample_key
from cloome.errors import FormatError
from cloome.images.intensity import eight_bit
from cloome.images.measures import count_nuclei
from cloome.images.names import FieldFiles

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10
SAMPLE = 5  # fields that say what size the images of the plate have


class Source(Protocol):
    """The files of one plate: `Archives` or `ListedImages`."""

    source: str  # what they are, in a few words
    fields: list[FieldFiles]  # sorted by well and site
    refused: list[tuple[str, str]]

    def read(self, number: int, name: str) -> np.ndarray:
        """One image of the channel with this number, uint8 or uint16 (H, W); raises FormatError."""


def stored_fields(source: Source, plate: str, channels: list[str], settings: Images) -> Iterator[Field]:
    """Decode and scale the fields of a plate one by one.

    Parameters
    ----------
    source : Source
        The files; a field that cannot be used is added to its ``refused``.
    plate : str
        Plate id.
    channels : list of str
        In the order of storage.
    settings : Images
        Intensity and nuclear channel.

    Yields
    ------
    Field
        Sorted by well and site; all of one size.
    """
    shape = _usual_shape(source)
    nuclei = None if settings.nuclei is None else channels.index(settings.nuclei)
    said = time.monotonic()
    for number, files in enumerate(source.fields, start=1):
        try:
            image = _image(source, files, channels, settings.intensity, shape)
        except FormatError as error:
            source.refused.append((sample_key(plate, files.well, files.site), str(error)))
            continue
        shape = image.shape[1:]
        count = NOT_COUNTED if nuclei is None else count_nuclei(image[nuclei])
        yield Field(files.well, files.site, image, count)
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            log.info("plate %s: %d of %d fields", plate, number, len(source.fields))


def _usual_shape(source: Source) -> tuple[int, ...] | None:
    """The most frequent size in a sample over the plate, so that one odd field cannot have all others refused."""
    shapes = Counter()
    for files in source.fields[:: max(1, len(source.fields) // SAMPLE)]:
        try:
            shapes[source.read(0, files.files[0]).shape] += 1
        except FormatError:
            continue
    return shapes.most_common(1)[0][0] if shapes else None


def _image(
    source: Source, files: FieldFiles, channels: list[str], intensity: str, shape: tuple[int, ...] | None
) -> np.ndarray:
    """All channels of a field, uint8 (C, H, W)."""
    images = []
    for number, (channel, name) in enumerate(zip(channels, files.files, strict=True)):
        pixels = source.read(number, name)
        shape = shape or pixels.shape
        if pixels.shape != shape:
            raise FormatError(f"the {channel} image is {_size(pixels.shape)}, others of the plate are {_size(shape)}")
        try:
            image = eight_bit(pixels, intensity)
        except FormatError as error:
            raise FormatError(f"the {channel} image: {error}") from error
        if not image.any():
            raise FormatError(f"the {channel} image is empty: no pixel, but for the few that are cut, is above 0")
        images.append(image)
    return np.stack(images)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
