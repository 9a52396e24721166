"""One field of view from one image file per channel."""

import numpy as np

from cloome.data.pixels import read_pixels
from cloome.errors import CloomeError, FormatError


def read_field(words: list[str], channels: list[str]) -> np.ndarray:
    """Read a field of view.

    Parameters
    ----------
    words : list of str
        One file per channel in the order of `channels`, or ``CHANNEL=FILE`` in any order.
    channels : list of str
        The model's channels.

    Returns
    -------
    uint8 or uint16 (C, H, W)

    Raises
    ------
    CloomeError
        If a channel is missing, named twice or unknown.
    FormatError
        If a file cannot be read, or the files differ in size or bit depth.
    """
    paths = _by_name(words, channels) if any("=" in word for word in words) else _in_order(words, channels)
    images = [read_pixels(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if (image.shape, image.dtype) != (images[0].shape, images[0].dtype):
            raise FormatError(
                f"{path}: {image.dtype} {image.shape}, but {paths[0]} is {images[0].dtype} {images[0].shape}; "
                "give the channels of one field of view"
            )
    return np.stack(images)


def _in_order(words: list[str], channels: list[str]) -> list[str]:
    if len(words) != len(channels):
        raise CloomeError(
            f"{len(words)} image files, but the model has {len(channels)} channels; give one file for each of "
            f"{', '.join(channels)}, in this order"
        )
    return words


def _by_name(words: list[str], channels: list[str]) -> list[str]:
    named: dict[str, str] = {}
    for word in words:
        channel, equals, path = word.partition("=")
        if not equals or channel not in channels or channel in named:
            problem = "is named twice" if channel in named else "is no CHANNEL=FILE of this model"
            raise CloomeError(f"{word!r}: {problem}; the channels are {', '.join(channels)}")
        named[channel] = path
    missing = [channel for channel in channels if channel not in named]
    if missing:
        raise CloomeError(f"no file for the channel {', '.join(missing)}; write {missing[0]}=FILE as well")
    return [named[channel] for channel in channels]
