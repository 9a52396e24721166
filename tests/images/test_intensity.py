"""From 16 to 8 bit: the same bytes as the upstream code, which is written out naively here, and its edges defined."""

import numpy as np
import pytest

from cloome.data.pixels import read_pixels
from cloome.errors import FormatError
from cloome.images.intensity import INTENSITIES, eight_bit, to_uint8


def naive(channel: np.ndarray, cut: float, scale: float) -> np.ndarray:
    """As upstream: list the brightest pixels one by one, scale in float64 by the lowest of them."""
    n = int(np.around(channel.shape[0] * channel.shape[1] * cut))
    brightest = np.argpartition(channel.ravel(), -n)[-n:]
    threshold = min([int(channel.ravel()[place]) for place in brightest])
    scaled = channel.astype(float) * (float(scale) / threshold)
    scaled[scaled > 255] = 255
    return scaled.astype(np.uint8)


@pytest.mark.parametrize("preset", ["paper", "package"])
def test_real_images_have_the_bytes_of_upstream(real_data, preset):
    for file in sorted((real_data / "bray/field").glob("*.tif")):
        pixels = read_pixels(file)
        np.testing.assert_array_equal(to_uint8(pixels, *INTENSITIES[preset]), naive(pixels, *INTENSITIES[preset]))


@pytest.mark.parametrize("highest", [1, 3, 255, 256, 4095, 65535])
@pytest.mark.parametrize("cut", [2.8e-5, 1e-4, 0.01, 0.5])
def test_random_images_and_ties_have_the_bytes_of_upstream(highest, cut):
    rng = np.random.default_rng(highest)
    # A power makes bright pixels rare, as in real fields; few grey values make ties.
    pixels = (highest * rng.random((300, 200)) ** 4 + 1).clip(max=65535).astype(np.uint16)
    for scale in (255, 256):
        np.testing.assert_array_equal(to_uint8(pixels, cut, scale), naive(pixels, cut, scale))


def test_every_threshold_of_a_12_bit_camera_has_the_bytes_of_upstream():
    """Truncation hangs on the last bit of the product, so each threshold is a case of its own."""
    values = np.arange(4096, dtype=np.uint16)
    for threshold in range(1, 4096):
        pixels = np.minimum(values, threshold).reshape(64, 64)
        expected = np.minimum(pixels.astype(float) * (256.0 / threshold), 255).astype(np.uint8)
        np.testing.assert_array_equal(to_uint8(pixels, cut=1 / 4096, scale=256), expected)


def test_ten_pixels_of_a_real_size_are_cut():
    """round(361,920 x 2.8e-5) = 10: the tenth highest is the threshold."""
    pixels = np.ones((520, 696), np.uint16)
    pixels[0, :11] = np.arange(100, 1200, 100)
    stored = to_uint8(pixels)
    assert stored[0, :3].tolist() == [128, 255, 255], "the threshold is 200; the ten highest are 255"


@pytest.mark.parametrize(("size", "cut", "n"), [(10, 0.25, 2), (10, 0.35, 4), (10, 0.05, 1), (10, 0.0, 1)])
def test_halves_round_to_even_and_one_pixel_is_the_least(size, cut, n):
    pixels = np.arange(1, size + 1, dtype=np.uint16)[None] * 10
    threshold = (size + 1 - n) * 10
    expected = np.minimum(pixels * (256.0 / threshold), 255).astype(np.uint8)
    np.testing.assert_array_equal(to_uint8(pixels, cut), expected)


def test_a_dark_image_is_zero_everywhere():
    pixels = np.zeros((520, 696), np.uint16)
    assert not to_uint8(pixels).any()
    pixels[0, :9] = 500
    assert not to_uint8(pixels).any(), "all that shines lies among the ten pixels that are cut"
    pixels[0, 9] = 500
    assert to_uint8(pixels)[0, :10].tolist() == [255] * 10


def test_a_view_gives_the_same_as_a_copy():
    pixels = np.random.default_rng(0).integers(0, 4096, (60, 80), dtype=np.uint16)
    np.testing.assert_array_equal(to_uint8(pixels[::2, ::3].T), to_uint8(pixels[::2, ::3].T.copy()))


def test_the_bit_depth_must_fit_the_setting():
    eight, sixteen = np.ones((4, 4), np.uint8), np.full((4, 4), 300, np.uint16)
    assert eight_bit(eight, "none") is eight
    assert eight_bit(sixteen, "package").tolist() == np.full((4, 4), 255).tolist()
    with pytest.raises(FormatError, match=r"uint16, but images\.intensity is none; write intensity: paper"):
        eight_bit(sixteen, "none")
    for intensity in INTENSITIES:
        with pytest.raises(FormatError, match=r"uint8, not uint16; images of 8 bit need images\.intensity: none"):
            eight_bit(eight, intensity)
