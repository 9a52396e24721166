"""From 16 to 8 bit: cut the brightest pixels, scale the rest (FACTS 4, rows 1 to 3)."""

import numpy as np

from cloome.errors import FormatError

# Share of the pixels that is cut, and the scale, of the two places in the upstream code.
PAPER = (2.8e-5, 256)
PACKAGE = (1e-4, 255)
INTENSITIES = {"paper": PAPER, "package": PACKAGE}


def to_uint8(channel: np.ndarray, cut: float = PAPER[0], scale: float = PAPER[1]) -> np.ndarray:
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
    if channel.size == 0:
        return np.zeros(channel.shape, np.uint8)
    counts = np.bincount(channel.ravel())
    threshold = _nth_highest(counts, max(1, int(np.around(channel.size * cut))))
    if threshold == 0:
        return np.zeros(channel.shape, np.uint8)
    # There are far fewer grey values than pixels, so each value is computed once.
    table = np.minimum(np.arange(len(counts), dtype=np.float64) * (float(scale) / threshold), 255).astype(np.uint8)
    return table.take(channel)


def eight_bit(pixels: np.ndarray, intensity: str) -> np.ndarray:
    """Bring one channel to 8 bit as the setting ``images.intensity`` says.

    Parameters
    ----------
    pixels : uint8 or uint16 (H, W)
    intensity : str
        ``paper`` or ``package`` for 16-bit images; ``none`` for images that have 8 bit already.

    Returns
    -------
    uint8 (H, W)

    Raises
    ------
    FormatError
        If the bit depth does not fit the setting.
    """
    if intensity != "none":
        return to_uint8(pixels, *INTENSITIES[intensity])
    if pixels.dtype != np.uint8:
        raise FormatError(f"pixels are {pixels.dtype}, but images.intensity is none; write intensity: paper")
    return pixels


def _nth_highest(counts: np.ndarray, n: int) -> int:
    """The n-th highest pixel value, from the number of pixels of each value."""
    from_the_top = np.cumsum(counts[::-1])
    return len(counts) - 1 - int(np.searchsorted(from_the_top, n))
