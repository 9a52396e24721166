"""The plate store: what is written is read, statistics are exact over plates, and a bad file is refused."""

import json
import zlib
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from cloome.data.plates import (
    GZIP_LEVEL,
    NOT_COUNTED,
    QUALITY,
    VERSION,
    Field,
    Statistics,
    open_plate,
    write_plate,
)
from cloome.errors import FormatError

CHANNELS = ["Mito", "Hoechst"]


def random_fields(seed: int, n: int = 5) -> list[Field]:
    rng = np.random.default_rng(seed)
    return [
        Field(f"B{i // 2 + 1:02d}", i % 2 + 1, rng.integers(0, 256, (2, 30, 40), dtype=np.uint8), NOT_COUNTED + i)
        for i in range(n)
    ]


def write(path, fields, plate="24277", **options) -> int:
    return write_plate(path, plate, CHANNELS, iter(fields), "archives", {"intensity": "paper"}, **options)


@pytest.fixture
def written(tmp_path):
    fields, path = random_fields(0), tmp_path / "24277.h5"
    assert write(path, fields) == 5
    return SimpleNamespace(path=path, fields=fields)


def test_fields_come_back(written):
    with open_plate(written.path) as plate:
        assert (plate.name, plate.channels) == ("24277", CHANNELS)
        table = plate.fields()
        for number, field in enumerate(written.fields):
            np.testing.assert_array_equal(plate.images[number], field.image)
            row = table.loc[number]
            assert row["sample_key"] == f"24277-{field.well}-{field.site}"
            assert (row["plate"], row["well"], row["site"]) == ("24277", field.well, field.site)
            assert row["cell_count"] == field.cell_count
            for c, channel in enumerate(CHANNELS):
                assert row[f"mean_{channel}"] == pytest.approx(field.image[c].mean(), rel=1e-6)
                assert row[f"std_{channel}"] == pytest.approx(field.image[c].std(), rel=1e-6)


def test_the_file_holds_what_others_may_read(written):
    with h5py.File(written.path) as file:
        assert file["images"].chunks == (1, 2, 30, 40)
        assert file["images"].dtype == np.uint8
        assert dict(file.attrs)["source"] == "archives"
        assert json.loads(file.attrs["settings"]) == {"intensity": "paper"}


def test_each_image_has_its_exact_sums(written):
    with h5py.File(written.path) as file, open_plate(written.path) as plate:
        assert VERSION == 2
        statistics = plate.field_statistics()
        for number, field in enumerate(written.fields):
            expected = Statistics.of(field.image)
            for name in ("sum", "sum_of_squares", "pixels"):
                assert getattr(statistics, name)[number].tolist() == getattr(expected, name).tolist()
        for name in ("sum", "sum_of_squares"):
            assert file[f"measures/{name}"].dtype == np.uint64
            assert file[f"measures/{name}"].shape == (5, 2)
            assert file[f"measures/{name}"][()].sum(axis=0).tolist() == file[f"statistics/{name}"][()].tolist()


def test_statistics_that_are_known_are_taken_as_they_are(tmp_path):
    image = np.full((2, 30, 40), 7, np.uint8)
    known = Statistics(*(np.array([value, value + 1], np.uint64) for value in (10, 20, 1200)))
    write(tmp_path / "1.h5", [Field("A01", 1, image, 0, statistics=known)])
    with open_plate(tmp_path / "1.h5") as plate:
        assert plate.statistics.sum.tolist() == [10, 11]
        assert plate.field_statistics().sum_of_squares.tolist() == [[20, 21]]


def test_quality_is_stored_by_channel_and_nan_where_it_was_not_measured(tmp_path):
    first, second = random_fields(0, n=2)
    measured = {name: np.array([number, number + 0.5], np.float32) for number, name in enumerate(QUALITY)}
    write(tmp_path / "1.h5", [replace(first, quality=measured), second])
    with open_plate(tmp_path / "1.h5") as plate, h5py.File(tmp_path / "1.h5") as file:
        table = plate.fields()
        for number, name in enumerate(QUALITY):
            assert file[f"measures/{name}"].dtype == np.float32
            assert file[f"measures/{name}"].shape == (2, 2)
            assert table.loc[0, [f"{name}_Mito", f"{name}_Hoechst"]].tolist() == [number, number + 0.5]
            assert table.loc[1, [f"{name}_Mito", f"{name}_Hoechst"]].isna().all()
    assert table[["mean_Mito", "std_Hoechst"]].notna().all(axis=None)


def test_tiles_are_named_after_their_field_and_number(tmp_path):
    image = random_fields(0, n=1)[0].image
    keys = [(1, 0), (1, 1), (1, 11), (2, 0), (2, None)]
    write(tmp_path / "1.h5", [Field("A01", site, image, 0, tile) for site, tile in keys], plate="P1")
    with open_plate(tmp_path / "1.h5") as plate:
        table = plate.fields()
    assert table["sample_key"].tolist() == ["P1-A01-1-0", "P1-A01-1-1", "P1-A01-1-11", "P1-A01-2-0", "P1-A01-2"]
    assert table["site"].tolist() == [1, 1, 1, 2, 2]


def test_a_tile_of_one_number_comes_once(tmp_path):
    image = random_fields(0, n=1)[0].image
    with pytest.raises(FormatError, match="two fields are named 24277-A01-1-3"):
        write(tmp_path / "1.h5", [Field("A01", 1, image, 0, tile=3)] * 2)


