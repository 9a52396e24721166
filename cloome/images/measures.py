"""What is measured on each stored image: exact sums, and cheap measures of its quality. All on 8 bit."""

from dataclasses import dataclass

import cv2
import numpy as np

from cloome.data.plates import QUALITY, Statistics

# Fields are reduced, but not below this many pixels on the shorter side, before nuclei are counted: of the screen's
# fields to a quarter, where a nucleus is six pixels wide.
COUNTED_SIDE = 130
# Pixels of the smallest nucleus. In the real fields half of all nuclei have over 500, in fields of a quarter of
# their side still 30.
SMALLEST = 16
DARK = 25  # the lowest tenth of the 8-bit range
SAMPLED_ROWS = 4

# One field at a time would wait for others at each step; the fields are spread over threads instead.
cv2.setNumThreads(1)


def count_nuclei(image: np.ndarray, reduction: int = 1) -> int:
    """Count bright objects: smoothing, Otsu's threshold, connected components.

    Nuclei that touch count as one. It is a baseline's feature (a cell count tells much of toxicity), no segmentation.

    Parameters
    ----------
    image : uint8 (H, W)
        The nuclear channel.
    reduction : int
        The image is first reduced to 1 / `reduction` of its side; see `reduction_of`.

    Returns
    -------
    int
        Number of objects of `SMALLEST` pixels of the full image or more; 0 for a blank image.
    """
    image = _reduced(image, reduction)
    smooth = cv2.GaussianBlur(image, (3, 3), 0)
    if smooth.min() == smooth.max():
        return 0
    _, bright = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # No two objects share a block of 2 x 2 pixels; short labels are faster where they suffice for all blocks.
    labels_of = cv2.CV_16U if bright.size // 4 + bright.shape[0] + bright.shape[1] < 1 << 16 else cv2.CV_32S
    _, labels = cv2.connectedComponentsWithAlgorithm(bright, 8, labels_of, cv2.CCL_SPAGHETTI)
    areas = np.bincount(labels.ravel())[1:]
    return int((areas * reduction**2 >= SMALLEST).sum())


def _reduced(image: np.ndarray, reduction: int) -> np.ndarray:
    """The image at 1 / `reduction` of its side, by means over areas."""
    while reduction > 1:
        # Halving again and again is several times as fast as the same reduction at once.
        step = 2 if reduction % 2 == 0 else reduction
        size = [max(1, side // step) for side in reversed(image.shape)]
        image, reduction = cv2.resize(image, size, interpolation=cv2.INTER_AREA), reduction // step
    return image


def reduction_of(shape: tuple[int, ...]) -> int:
    """By how much a field (H, W) is reduced before its nuclei are counted: 1 for the demo's, 4 for the real ones."""
    return max(1, min(shape) // COUNTED_SIDE)


@dataclass(frozen=True)
class Measures:
    """What was measured on one channel of one image.

    ``focus`` is Brenner's gradient, the mean squared difference of pixels two columns apart, divided by the variance;
    about 2 where neighbours are independent, near 0 for a blurred or blank image. ``saturation`` is the share of
    pixels with the highest value; far above the share that was cut if the camera was at its limit. ``emptiness`` is
    the share of pixels in the lowest tenth of the range. These three look at every fourth row.
    """

    pixels: int
    sum: int
    sum_of_squares: int
    focus: float
    saturation: float
    emptiness: float


def measure(channel: np.ndarray) -> Measures:
    """Measure one channel, uint8 (H, W); the sums are exact."""
    pixels = channel.size
    total, squares = round(cv2.sumElems(channel)[0]), _sum_of_squares(channel)
    variance = squares / pixels - (total / pixels) ** 2
    sample = np.ascontiguousarray(channel[::SAMPLED_ROWS])
    focus = _brenner(sample) / variance if pixels * squares > total**2 else 0.0
    saturation = _count_above(sample, int(sample.max()) - 1) / sample.size
    return Measures(pixels, total, squares, focus, saturation, 1 - _count_above(sample, DARK) / sample.size)


def statistics_of(channels: list[Measures]) -> Statistics:
    """The sums of all channels of an image, as `Statistics.of` gives them."""
    sums = np.array([[c.sum, c.sum_of_squares, c.pixels] for c in channels], dtype=np.uint64)
    return Statistics(*sums.T)


def quality_of(channels: list[Measures]) -> dict[str, np.ndarray]:
    """The measures of quality of all channels of an image, float32 (C,) by name."""
    return {name: np.array([getattr(c, name) for c in channels], dtype=np.float32) for name in QUALITY}


def _count_above(channel: np.ndarray, level: int) -> int:
    # Not by cv2.compare, which takes an image of one pixel for a number.
    return cv2.countNonZero(cv2.threshold(channel, level, 255, cv2.THRESH_BINARY)[1])


def _brenner(channel: np.ndarray) -> float:
    if channel.shape[1] < 3:
        return 0.0
    squares = _sum_of_squares(channel[:, 2:], channel[:, :-2])
    return squares / (channel.shape[0] * (channel.shape[1] - 2))


def _sum_of_squares(*images: np.ndarray) -> int:
    """Of the values of an image, or of the differences between two; exact."""
    # OpenCV takes the root and squares it again, which is off in the last bit: by far less than 1 below 2**50.
    return round(cv2.norm(*images, cv2.NORM_L2SQR))
