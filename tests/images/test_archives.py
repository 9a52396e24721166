"""A plate's archives become its store; a bad image costs its field, a bad archive the plate, and both are named."""

import hashlib
import zipfile

import numpy as np
import pytest

import cloome.images.archives
from cloome.config import PAPER_CHANNELS
from cloome.data.pixels import read_pixels
from cloome.data.plates import NOT_COUNTED, open_plate
from cloome.errors import CloomeError, ConfigError, FormatError
from cloome.images.command import Inputs, store_plate
from cloome.images.intensity import to_uint8

PLATE = "24278"


def stored_keys(archived) -> list[str]:
    with open_plate(archived.out) as plate:
        return plate.fields()["sample_key"].tolist()


def test_a_real_field_has_the_bytes_of_upstream(real_data, archived):
    archived.content = {
        channel: {archived.name(channel, "b07", 3): (real_data / "bray/field" / f"{channel}.tif").read_bytes()}
        for channel in PAPER_CHANNELS
    }
    archived.write(roles={"b07": "treated"})
    assert archived.store() == {}
    with open_plate(archived.out) as plate:
        image = plate.images[0]
        assert plate.images.shape == (1, 5, 520, 696)
        assert plate.channels == ["Mito", "ERSyto", "ERSytoBleed", "Ph_golgi", "Hoechst"]
        fields = plate.fields()
    assert hashlib.sha256(image.tobytes()).hexdigest() == (
        "89cf9c2a09f3da5e386ba97912ba64dffec2830fb5ef1d00fc8f6c2d85975c5c"
    )
    assert fields.loc[0, ["sample_key", "plate", "well", "site"]].tolist() == ["24278-B07-3", PLATE, "B07", 3]
    assert 80 < fields.loc[0, "cell_count"] < 160


def test_treated_wells_are_kept_in_order_and_scaled(archived):
    archived.write()
    assert archived.store(nuclei=None) == {}
    with open_plate(archived.out) as plate:
        fields, images = plate.fields(), plate.images[()]
        assert plate.name == PLATE
    assert fields["sample_key"].tolist() == [f"{PLATE}-A{w:02d}-{s}" for w in (1, 2) for s in (1, 2)]
    assert set(fields["cell_count"]) == {NOT_COUNTED}
    for image, (well, site) in zip(images, [("a01", 1), ("a01", 2), ("a02", 1), ("a02", 2)], strict=True):
        for number, channel in enumerate(PAPER_CHANNELS):
            pixels = read_pixels(archived.content[channel][archived.name(channel, well, site)], "a.tif")
            np.testing.assert_array_equal(image[number], to_uint8(pixels))


def test_all_wells_are_kept_if_asked(archived):
    archived.write()
    assert archived.store(wells="all") == {}
    assert len(stored_keys(archived)) == 6


def test_a_well_that_the_plate_map_lacks_is_refused(archived):
    archived.write(roles={"a01": "treated", "a03": "mock"})
    assert archived.store() == {f"{PLATE}-A02-{site}": "the well is not in the plate map" for site in (1, 2)}
    assert stored_keys(archived) == [f"{PLATE}-A01-{site}" for site in (1, 2)]


GOOD = np.ones((40, 50), np.uint16)


@pytest.mark.parametrize(
    ("pixels", "kept", "reason"),
    [
        pytest.param(GOOD[1:], None, "the Mito image is 39 x 50, others of the plate are 40 x 50", id="size"),
        pytest.param(GOOD.astype(np.uint8), None, "the Mito image: pixels are uint8, not uint16", id="8 bit"),
        pytest.param(GOOD.astype(np.float32), None, "pixels are float32", id="float"),
        pytest.param(GOOD * 0, None, "the Mito image is empty", id="dark"),
        pytest.param(np.stack([GOOD] * 3, axis=-1), None, "shape (40, 50, 3)", id="colour"),
        pytest.param(np.stack([GOOD] * 4), None, "a stack of 4 images", id="stack"),
        pytest.param(GOOD, 300, "truncated or not TIFF", id="truncated"),
        pytest.param(GOOD, 0, "truncated or not TIFF", id="no byte"),
    ],
)
@pytest.mark.parametrize("site", [1, 2])
def test_a_bad_image_costs_its_field_only(archived, pixels, kept, reason, site):
    data = archived.tiff(pixels, photometric="rgb" if pixels.shape[-1] == 3 else "minisblack")[:kept]
    archived.content["Mito"][archived.name("Mito", "a01", site)] = data
    archived.write()
    refused = archived.store()
    assert list(refused) == [f"{PLATE}-A01-{site}"]
    assert reason in refused[f"{PLATE}-A01-{site}"]
    assert len(stored_keys(archived)) == 3


