"""What is measured on a stored image: sums that are exact, quality by plain formulae, and cells as bright objects."""

import cv2
import numpy as np
import pytest

from cloome.data.plates import QUALITY, Statistics
from cloome.images.measures import count_nuclei, measure, quality_of, reduction_of, statistics_of


def noise(shape, highest=256, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, highest, shape, dtype=np.uint8)


IMAGES = {
    "a real size": noise((5, 520, 696)),
    "all 255 at a real size": np.full((5, 520, 696), 255, np.uint8),
    "all 255, a mosaic of a well": np.full((2, 1040, 2076), 255, np.uint8),
    "blank": np.zeros((2, 40, 50), np.uint8),
    "1 pixel": noise((3, 1, 1)),
    "1 column": noise((2, 40, 1)),
    "1 row": noise((2, 1, 50)),
    "1 channel": noise((1, 30, 40)),
    "dark": noise((2, 33, 47), highest=3),
    **{f"noise of {h} x {w}": noise((2, h, w), seed=h) for h, w in np.random.default_rng(0).integers(1, 400, (30, 2))},
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_statistics_are_the_exact_ones(image):
    found, expected = statistics_of(list(map(measure, image))), Statistics.of(image)
    for name in ("sum", "sum_of_squares", "pixels"):
        assert getattr(found, name).dtype == np.uint64
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


def naive_quality(channel: np.ndarray) -> dict[str, float]:
    fourth = channel[::4]
    rows, variance = fourth.astype(np.float64), channel.astype(np.float64).var()
    gradient = np.mean((rows[:, 2:] - rows[:, :-2]) ** 2) if channel.shape[1] > 2 else 0.0
    focus = gradient / variance if variance else 0.0
    return {"focus": focus, "saturation": np.mean(fourth == fourth.max()), "emptiness": np.mean(fourth <= 25)}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_quality_is_what_the_formulae_say(image):
    found = quality_of(list(map(measure, image)))
    assert tuple(found) == QUALITY
    for number, channel in enumerate(image):
        for name, value in naive_quality(channel).items():
            assert found[name].dtype == np.float32
            assert found[name][number] == pytest.approx(value, rel=1e-5, abs=1e-12), (name, number)


def measured(image: np.ndarray) -> dict[str, float]:
    """Quality of a single channel."""
    return {name: float(values[0]) for name, values in quality_of([measure(image)]).items()}


def test_focus_falls_the_more_an_image_is_blurred():
    sharp = noise((128, 160))
    focus = [measured(sharp)["focus"]]
    focus += [measured(cv2.GaussianBlur(sharp, (0, 0), sigma))["focus"] for sigma in (0.5, 1, 2, 4, 8)]
    assert focus[0] == pytest.approx(2, abs=0.05), "neighbours are independent"
    assert focus == sorted(focus, reverse=True)
    assert focus[-1] < 0.1


def test_focus_does_not_hang_on_brightness():
    dim = noise((128, 160), highest=100)
    assert measured(dim * 2)["focus"] == pytest.approx(measured(dim)["focus"], rel=1e-6)
    assert measured(dim + 50)["focus"] == pytest.approx(measured(dim)["focus"], rel=1e-6)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_blank_image_is_out_of_focus(value):
    assert measured(np.full((40, 50), value, np.uint8))["focus"] == 0


def test_saturation_is_the_share_at_the_highest_value_in_every_fourth_row():
    image = np.zeros((40, 10), np.uint8)
    image[0, :3] = 90
    image[1] = 200  # a row that is not looked at
    assert measured(image)["saturation"] == pytest.approx(0.03)
    image[4] = 255
    assert measured(image)["saturation"] == pytest.approx(0.10)
    assert measured(np.zeros((10, 10), np.uint8))["saturation"] == 1


def test_emptiness_is_the_share_in_the_lowest_tenth_in_every_fourth_row():
    image = np.full((40, 10), 200, np.uint8)
    image[0] = [0, 1, 24, 25, 26, 27, 100, 255, 25, 26]
    image[1] = 0  # a row that is not looked at
    assert measured(image)["emptiness"] == pytest.approx(0.05)


def discs(shape, centres, radius, brightness=200, background=10) -> np.ndarray:
    rows, columns = np.indices(shape)
    image = np.random.default_rng(0).normal(background, 3, shape)
    for row, column in centres:
        image[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = brightness
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("shape", "radius"), [((128, 160), 4), ((520, 696), 13)])
@pytest.mark.parametrize("reduction", [1, 2])
def test_each_bright_disc_is_a_nucleus(shape, radius, reduction):
    centres = [(row, column) for row in range(20, shape[0] - 19, 40) for column in range(20, shape[1] - 19, 40)]
    assert count_nuclei(discs(shape, centres, radius), reduction) == len(centres)


@pytest.mark.parametrize("reduction", [1, 2])
def test_specks_are_no_nuclei(reduction):
    image = discs((128, 160), [(30, 30), (90, 100)], 8) | discs((128, 160), [(64, 20)], 1)
    assert count_nuclei(image, reduction) == 2


def test_nuclei_that_touch_count_as_one():
    assert count_nuclei(discs((128, 160), [(60, 60), (60, 70)], 6)) == 1


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("reduction", [1, 2])
def test_a_blank_image_has_none(value, reduction):
    assert count_nuclei(np.full((128, 160), value, np.uint8), reduction) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 15), (15, 1), (2, 2), (3, 5)])
def test_images_smaller_than_a_nucleus_have_none(shape):
    assert count_nuclei(noise(shape)) == 0


def test_more_objects_than_16_bit_can_number_are_counted():
    """300 x 300 squares of 4 x 4 pixels, each the smallest nucleus that counts; and as many single pixels."""
    image = np.zeros((2400, 2400), np.uint8)
    image.reshape(300, 8, 300, 8)[:, 2:6, :, 2:6] = 255
    assert count_nuclei(image) == 90_000
    image[...] = 0
    image[::8, ::8] = 255
    assert count_nuclei(image) == 0


@pytest.mark.parametrize(
    ("shape", "reduction"),
    [
        ((1, 1), 1),
        ((128, 160), 1),
        ((256, 256), 1),
        ((519, 696), 3),
        ((520, 696), 4),
        ((696, 520), 4),
        ((1080, 1080), 8),
    ],
)
def test_the_reduction_follows_the_shorter_side(shape, reduction):
    assert reduction_of(shape) == reduction
