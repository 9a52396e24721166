"""From 16 to 8 bit: cut the brightest pixels, scale the rest (FACTS 4, rows 1 to 3)."""

import math

import cv2
import numpy as np

from cloome.errors import FormatError

# Share of the pixels that is cut, and the scale, of the two places in the upstream code.
PAPER = (2.8e-5, 256)
PACKAGE = (1e-4, 255)
INTENSITIES = {"paper": PAPER, "package": PACKAGE}
GREY_VALUES = 1 << 16
BLOCK_ROWS = 4  # whose maxima say where the brightest pixels can be
# Of a product below 256 that is rounded three times to single precision: 3 x 256 x 2**-24, rounded up.
SINGLE_ERROR = 5e-5
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
    threshold = _nth_highest(channel, max(1, round(channel.size * cut))) if channel.size else 0
    if threshold == 0:
        out[...] = 0
        return out
    # OpenCV writes nowhere but into whole rows.
    target = out if out.strides == (out.shape[1], 1) else np.empty(out.shape, np.uint8)
    _scale(np.ascontiguousarray(channel), threshold, float(scale), target)
    if target is not out:
        out[...] = target
    return out


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
    blocks = channel.reshape(len(channel) // math.gcd(len(channel), BLOCK_ROWS), -1)
    if n <= len(blocks):
        # The n blocks with the highest maxima hold n pixels of at least `lowest`, so none below it is asked for.
        highest = blocks.max(axis=1)
        lowest = np.partition(highest, -n)[-n]
        channel = blocks[highest >= lowest]
        channel = channel[channel >= lowest]
    return int(np.partition(channel, -n, axis=None)[-n])


def _scale(channel: np.ndarray, threshold: int, scale: float, out: np.ndarray) -> None:
    """Scale all pixels: in single precision where this gives the same bytes, else by a table."""
    factor = scale / threshold
    # Beyond this value the product is 255 or more, and clipped.
    products = _VALUES[: min(GREY_VALUES, int(255 / factor) + 2)] * factor
    # OpenCV rounds, which truncates once a half is subtracted. Products are multiples of 1 / threshold; half a step
    # more keeps whole ones off the edge. None may come so near to it that single precision could take it across.
    half_step = 0.5 / threshold
    above = float((products - np.floor(products)).max())
    if half_step > SINGLE_ERROR and above + half_step + SINGLE_ERROR < 1:
        cv2.convertScaleAbs(channel, dst=out, alpha=factor, beta=half_step - 0.5)
        return
    levels = np.minimum(products, 255).astype(np.uint8)
    table = np.full(GREY_VALUES, 255, np.uint8)
    table[: len(levels)] = levels
    cv2.LUT(channel, table, dst=out)