def test_a_member_damaged_in_the_archive_costs_its_field_only(archived):
    archived.write()
    path, name = archived.zip_path("ERSyto"), archived.name("ERSyto", "a02", 1)
    with zipfile.ZipFile(path) as file:
        start = file.getinfo(name).header_offset + 30 + len(name)
    content = bytearray(path.read_bytes())
    content[start + 500] ^= 255
    path.write_bytes(content)
    refused = archived.store()
    assert list(refused) == [f"{PLATE}-A02-1"]
    assert "damaged in the archive" in refused[f"{PLATE}-A02-1"]


def test_a_member_beyond_the_limit_is_refused_before_it_is_inflated(archived, monkeypatch):
    archived.content["Mito"][archived.name("Mito", "a01", 1)] = bytes(10_000)
    archived.write()
    monkeypatch.setattr(cloome.images.archives, "LARGEST_IMAGE", 9_999)
    assert archived.store()[f"{PLATE}-A01-1"].endswith("10000 bytes, allowed are 9999")


def test_what_does_not_belong_into_an_archive_is_refused(archived):
    archived.content["Mito"] |= {
        archived.name("Hoechst", "a01", 1): b"",
        f"{PLATE}-Mito/Thumbs.db": b"",
        "../evil.tif": b"",
        f"{PLATE}-Mito/": b"",
    }
    archived.write()
    assert archived.store() == {
        archived.name("Hoechst", "a01", 1): f"lies outside the folder {PLATE}-Mito/ of its archive",
        f"{PLATE}-Mito/Thumbs.db": "not named as an image of the screen",
        "../evil.tif": f"lies outside the folder {PLATE}-Mito/ of its archive",
    }
    assert len(stored_keys(archived)) == 4


def test_a_missing_archive_stops_the_plate(archived):
    archived.write()
    archived.zip_path("Mito").unlink()
    with pytest.raises(CloomeError, match=r"24278-Mito\.zip: no such archive; run download"):
        archived.store()
    assert not archived.out.exists()


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_archive_stops_the_plate(archived, share):
    archived.write()
    content = archived.zip_path("Mito").read_bytes()
    archived.zip_path("Mito").write_bytes(content[: int(share * len(content))])
    with pytest.raises(CloomeError, match=r"24278-Mito\.zip: truncated .*; delete it and run download again"):
        archived.store()
    assert not archived.out.exists()


def test_a_plate_without_a_usable_field_says_why(archived):
    archived.write()
    with pytest.raises(FormatError, match=r"not a single usable field.*4 refused.*write intensity: paper"):
        archived.store(intensity="none")
    assert len(archived.refused()) == 4
    assert not archived.out.exists()


def test_the_first_three_reasons_are_said(archived):
    archived.content["Mito"] |= {f"{PLATE}-Mito/{number}.txt": b"" for number in range(9)}
    for well, site, data in (("a01", 1, b""), ("a01", 2, archived.tiff(GOOD * 0)), ("a02", 1, archived.tiff(GOOD[1:]))):
        archived.content["Mito"][archived.name("Mito", well, site)] = data
    del archived.content["Mito"][archived.name("Mito", "a02", 2)]
    archived.write()
    with pytest.raises(FormatError, match=r"13 refused: not named as[^;]*; no Mito[^;]*; [^;]*truncated[^;]*$"):
        archived.store()


def test_a_plate_of_mock_wells_says_so(archived):
    archived.write(roles=dict.fromkeys(("a01", "a02", "a03"), "mock"))
    with pytest.raises(FormatError, match=r"plate 24278: no treated well among its 6 fields; write images\.wells: all"):
        archived.store()
    assert not archived.out.exists()
    assert archived.store(wells="all") == {}


def test_an_odd_first_field_does_not_set_the_size(archived):
    for channel in PAPER_CHANNELS:
        archived.content[channel][archived.name(channel, "a01", 1)] = archived.tiff(np.ones((20, 20), np.uint16))
    archived.write()
    assert list(archived.store()) == [f"{PLATE}-A01-1"]


def test_the_plate_map_must_be_there_and_of_this_plate(archived):
    archived.write()
    archived.write_wells({"a01": "treated"}, plate="24279")
    with pytest.raises(FormatError, match="holds the wells of 24279, not of 24278"):
        archived.store()
    with pytest.raises(ConfigError, match=r"give mean_well_profiles\.csv with --wells"):
        store_plate(archived.config(), PLATE, Inputs(archived.folder), archived.out)
