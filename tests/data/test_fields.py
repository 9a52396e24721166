"""Views of stored fields over several plates, and reading ahead."""

import threading

import h5py
import numpy as np
import pytest

from cloome.data.fields import Fields, read_ahead
from cloome.data.plates import Field, write_plate
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


def test_a_compressed_store_is_refused(stores):
    paths, images = stores
    with h5py.File(paths[0], "r+") as file:
        values = file["images"][()]
        del file["images"]
        file.create_dataset("images", data=values, chunks=(1, *values.shape[1:]), compression="gzip")
    with pytest.raises(FormatError, match="compressed or repacked"):
        Fields(paths, list(images))


def test_a_truncated_store_is_refused(stores):
    paths, images = stores
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    with pytest.raises(FormatError, match="truncated"):
        Fields(paths, list(images))


def test_reading_ahead_keeps_the_order_and_uses_other_threads():
    threads = set()

    def read(part):
        threads.add(threading.get_ident())
        return part * 2

    assert list(read_ahead(read, range(50))) == [2 * part for part in range(50)]
    assert threading.get_ident() not in threads


def test_reading_ahead_passes_errors_on_and_stays_a_few_parts_ahead():
    begun = []

    def read(part):
        begun.append(part)
        if part == 3:
            raise FormatError("unreadable")
        return part

    results = read_ahead(read, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FormatError, match="unreadable"):
        next(results)
    assert max(begun) < 10
