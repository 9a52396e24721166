"""From stored grey values to the network's input."""

import numpy as np
import pytest
import torch

from cloome.config import PAPER_CHANNELS
from cloome.data.plates import Statistics
from cloome.errors import ConfigError, FormatError
from cloome.model.images import centre_crop
from cloome.model.normalisation import measured, paper


def test_the_papers_normalisation_divides_by_the_mean():
    # FACTS 4, rows 4 and 5: values 0 to 255, std = mean
    images = torch.tensor([0, 255, 40, 46, 29], dtype=torch.uint8).view(1, 5, 1, 1)
    means = [47.1314, 40.8138, 53.7692, 46.2656, 28.7243]
    expected = [(value - mean) / mean for value, mean in zip([0, 255, 40, 46, 29], means, strict=True)]
    assert paper(PAPER_CHANNELS)(images).flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_the_papers_normalisation_is_for_its_channels_only():
    with pytest.raises(ConfigError, match="write normalisation: measured"):
        paper(list(reversed(PAPER_CHANNELS)))


def test_measured_normalisation_gives_mean_0_and_std_1():
    images = np.random.default_rng(0).integers(0, 200, (6, 2, 9, 11), dtype=np.uint8)
    normalised = measured(Statistics.of(images), ["a", "b"])(torch.from_numpy(images)).double()
    torch.testing.assert_close(normalised.mean(dim=(0, 2, 3)), torch.zeros(2).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(normalised.std(dim=(0, 2, 3), correction=0), torch.ones(2).double())


def test_an_empty_channel_is_named():
    images = np.zeros((2, 2, 4, 4), dtype=np.uint8)
    images[:, 0, 0] = 9
    with pytest.raises(FormatError, match="channel ER has the same value"):
        measured(Statistics.of(images), ["DNA", "ER"])


@pytest.mark.parametrize(
    ("size", "crop", "rows", "columns"),
    [
        ((10, 12), (4, 6), (3, 7), (3, 9)),
        ((11, 13), (4, 6), (4, 8), (4, 10)),
        ((5, 9), (4, 4), (0, 4), (2, 6)),
        ((4, 12), (6, 6), (0, 4), (3, 9)),
        ((4, 5), (6, 6), (0, 4), (0, 5)),
        ((520, 696), (520, 520), (0, 520), (88, 608)),
    ],
)
def test_centre_crop(size, crop, rows, columns):
    # Margins of half a pixel go to the even side, as round() in CenterCrop does.
    images = np.arange(3 * size[0] * size[1]).reshape(3, *size)
    expected = images[:, slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(centre_crop(images, *crop), expected)
    np.testing.assert_array_equal(centre_crop(torch.from_numpy(images), *crop), expected)
