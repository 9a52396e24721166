"""Cells are counted as bright objects in the nuclear channel."""

import numpy as np
import pytest

from cloome.images.measures import count_nuclei


def discs(shape, centres, radius, brightness=200, background=10) -> np.ndarray:
    rows, columns = np.indices(shape)
    image = np.random.default_rng(0).normal(background, 3, shape)
    for row, column in centres:
        image[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = brightness
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("shape", "radius"), [((128, 160), 4), ((520, 696), 13)])
def test_each_bright_disc_is_a_nucleus(shape, radius):
    centres = [(row, column) for row in range(20, shape[0] - 19, 40) for column in range(20, shape[1] - 19, 40)]
    assert count_nuclei(discs(shape, centres, radius)) == len(centres)


def test_specks_are_no_nuclei():
    assert count_nuclei(discs((128, 160), [(30, 30), (90, 100)], 8) | discs((128, 160), [(64, 20)], 1)) == 2


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_blank_image_has_none(value):
    assert count_nuclei(np.full((128, 160), value, np.uint8)) == 0
