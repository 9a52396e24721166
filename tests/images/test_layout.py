"""What is stored of a field: itself, its tiles, a mosaic of its well, resized, compressed; and which wells are kept."""

import h5py
import numpy as np
import pytest

from cloome.config import PAPER_CHANNELS, Images
from cloome.data.fields import Fields
from cloome.data.plates import open_plate
from cloome.errors import ConfigError, FormatError
from cloome.images.layout import arrange

PLATE = "24278"
TREATED = [(well, site) for well in ("a01", "a02") for site in (1, 2)]


def fill(archived, shape, sites=(1, 2), wells=("a01", "a02"), make=None) -> None:
    """Write a plate of images of another size, with these sites in each of its wells."""
    rng = np.random.default_rng(0)
    archived.content = {channel: {} for channel in PAPER_CHANNELS}
    for well in wells:
        for site in sites:
            for channel in PAPER_CHANNELS:
                pixels = make(shape) if make else rng.integers(1, 4096, shape, dtype=np.uint16)
                archived.content[channel][archived.name(channel, well, site)] = archived.tiff(pixels)
    archived.write(roles=dict.fromkeys(wells, "treated"))


# --- Tiles. ---


def naive_tiles(image: np.ndarray, size: int, stride: int) -> list[np.ndarray]:
    tiles, top = [], 0
    while top + size <= image.shape[1]:
        left = 0
        while left + size <= image.shape[2]:
            tiles.append(image[:, top : top + size, left : left + size])
            left += stride
        top += stride
    return tiles


@pytest.mark.parametrize(
    ("size", "stride", "count"),
    [
        pytest.param(32, None, 6, id="the size is the default stride"),
        pytest.param(32, 16, 20, id="tiles that overlap"),
        pytest.param(32, 64, 2, id="gaps between tiles"),
        pytest.param(80, None, 1, id="as high as the field"),
        pytest.param(33, 7, 70, id="odd numbers"),
    ],
)
def test_a_field_is_cut_into_whole_tiles(archived, size, stride, count):
    fill(archived, (80, 100))
    assert archived.store(tiles={"size": size, "stride": stride}) == {}
    stored = archived.stored()
    expected = {
        f"{key}-{number}": tile
        for key in (f"{PLATE}-{well.upper()}-{site}" for well, site in TREATED)
        for number, tile in enumerate(naive_tiles(archived.naive(key), size, stride or size))
    }
    assert len(expected) == 4 * count
    assert list(stored) == list(expected), "row by row, field by field"
    for key, tile in expected.items():
        assert tile.shape == (5, size, size)
        np.testing.assert_array_equal(stored[key], tile)


def test_tiles_keep_the_well_and_site_of_their_field(archived):
    fill(archived, (40, 70))
    archived.store(tiles={"size": 32})
    with open_plate(archived.out) as plate:
        fields = plate.fields()
    assert fields[["well", "site"]].drop_duplicates().to_numpy().tolist() == [
        ["A01", 1],
        ["A01", 2],
        ["A02", 1],
        ["A02", 2],
    ]
    assert (
        fields["sample_key"].str.rsplit("-", n=1).str[0]
        == PLATE + "-" + fields["well"] + "-" + fields["site"].astype(str)
    ).all()


def test_a_tile_larger_than_the_field_is_refused(archived):
    fill(archived, (40, 50))
    with pytest.raises(FormatError, match=r"4 refused: the field is 40 x 50, images\.tiles\.size is 41"):
        archived.store(tiles={"size": 41})


# --- Mosaics. ---


def naive_mosaic(images: list[np.ndarray], rows: int, columns: int, skip: int) -> np.ndarray:
    """Pixel by pixel in words: each field without its first columns, side by side."""
    channels, height, width = images[0].shape
    width -= skip
    mosaic = np.zeros((channels, rows * height, columns * width), np.uint8)
    for row in range(rows):
        for column in range(columns):
            for y in range(height):
                place = slice(column * width, (column + 1) * width)
                mosaic[:, row * height + y, place] = images[row * columns + column][:, y, skip:]
    return mosaic


