"""From 16 to 8 bit: cut the brightest pixels, scale the rest (FACTS 4, rows 1 to 3)."""

import cv2
import numpy as np

from cloome.errors import FormatError

# Share of the pixels that is cut, and the scale, of the two places in the upstream code.
PAPER = (2.8e-5, 256)
PACKAGE = (1e-4, 255)
INTENSITIES = {"paper": PAPER, "package": PACKAGE}
GREY_VALUES = 1 << 16
_VALUES = np.arange(GREY_VALUES, dtype=np.float64)


def to_uint8(
    channel: np.ndarray, cut: float = PAPER[0], scale: float = PAPER[1], out: np.ndarray | None = None
) -> np.ndarray:
    """Scale one channel of one field to 8 bit, with the same bytes as the upstream code.

    The threshold is the n-th highest pixel, n = round(H W cut), halves to even. A pixel becomes
    value * (scale / threshold) in double precision, clipped at 255 and truncated.

    Two cases go wrong upstream (FACTS 4, row 3). Here, where n rounds to 0, the threshold is the highest pixel; where
    the threshold is 0, the image is dark and the result is 0 everywhere.

    Parameters
    ----------
    channel : uint16 (H, W)
        Pixels as the camera gave them.
    cut : float
        Fraction of the pixels that is cut, 0..1.
    scale : float
        What the threshold would become if nothing were clipped.
    out : uint8 (H, W), optional
        Where the result goes.

    Returns
    -------
    uint8 (H, W)

    Raises
    ------
    FormatError
        If the image is not uint16.
    """
    if channel.dtype != np.uint16:
        raise FormatError(f"pixels are {channel.dtype}, not uint16; images of 8 bit need images.intensity: none")
    if out is None:
        out = np.empty(channel.shape, np.uint8)
    threshold = _nth_highest(channel, max(1, int(np.around(channel.size * cut)))) if channel.size else 0
    if threshold == 0:
        out[...] = 0
        return out
    return _look_up(channel, _table(threshold, float(scale)), out)


def eight_bit(pixels: np.ndarray, intensity: str, out: np.ndarray | None = None) -> np.ndarray:
    """Bring one channel to 8 bit as the setting ``images.intensity`` says.

    Parameters
    ----------
    pixels : uint8 or uint16 (H, W)
    intensity : str
        ``paper`` or ``package`` for 16-bit images; ``none`` for images that have 8 bit already.
    out : uint8 (H, W), optional
        Where the result goes.

    Returns
    -------
    uint8 (H, W)

    Raises
    ------
    FormatError
        If the bit depth does not fit the setting.
    """
    if intensity != "none":
        return to_uint8(pixels, *INTENSITIES[intensity], out=out)
    if pixels.dtype != np.uint8:
        raise FormatError(f"pixels are {pixels.dtype}, but images.intensity is none; write intensity: paper")
    if out is None:
        return pixels
    out[...] = pixels
    return out


def _nth_highest(channel: np.ndarray, n: int) -> int:
    """The n-th highest pixel value of an image that has as many."""
    rows = channel.max(axis=1)
    if n <= len(rows):
        # The n rows with the highest maxima hold n pixels of at least `lowest`, so none below it is asked for.
        lowest = np.partition(rows, -n)[-n]
        channel = channel[rows >= lowest]
        channel = channel[channel >= lowest]
    return int(np.partition(channel, -n, axis=None)[-n])


def _table(threshold: int, scale: float) -> np.ndarray:
    """The 8-bit value of each grey value: there are far fewer of these than pixels."""
    factor = scale / threshold
    # Beyond this value the product is 255 or more, and clipped.
    clipped = min(GREY_VALUES, int(255 / factor) + 2)
    table = np.full(GREY_VALUES, 255, np.uint8)
    table[:clipped] = np.minimum(_VALUES[:clipped] * factor, 255)
    return table


def _look_up(channel: np.ndarray, table: np.ndarray, out: np.ndarray) -> np.ndarray:
    if out.strides == (out.shape[1], 1):
        cv2.LUT(np.ascontiguousarray(channel), table, dst=out)
    else:  # OpenCV cannot write anywhere else
        out[...] = cv2.LUT(np.ascontiguousarray(channel), table)
    return out
