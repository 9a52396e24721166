"""What becomes one stored image: a field as it is, its tiles, or the mosaic of a well."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from cloome.config import Images, Mosaic, Tiles
from cloome.data.plates import ALL_SITES, sample_key
from cloome.errors import FormatError
from cloome.images.names import FieldFiles


@dataclass(frozen=True)
class Group:
    """Fields of one well that are stored together."""

    name: str  # sample key of the field, or of the well
    fields: tuple[FieldFiles, ...]


@dataclass(frozen=True)
class Placed:
    """One image to store."""

    site: int
    tile: int | None
    image: np.ndarray  # uint8 (C, H, W)


def groups(plate: str, fields: list[FieldFiles], settings: Images) -> list[Group]:
    """Fields, sorted by well and site, as they are stored: each by itself, or all of a well for a mosaic."""
    if settings.mosaic is None:
        return [Group(sample_key(plate, field.well, field.site), (field,)) for field in fields]
    wells = groupby(fields, key=lambda field: field.well)
    return [Group(sample_key(plate, well, ALL_SITES), tuple(members)) for well, members in wells]


def check_complete(group: Group, settings: Images) -> None:
    """Raise FormatError for a well that has more or fewer fields than its mosaic."""
    mosaic = settings.mosaic
    if mosaic is not None and len(group.fields) != mosaic.rows * mosaic.columns:
        raise FormatError(
            f"{len(group.fields)} usable fields in the well, its mosaic of {mosaic.rows} x {mosaic.columns} needs "
            f"{mosaic.rows * mosaic.columns}"
        )


def arrange(images: list[np.ndarray], sites: list[int], settings: Images) -> Iterator[Placed]:
    """Yield the images to store of one group.

    Parameters
    ----------
    images : list of uint8 (C, H, W)
        One per field, of one size.
    sites : list of int
        The site of each.
    settings : config.Images
        Tiles or mosaic.

    Raises
    ------
    FormatError
        If a tile is larger than the field, or nothing is left of a field in a mosaic.
    """
    if settings.mosaic is not None:
        yield Placed(ALL_SITES, None, _mosaic(images, settings.mosaic))
    elif settings.tiles is not None:
        for number, tile in enumerate(_tiles(images[0], settings.tiles)):
            yield Placed(sites[0], number, tile)
    else:
        yield Placed(sites[0], None, images[0])


def _tiles(image: np.ndarray, settings: Tiles) -> Iterator[np.ndarray]:
    """Whole tiles, row by row."""
    size, stride = settings.size, settings.stride or settings.size
    height, width = image.shape[1:]
    if min(height, width) < size:
        raise FormatError(f"the field is {height} x {width}, images.tiles.size is {size}")
    for top in range(0, height - size + 1, stride):
        for left in range(0, width - size + 1, stride):
            yield image[:, top : top + size, left : left + size]


def _mosaic(images: list[np.ndarray], settings: Mosaic) -> np.ndarray:
    """As hti-cnn lays out the sites of a well: row by row, each without its first columns (FACTS 2.4)."""
    if images[0].shape[2] <= settings.skip:
        raise FormatError(f"the field has {images[0].shape[2]} columns, images.mosaic.skip is {settings.skip}")
    cut = [image[:, :, settings.skip :] for image in images]
    rows = [cut[first : first + settings.columns] for first in range(0, len(cut), settings.columns)]
    return np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1)