def test_a_mosaic_of_real_size_is_that_of_hti_cnn():
    """Six sites of 520 x 696, the first four columns cut, row by row: 1040 x 2076."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (2, 520, 696), dtype=np.uint8) for _ in range(6)]
    (placed,) = arrange(images, [1, 2, 3, 4, 5, 6], Images(mosaic={}))
    assert placed.image.shape == (2, 1040, 2076)
    assert (placed.site, placed.tile) == (0, None)
    np.testing.assert_array_equal(placed.image, naive_mosaic(images, 2, 3, 4))


@pytest.mark.parametrize(
    ("settings", "sites"),
    [({}, range(1, 7)), ({"rows": 1, "columns": 2, "skip": 0}, (3, 4)), ({"rows": 4, "columns": 3}, range(1, 13))],
    ids=["default", "two side by side", "twelve sites"],
)
def test_a_well_becomes_one_mosaic(archived, settings, sites):
    fill(archived, (30, 40), sites=sites)
    assert archived.store(mosaic=settings) == {}
    stored = archived.stored()
    assert list(stored) == [f"{PLATE}-A01-0", f"{PLATE}-A02-0"]
    layout = {"rows": 2, "columns": 3, "skip": 4} | settings
    for well in ("A01", "A02"):
        images = [archived.naive(f"{PLATE}-{well}-{site}") for site in sites]
        np.testing.assert_array_equal(stored[f"{PLATE}-{well}-0"], naive_mosaic(images, **layout))


@pytest.mark.parametrize("sites", [5, 7])
def test_a_well_with_more_or_fewer_fields_than_its_mosaic_is_refused(archived, sites):
    fill(archived, (30, 40), sites=range(1, 7))
    for channel, members in archived.content.items():
        if sites == 5:
            del members[archived.name(channel, "a01", 4)]
        else:
            members[archived.name(channel, "a01", 7)] = members[archived.name(channel, "a01", 1)]
    archived.write(roles=dict.fromkeys(("a01", "a02"), "treated"))
    assert archived.store(mosaic={}) == {
        f"{PLATE}-A01-0": f"{sites} usable fields in the well, its mosaic of 2 x 3 needs 6"
    }
    assert list(archived.stored()) == [f"{PLATE}-A02-0"]


def test_one_bad_image_costs_the_mosaic_of_its_well(archived):
    fill(archived, (30, 40), sites=range(1, 7))
    name = archived.name("Mito", "a01", 4)
    archived.content["Mito"][name] = b""
    archived.write(roles=dict.fromkeys(("a01", "a02"), "treated"))
    refused = archived.store(mosaic={})
    assert list(refused) == [f"{PLATE}-A01-0"]
    assert name in refused[f"{PLATE}-A01-0"]


def test_a_field_that_misses_a_channel_leaves_its_mosaic_incomplete(archived):
    fill(archived, (30, 40), sites=range(1, 7))
    del archived.content["Mito"][archived.name("Mito", "a01", 4)]
    archived.write(roles=dict.fromkeys(("a01", "a02"), "treated"))
    refused = archived.store(mosaic={})
    assert refused[f"{PLATE}-A01-4"] == "no Mito image"
    assert refused[f"{PLATE}-A01-0"].startswith("5 usable fields")


def test_a_field_with_nothing_left_of_it_is_refused(archived):
    fill(archived, (30, 4), sites=range(1, 7))
    with pytest.raises(FormatError, match=r"the field has 4 columns, images\.mosaic\.skip is 4"):
        archived.store(mosaic={})


# --- Resizing. ---


@pytest.mark.parametrize("size", [[20, 25], [80, 100], [30, 200], [1, 1], [40, 50]])
def test_fields_get_the_size_that_is_asked_for(archived, size):
    archived.write()
    assert archived.store(resize=size) == {}
    with open_plate(archived.out) as plate:
        assert plate.images.shape == (4, 5, *size)


def test_a_field_becomes_smaller_by_the_mean_of_its_parts(archived):
    archived.write()
    archived.store(resize=[20, 25])
    for key, image in archived.stored().items():
        parts = archived.naive(key).reshape(5, 20, 2, 25, 2).astype(float).mean(axis=(2, 4))
        assert np.abs(image - parts).max() <= 0.5


@pytest.mark.parametrize("size", [[20, 25], [77, 99], [13, 200]])
def test_a_constant_field_stays_constant(archived, size):
    fill(archived, (40, 50), make=lambda shape: np.full(shape, 300, np.uint16))
    archived.store(resize=size)
    assert all((image == 255).all() for image in archived.stored().values())


def test_tiles_are_cut_from_the_resized_field(archived):
    archived.write()
    archived.store(resize=[64, 96], tiles={"size": 32})
    with open_plate(archived.out) as plate:
        assert plate.images.shape == (4 * 6, 5, 32, 32)


# --- Compression. ---


def smooth(shape) -> np.ndarray:
    rows, columns = np.indices(shape)
    return (1000 + 900 * np.sin(rows / 20) * np.cos(columns / 30)).astype(np.uint16)


def test_a_compressed_store_is_smaller_and_holds_the_same(archived):
    fill(archived, (130, 170), make=smooth)
    archived.store()
    plain, size = archived.stored(), archived.out.stat().st_size
    archived.store(compression="gzip")
    assert archived.out.stat().st_size < size / 2
    assert archived.stored().keys() == plain.keys()
    fields = Fields([archived.out], list(plain))
    with h5py.File(archived.out) as file:
        assert file["images"].compression == "gzip"
        assert file["images"].chunks == (1, 5, 130, 170)
        for number, image in enumerate(plain.values()):
            np.testing.assert_array_equal(fields[number], image)
            np.testing.assert_array_equal(file["images"][number], image, err_msg="any HDF5 program reads it")


def test_a_damaged_image_of_a_compressed_store_is_named(archived):
    archived.write()
    archived.store(compression="gzip")
    with h5py.File(archived.out) as file:
        chunk = file["images"].id.get_chunk_info(2)
    content = bytearray(archived.out.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    archived.out.write_bytes(content)
    fields = Fields([archived.out], [f"{PLATE}-A01-1", f"{PLATE}-A02-1"])
    assert fields[0].shape == (5, 40, 50)
    with pytest.raises(FormatError, match=r"24278\.h5: an image is damaged; run the stage images again"):
        fields[1]


# --- Wells. ---


@pytest.fixture
def compounds(archived, tmp_path):
    """A01 with compound x, A02 with y, A03 a mock well with x; x has an activity label."""
    archived.write()
    table = archived.wells.read_text().splitlines()
    for row, compound in enumerate("xyx", start=1):
        table[row] = table[row].replace("BRD-1", compound)
    archived.wells.write_text("\n".join(table))
    labelled = tmp_path / "labelled.csv"
    labelled.write_text("compound\nx\nz\n")
    return labelled


def test_only_wells_of_labelled_compounds_are_kept_if_asked(archived, compounds):
    assert archived.store(wells="labelled", labelled=compounds) == {}
    assert list(archived.stored()) == [f"{PLATE}-A01-1", f"{PLATE}-A01-2"]


def test_a_compound_may_look_like_a_number(archived, compounds):
    archived.wells.write_text(archived.wells.read_text().replace(",y,", ",007,"))
    compounds.write_text("compound\n007\n")
    assert archived.store(wells="labelled", labelled=compounds) == {}
    assert list(archived.stored()) == [f"{PLATE}-A02-1", f"{PLATE}-A02-2"]


def test_labelled_wells_need_the_table(archived, compounds):
    with pytest.raises(ConfigError, match="give the table of `cloome labelled` with --labelled"):
        archived.store(wells="labelled")
    with pytest.raises(FormatError, match="no column compound"):
        archived.store(wells="labelled", labelled=archived.wells)
