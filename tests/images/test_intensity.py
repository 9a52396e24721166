"""From 16 to 8 bit: the same bytes as the upstream code, which is written out naively, and its edges defined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloome.data.pixels import read_pixels
from cloome.errors import FormatError
from cloome.images.intensity import INTENSITIES, eight_bit, to_uint8

# The same examples on every machine, and no clock.
properties = settings(max_examples=300, deadline=None, derandomize=True, database=None)


@st.composite
def channels(draw) -> np.ndarray:
    """uint16 (H, W) of few or many grey values, in any range."""
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    lowest = draw(st.sampled_from([0, 1, 200, 65535]) | st.integers(0, 65535))
    highest = draw(st.sampled_from([lowest, 255, 4095, 65535]).filter(lambda value: value >= lowest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = rng.integers(lowest, highest, shape, dtype=np.uint16, endpoint=True)
    # Bright pixels are rare in real fields, and few grey values make ties.
    shape_of_histogram = draw(st.sampled_from(["even", "rare", "ties"]))
    if shape_of_histogram == "rare":
        pixels[rng.random(shape) < 0.95] = lowest
    elif shape_of_histogram == "ties":
        pixels = rng.choice(rng.choice(pixels.ravel(), 3), shape)
    return pixels


cuts = st.sampled_from([0.0, 2.8e-5, 1e-4, 0.5, 1.0]) | st.floats(0, 1)
scales = st.sampled_from([255, 256, 1, 1000]) | st.floats(1, 1000)


@properties
@given(channels(), cuts, scales)
def test_any_image_has_the_bytes_of_upstream(naive, pixels, cut, scale):
    np.testing.assert_array_equal(to_uint8(pixels, cut, scale), naive(pixels, cut, scale))


VIEWS = {
    "transposed": lambda array: array.T,
    "every second row": lambda array: array[::2],
    "every third column": lambda array: array[:, ::3],
    "upside down": lambda array: array[::-1],
    "mirrored": lambda array: array[:, ::-1],
    "inner part": lambda array: array[1:-1, 2:-1],
}


@properties
@given(channels(), st.sampled_from(list(VIEWS)))
def test_a_view_gives_the_same_as_a_copy(pixels, view):
    seen = VIEWS[view](pixels)
    before = pixels.copy()
    np.testing.assert_array_equal(to_uint8(seen, cut=0.01), to_uint8(seen.copy(), cut=0.01))
    np.testing.assert_array_equal(pixels, before, err_msg="the image itself is left as it was")


@properties
@given(channels(), st.sampled_from(["whole", "one of many", *VIEWS]))
def test_the_result_goes_where_it_is_asked_to_and_nowhere_else(pixels, place):
    height, width = pixels.shape
    if place == "whole":
        memory = np.full((height, width), 77, np.uint8)
        out = memory
    elif place == "one of many":
        memory = np.full((3, height, width), 77, np.uint8)
        out = memory[1]
    else:
        memory = np.full((3 * max(height, width) + 4,) * 2, 77, np.uint8)
        out = VIEWS[place](memory)[:height, :width]
    found = to_uint8(pixels, cut=0.01, out=out)
    assert found is out
    np.testing.assert_array_equal(out, to_uint8(pixels, cut=0.01))
    out[...] = 77
    assert (memory == 77).all(), "bytes beside it were written"


@pytest.mark.parametrize("preset", ["paper", "package"])
def test_real_images_have_the_bytes_of_upstream(real_data, naive, preset):
    for file in sorted((real_data / "bray/field").glob("*.tif")):
        pixels = read_pixels(file)
        np.testing.assert_array_equal(to_uint8(pixels, *INTENSITIES[preset]), naive(pixels, *INTENSITIES[preset]))


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


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_image_without_pixels_stays_so(shape):
    assert to_uint8(np.empty(shape, np.uint16)).shape == shape


def test_the_bit_depth_must_fit_the_setting():
    eight, sixteen = np.ones((4, 4), np.uint8), np.full((4, 4), 300, np.uint16)
    assert eight_bit(eight, "none") is eight
    assert eight_bit(sixteen, "package").tolist() == np.full((4, 4), 255).tolist()
    with pytest.raises(FormatError, match=r"uint16, but images\.intensity is none; write intensity: paper"):
        eight_bit(sixteen, "none")
    for intensity in INTENSITIES:
        with pytest.raises(FormatError, match=r"uint8, not uint16; images of 8 bit need images\.intensity: none"):
            eight_bit(eight, intensity)


def test_images_of_8_bit_are_copied_where_they_are_asked_to():
    eight, out = np.arange(16, dtype=np.uint8).reshape(4, 4), np.zeros((4, 4), np.uint8)
    assert eight_bit(eight, "none", out=out) is out
    np.testing.assert_array_equal(out, eight)
