"""Names inside the archives: each says plate, channel, well and site; what is incomplete or doubtful is refused."""

import gzip
from collections import Counter

import pytest

from cloome.config import PAPER_CHANNELS
from cloome.images.names import index_fields, parse_member

PLATE = "24278"
UUID = "edcec6dc-b1e3-4ffc-80da-9b049a89447b"


def member(channel: str, well: str, site: int, plate: str = PLATE) -> str:
    return f"{plate}-{channel}/cdp2bioactives_{well}_s{site}_w1{UUID}.tif"


def members(*places, without=()) -> list[str]:
    return [member(c, well, site) for c in PAPER_CHANNELS for well, site in places if (c, well, site) not in without]


def test_all_names_of_a_real_plate_make_fields(real_data):
    names = gzip.decompress((real_data / "bray/file_names_24278.txt.gz").read_bytes()).decode().split()
    assert len(names) == 11_520
    fields, refused = index_fields(names, PLATE, PAPER_CHANNELS)
    assert refused == []
    assert len(fields) == 2_304
    wells = Counter(field.well for field in fields)
    assert len(wells) == 384
    assert set(wells.values()) == {6}
    assert {field.site for field in fields} == {1, 2, 3, 4, 5, 6}
    assert [(field.well, field.site) for field in fields] == sorted((field.well, field.site) for field in fields)
    for field in fields:
        for channel, file in zip(PAPER_CHANNELS, field.files, strict=True):
            assert file.startswith(f"24278-{channel}/cdp2bioactives_{field.well.lower()}_s{field.site}_w")
    assert sorted(file for field in fields for file in field.files) == sorted(names)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        (f"24278-ERSyto/cdp2bioactives_a01_s1_w2{UUID}.tif", ("24278", "ERSyto", "A01", 1)),
        (f"24278-Ph_golgi/cdp2bioactives_p24_s12_w4{UUID.upper()}.tif", ("24278", "Ph_golgi", "P24", 12)),
        (f"24278-ERSyto/cdp2bioactives_q01_s1_w2{UUID}.tif", None),
        (f"24278-ERSyto/cdp2bioactives_a25_s1_w2{UUID}.tif", None),
        (f"24278-ERSyto/cdp2bioactives_a1_s1_w2{UUID}.tif", None),
        (f"24278-ERSyto/cdp2bioactives_a01_s1_w2_thumb{UUID}.tif", None),
        (f"../24278-ERSyto/cdp2bioactives_a01_s1_w2{UUID}.tif", None),
        (f"cdp2bioactives_a01_s1_w2{UUID}.tif", None),
        ("24278-ERSyto/Thumbs.db", None),
    ],
)
def test_what_a_name_says(name, parsed):
    assert parse_member(name) == parsed


def test_a_missing_image_costs_its_field_and_shifts_no_other():
    fields, refused = index_fields(
        members(("a01", 1), ("a01", 2), ("a02", 1), without={("Mito", "a01", 2), ("Hoechst", "a01", 2)}),
        PLATE,
        PAPER_CHANNELS,
    )
    assert refused == [("24278-A01-2", "no Mito image; no Hoechst image")]
    assert [(field.well, field.site) for field in fields] == [("A01", 1), ("A02", 1)]
    assert fields[1].files == tuple(member(channel, "a02", 1) for channel in PAPER_CHANNELS)


def test_two_images_of_one_field_and_channel_are_refused():
    second = member("Mito", "a01", 1)[:-5] + "0.tif"
    fields, refused = index_fields([*members(("a01", 1), ("a01", 2)), second], PLATE, PAPER_CHANNELS)
    assert refused == [("24278-A01-1", "2 Mito images")]
    assert [(field.well, field.site) for field in fields] == [("A01", 2)]


def test_strange_names_are_refused_each_with_its_reason():
    strange = {
        "24278-Mito/notes.txt": "not named as an image of the screen",
        member("Mito", "a01", 1, plate="24279"): "an image of plate 24279",
        member("Mito", "a01", 1).replace("24278-Mito", "24278-DNA"): "an image of the channel DNA",
    }
    fields, refused = index_fields([*members(("a01", 1)), *strange, "24278-Mito/"], PLATE, PAPER_CHANNELS)
    assert len(fields) == 1
    assert dict(refused) == strange


def test_sites_are_sorted_as_numbers():
    fields, _ = index_fields(members(("b01", 2), ("b01", 10), ("b01", 1), ("a24", 3)), PLATE, PAPER_CHANNELS)
    assert [(field.well, field.site) for field in fields] == [("A24", 3), ("B01", 1), ("B01", 2), ("B01", 10)]
