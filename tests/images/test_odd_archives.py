"""Odd zip archives are read right; strange names in them are refused, and nothing is written there."""

import struct
import zipfile

import numpy as np
import pytest

PLATE, CHANNEL, KEY = "24278", "Mito", "24278-A01-1"


def rezip(archived, **options) -> None:
    """Write the spoiled channel's archive once more."""
    with zipfile.ZipFile(archived.zip_path(CHANNEL), "w", **({"compression": zipfile.ZIP_DEFLATED} | options)) as file:
        for name, data in archived.content[CHANNEL].items():
            file.writestr(name, data)


def rewritten(**options):
    return lambda archived: rezip(archived, **options)


def with_comment(archived):
    with zipfile.ZipFile(archived.zip_path(CHANNEL), "a") as file:
        file.comment = b"made by hand " * 100


def with_something_before(archived):
    path = archived.zip_path(CHANNEL)
    path.write_bytes(b"#!/bin/sh\n" * 100 + path.read_bytes())


def as_zip64(archived):
    with zipfile.ZipFile(archived.zip_path(CHANNEL), "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in archived.content[CHANNEL].items():
            with file.open(name, "w", force_zip64=True) as member:
                member.write(data)


def as_a_stream(archived):
    """Sizes and checksum behind each member, as by a writer that cannot seek."""

    class Pipe:
        def __init__(self, file):
            self.write, self.flush = file.write, file.flush

    with open(archived.zip_path(CHANNEL), "wb") as file, zipfile.ZipFile(Pipe(file), "w") as zipped:
        for name, data in archived.content[CHANNEL].items():
            zipped.writestr(name, data, zipfile.ZIP_DEFLATED)


def with_extra_fields(archived):
    with zipfile.ZipFile(archived.zip_path(CHANNEL), "w") as file:
        for name, data in archived.content[CHANNEL].items():
            info = zipfile.ZipInfo(name)
            info.extra, info.compress_type = struct.pack("<HH8s", 0xCAFE, 8, b"whatever"), zipfile.ZIP_DEFLATED
            file.writestr(info, data)


def with_a_unicode_name(archived):
    content = archived.content[CHANNEL]
    name = archived.name(CHANNEL, "a01", 1)
    content[name.replace("cdp2", "Größe 細胞")] = content.pop(name)
    rezip(archived)


def with_a_name_that_ends_at_a_nul(archived):
    content, name = archived.content[CHANNEL], archived.name(CHANNEL, "a01", 1)
    content[name + "@.exe"] = content.pop(name)
    rezip(archived)
    path = archived.zip_path(CHANNEL)
    path.write_bytes(path.read_bytes().replace(b"tif@.exe", b"tif\0.exe"))


def with_members_in_another_order(archived):
    archived.content[CHANNEL] = dict(reversed(archived.content[CHANNEL].items()))
    rezip(archived)


ODD = {
    "stored": rewritten(compression=zipfile.ZIP_STORED),
    "deflated hard": rewritten(compresslevel=9),
    "deflated without compression": rewritten(compresslevel=0),
    "comment": with_comment,
    "something before": with_something_before,
    "zip64": as_zip64,
    "a stream": as_a_stream,
    "extra fields": with_extra_fields,
    "Unicode name": with_a_unicode_name,
    "name that ends at a NUL": with_a_name_that_ends_at_a_nul,
    "another order": with_members_in_another_order,
}


@pytest.mark.parametrize("spoil", ODD.values(), ids=ODD)
def test_an_odd_archive_is_read_right(archived, spoil):
    archived.write()
    spoil(archived)
    assert archived.check() == {}


# --- Names and kinds of members: whatever they are, nothing is written but the store. ---

STRANGE = {
    "up": ("../../evil.tif", "lies outside the folder"),
    "up from within": (f"{PLATE}-{CHANNEL}/../../evil.tif", "not named as an image of the screen"),
    "absolute": ("/tmp/evil.tif", "lies outside the folder"),
    "backslashes": (f"{PLATE}-{CHANNEL}\\cdp2bioactives_a01_s9_w5.tif", "lies outside the folder"),
    "drive": ("C:/evil.tif", "lies outside the folder"),
    "a dot": (".", "lies outside the folder"),
    "line break": (f"{PLATE}-{CHANNEL}/a\nb.tif", "not named as an image of the screen"),
    "comma and quote": (f'{PLATE}-{CHANNEL}/a,"b".tif', "not named as an image of the screen"),
    "very long": (f"{PLATE}-{CHANNEL}/{'a' * 60000}.tif", "not named as an image of the screen"),
}


@pytest.mark.parametrize(("name", "reason"), STRANGE.values(), ids=STRANGE)
def test_a_strange_name_is_refused_and_nothing_is_written_there(archived, name, reason):
    archived.content[CHANNEL][name] = b"evil"
    archived.write()
    refused = archived.check()
    assert list(refused) == [name]
    assert reason in refused[name]


def test_a_link_is_read_as_the_text_that_it_is(archived):
    archived.write()
    data = archived.content[CHANNEL].pop(archived.name(CHANNEL, "a01", 1))
    assert data
    rezip(archived)
    with zipfile.ZipFile(archived.zip_path(CHANNEL), "a") as file:
        link = zipfile.ZipInfo(archived.name(CHANNEL, "a01", 1))
        link.create_system, link.external_attr = 3, 0o120777 << 16
        file.writestr(link, str(archived.wells))
    refused = archived.check()
    assert set(refused) == {KEY}
    assert "truncated or not TIFF" in refused[KEY]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_is_refused(archived):
    archived.write()
    name = archived.name(CHANNEL, "a01", 1)
    with zipfile.ZipFile(archived.zip_path(CHANNEL), "a") as file:
        file.writestr(name, archived.content[CHANNEL][name])
    assert archived.check() == {KEY: "2 Mito images"}


def test_two_images_of_one_site_are_refused(archived):
    name = archived.name(CHANNEL, "a01", 1)
    archived.content[CHANNEL][name.replace("cdp2", "cdp3")] = archived.content[CHANNEL][name]
    archived.write()
    assert archived.check() == {KEY: "2 Mito images"}


def test_a_missing_channel_is_named(archived):
    del archived.content[CHANNEL][archived.name(CHANNEL, "a01", 1)]
    archived.write()
    assert archived.check() == {KEY: "no Mito image"}


@pytest.mark.parametrize("site", [0, 10, 123, 9999])
def test_sites_beyond_nine_are_sites_of_their_own(archived, site):
    for channel, members in archived.content.items():
        members[archived.name(channel, "a01", site)] = members[archived.name(channel, "a01", 2)]
    archived.write()
    assert archived.store() == {}
    stored = archived.stored()
    sites = [int(key.split("-")[2]) for key in stored if "-A01-" in key]
    assert sites == sorted([1, 2, site]), "in the order of numbers, not of names"
    np.testing.assert_array_equal(stored[f"{PLATE}-A01-{site}"], stored[f"{PLATE}-A01-2"])
