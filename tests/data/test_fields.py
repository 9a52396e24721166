"""Views of stored fields over several plates, plain or compressed, and their statistics."""

import zlib
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from cloome.data.fields import Fields
from cloome.data.plates import Field, Statistics, write_plate
from cloome.errors import FormatError

SIZES = {"P1": (6, 8), "P2": (5, 9)}


@pytest.fixture
def stores(tmp_path):
    """Two plates of three images each, and these images by sample key."""
    random, images = np.random.default_rng(0), {}
    for plate, size in SIZES.items():
        fields = [Field("B07", site, random.integers(0, 256, (2, *size), dtype=np.uint8), 1) for site in (1, 2, 3)]
        write_plate(tmp_path / f"{plate}.h5", plate, ["DNA", "ER"], fields, "test", {})
        images |= {f"{plate}-B07-{field.site}": field.image for field in fields}
    return [tmp_path / f"{plate}.h5" for plate in SIZES], images


def test_fields_come_in_the_order_asked_for(stores):
    paths, images = stores
    keys = ["P2-B07-3", "P1-B07-1", "P2-B07-1", "P1-B07-3"]
    fields = Fields(paths, keys)
    assert len(fields) == 4
    assert fields.channels == ["DNA", "ER"]
    assert fields.sizes().tolist() == [[5, 9], [6, 8], [5, 9], [6, 8]]
    for number, key in enumerate(keys):
        np.testing.assert_array_equal(fields[number], images[key])


def test_views_cannot_change_a_store(stores):
    paths, images = stores
    with pytest.raises(ValueError, match="read-only"):
        Fields(paths, list(images))[0][:] = 0


def test_no_fields_are_no_error(stores):
    fields = Fields(stores[0], [])
    assert len(fields) == 0
    assert fields.sizes().shape == (0, 2)


def test_a_field_that_is_in_no_plate_is_named(stores):
    with pytest.raises(FormatError, match="1 fields of the index are in no plate store, such as P3-B07-1"):
        Fields(stores[0], ["P1-B07-1", "P3-B07-1"])


def test_plates_of_other_channels_are_refused(stores, tmp_path):
    image = np.zeros((2, 6, 8), dtype=np.uint8)
    write_plate(tmp_path / "P3.h5", "P3", ["ER", "DNA"], [Field("A01", 1, image, 1)], "test", {})
    with pytest.raises(FormatError, match=r"P3\.h5: channels ER, DNA; the plates before it have DNA, ER"):
        Fields([*stores[0], tmp_path / "P3.h5"], ["P1-B07-1"])


def repack(path, **options) -> None:
    """Write the images once more, as another program might."""
    with h5py.File(path, "r+") as file:
        values = file["images"][()]
        del file["images"]
        file.create_dataset("images", data=values, **({"chunks": (1, *values.shape[1:])} | options))


@pytest.mark.parametrize("level", [1, 9])
def test_a_compressed_store_gives_the_same_images(stores, level):
    paths, images = stores
    repack(paths[0], compression="gzip", compression_opts=level)
    fields = Fields(paths, list(images))
    assert fields.sizes().tolist() == [[6, 8]] * 3 + [[5, 9]] * 3
    for number, image in enumerate(images.values()):
        np.testing.assert_array_equal(fields[number], image)
        assert not fields[number].flags.writeable


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"compression": "lzf"}, id="lzf"),
        pytest.param({"compression": "gzip", "shuffle": True}, id="gzip behind shuffle"),
        pytest.param({"shuffle": True}, id="shuffle"),
        pytest.param({"fletcher32": True}, id="checksums"),
        pytest.param({"chunks": (2, 2, 6, 8)}, id="two images in a chunk"),
        pytest.param({"chunks": (1, 1, 6, 8), "compression": "gzip"}, id="a chunk per channel"),
        pytest.param({"chunks": None}, id="no chunks"),
    ],
)
def test_a_store_that_was_repacked_is_refused(stores, options):
    paths, images = stores
    repack(paths[0], **options)
    with pytest.raises(FormatError, match=r"P1\.h5: repacked by another program; write it again with the stage images"):
        Fields(paths, list(images))


@pytest.mark.parametrize("spoil", ["zeros", "cut"])
def test_a_damaged_image_is_named_and_the_others_are_read(stores, spoil):
    paths, images = stores
    repack(paths[0], compression="gzip")
    with h5py.File(paths[0], "r+") as file:
        _, chunk = file["images"].id.read_direct_chunk((1, 0, 0, 0))
        file["images"].id.write_direct_chunk((1, 0, 0, 0), bytes(len(chunk)) if spoil == "zeros" else chunk[:10])
    fields = Fields(paths, list(images))
    np.testing.assert_array_equal(fields[0], images["P1-B07-1"])
    with pytest.raises(FormatError, match=r"P1\.h5: an image is (damaged|truncated); run the stage images again"):
        fields[1]


def test_an_image_that_unpacks_to_less_is_refused(stores):
    paths, images = stores
    repack(paths[0], compression="gzip")
    with h5py.File(paths[0], "r+") as file:
        file["images"].id.write_direct_chunk((1, 0, 0, 0), zlib.compress(bytes(20)))
    with pytest.raises(FormatError, match=r"P1\.h5: an image is truncated"):
        Fields(paths, list(images))[1]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_several_threads_read_at_once(stores, compression):
    paths, images = stores
    repack(paths[0], compression=compression)
    fields, expected = Fields(paths, list(images)), list(images.values())
    with ThreadPoolExecutor(4) as pool:
        for number, image in zip(
            [0, 3, 1, 4, 2, 5] * 50, pool.map(fields.__getitem__, [0, 3, 1, 4, 2, 5] * 50), strict=True
        ):
            np.testing.assert_array_equal(image, expected[number])


@pytest.mark.parametrize(
    "keys", [["P1-B07-2"], ["P2-B07-3", "P1-B07-1", "P1-B07-3"], [f"P{p}-B07-{s}" for p in (1, 2) for s in (1, 2, 3)]]
)
def test_statistics_are_the_exact_ones_of_just_the_chosen_images(stores, keys):
    paths, images = stores
    found = Fields(paths, keys).statistics()
    first, *others = (Statistics.of(images[key]) for key in keys)
    expected = sum(others, start=first)
    for name in ("sum", "sum_of_squares", "pixels"):
        assert getattr(found, name).dtype == np.uint64
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert found.pixels.tolist() == [sum(images[key][0].size for key in keys)] * 2


def test_statistics_are_those_of_the_image_that_is_read_under_the_key(stores):
    """Asked for in another order than they lie."""
    paths, images = stores
    for key in reversed(images):
        fields = Fields(list(reversed(paths)), [key])
        assert fields.statistics().sum.tolist() == Statistics.of(fields[0]).sum.tolist()


def test_tiles_are_fields_of_their_own(tmp_path):
    tiles = [Field("A01", 1, np.full((2, 6, 8), number, np.uint8), 0, tile=number) for number in range(12)]
    write_plate(tmp_path / "P1.h5", "P1", ["DNA", "ER"], tiles, "test", {})
    fields = Fields([tmp_path / "P1.h5"], ["P1-A01-1-11", "P1-A01-1-2"])
    assert [int(fields[number].max()) for number in range(2)] == [11, 2]


def test_a_truncated_store_is_refused(stores):
    paths, images = stores
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    with pytest.raises(FormatError, match="truncated"):
        Fields(paths, list(images))