@pytest.mark.parametrize("packed", [False, True], ids=["packed by HDF5", "packed beforehand"])
def test_a_compressed_store_holds_the_same(written, tmp_path, packed):
    fields = [replace(field, packed=zlib.compress(field.image, 1) if packed else None) for field in written.fields]
    write(tmp_path / "2.h5", fields, compression="gzip")
    with open_plate(written.path) as plain, open_plate(tmp_path / "2.h5") as compressed:
        assert (plain.compressed, compressed.compressed) == (False, True)
        assert compressed.images.compression_opts == GZIP_LEVEL
        np.testing.assert_array_equal(compressed.images[()], plain.images[()])
        assert compressed.fields().equals(plain.fields())


def test_an_image_need_not_lie_in_one_piece(tmp_path):
    """Such as a tile of a field."""
    field = np.random.default_rng(0).integers(0, 256, (2, 60, 80), dtype=np.uint8)
    views = [field[:, :30, :40], field[:, 30:, 40:], field[:, ::2, ::2]]
    for compression in ("none", "gzip"):
        path = tmp_path / f"{compression}.h5"
        write(path, [Field("A01", 1, view, 0, tile) for tile, view in enumerate(views)], compression=compression)
        with open_plate(path) as plate:
            for stored, view in zip(plate.images, views, strict=True):
                np.testing.assert_array_equal(stored, view)


def test_the_same_images_give_the_same_file(written, tmp_path):
    write(tmp_path / "again.h5", written.fields)
    assert (tmp_path / "again.h5").read_bytes() == written.path.read_bytes()


def test_statistics_are_exact_over_plates(written, tmp_path):
    others = random_fields(1, n=3)
    write(tmp_path / "2.h5", others, "2")
    with open_plate(written.path) as one, open_plate(tmp_path / "2.h5") as two:
        both = one.statistics + two.statistics
    pixels = np.stack([field.image for field in written.fields + others]).astype(np.int64)
    assert both.sum.tolist() == pixels.sum(axis=(0, 2, 3)).tolist()
    assert both.sum_of_squares.tolist() == (pixels**2).sum(axis=(0, 2, 3)).tolist()
    assert both.pixels.tolist() == [8 * 30 * 40] * 2
    np.testing.assert_allclose(both.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(both.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_statistics_hold_a_whole_screen():
    """406 plates x 2,304 real fields of nothing but 255."""
    field = Statistics.of(np.full((1, 520, 696), 255, np.uint8))
    screen = Statistics(*(value * np.uint64(406 * 2304) for value in (field.sum, field.sum_of_squares, field.pixels)))
    assert int(screen.sum_of_squares[0]) == 255**2 * 520 * 696 * 406 * 2304
    assert (screen.mean.tolist(), screen.std.tolist()) == ([255.0], [0.0])


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_truncated_file_is_refused(written, share):
    content = written.path.read_bytes()
    written.path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FormatError, match="truncated or not HDF5"), open_plate(written.path):
        pass


def read_fields(path):
    with open_plate(path) as plate:
        return plate.fields()


def test_damage_that_only_reading_finds_is_named(written):
    with h5py.File(written.path) as file:
        place = file["well"].id.get_offset() + 4
    content = written.path.read_bytes()
    written.path.write_bytes(content[:place] + b"\1" * 8 + content[place + 8 :])
    with pytest.raises(FormatError, match=r"24277\.h5: damaged; delete it and run its stage again"):
        read_fields(written.path)


def test_a_file_that_lacks_a_part_is_refused(written):
    with h5py.File(written.path, "a") as file:
        del file["statistics"]
    with pytest.raises(FormatError, match=r"24277\.h5: damaged; delete it and run its stage again"):
        read_fields(written.path)


@pytest.mark.parametrize(("key", "value"), [("version", VERSION + 1), ("kind", "molecules")])
def test_a_file_of_another_version_or_kind_is_refused(written, key, value):
    with h5py.File(written.path, "a") as file:
        file.attrs[key] = value
    with pytest.raises(FormatError, match=f"expected plate version {VERSION}"), open_plate(written.path):
        pass


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match="no such file; run the stage"), open_plate(tmp_path / "a.h5"):
        pass


def spoiled(kind: str):
    """Fields of which the last cannot be written."""
    fields = random_fields(0)
    yield from fields
    if kind == "killed":
        raise KeyboardInterrupt
    image = np.zeros((2, 31, 40), np.uint8) if kind == "size" else fields[0].image
    yield Field("B01" if kind == "twice" else "C01", 1, image.astype(np.uint16 if kind == "depth" else np.uint8), 0)


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("size", FormatError, r"uint8 \(2, 31, 40\), the plate has uint8 \(2, 30, 40\)"),
        ("depth", FormatError, "uint16"),
        ("twice", FormatError, "two fields are named 24277-B01-1"),
        ("killed", KeyboardInterrupt, None),
    ],
)
def test_a_failure_midway_leaves_nothing_behind(tmp_path, kind, error, message):
    with pytest.raises(error, match=message):
        write(tmp_path / "24277.h5", spoiled(kind))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_store_as_it_was(written):
    before = written.path.read_bytes()
    with pytest.raises(FormatError):
        write(written.path, spoiled("size"))
    assert written.path.read_bytes() == before


def test_no_field_is_no_plate(tmp_path):
    with pytest.raises(FormatError, match="plate 24277: not a single usable field"):
        write(tmp_path / "24277.h5", [])
    assert list(tmp_path.iterdir()) == []
