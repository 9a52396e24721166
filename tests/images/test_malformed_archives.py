"""Damaged, hostile and odd zip archives: each field is read as zipfile and tifffile do, or refused with a reason."""

import random
import re
import struct
import zipfile
import zlib

import numpy as np
import pytest

from cloome.errors import CloomeError

PLATE, CHANNEL, KEY = "24278", "Mito", "24278-A01-1"
BIG = 2**31
# Offset in a record of the central directory, and format, of what is spoiled; likewise in a local header.
DIRECTORY = {
    "flags": (8, "<H"),
    "method": (10, "<H"),
    "crc": (16, "<I"),
    "packed size": (20, "<I"),
    "size": (24, "<I"),
    "offset": (42, "<I"),
    "name": (46, "<c"),
}
LOCAL = {"crc": (14, "<I"), "packed size": (18, "<I"), "size": (22, "<I"), "method": (8, "<H"), "name": (30, "<c")}


class Spoiled:
    """The bytes of an archive that is being spoiled."""

    def __init__(self, archived):
        self.path = archived.zip_path(CHANNEL)
        self.bytes = bytearray(self.path.read_bytes())
        self.names = [archived.name(CHANNEL, well, site) for well in ("a01", "a02", "a03") for site in (1, 2)]
        with zipfile.ZipFile(self.path) as file:
            self.starts = {info.filename: info.header_offset for info in file.infolist()}
            self.directory = file.start_dir

    def record(self, name: str) -> int:
        """Place of the member's record in the central directory."""
        return self.bytes.index(name.encode(), self.directory) - 46

    def content(self, name: str) -> int:
        """Place of the member's bytes."""
        return self.starts[name] + 30 + len(name)

    def get(self, what: str, name: str) -> int:
        offset, form = DIRECTORY[what]
        return struct.unpack_from(form, self.bytes, self.record(name) + offset)[0]

    def set(self, what: str, value, name: str, local: bool = False) -> None:
        offset, form = (LOCAL if local else DIRECTORY)[what]
        struct.pack_into(form, self.bytes, (self.starts[name] if local else self.record(name)) + offset, value)

    def write(self) -> None:
        self.path.write_bytes(self.bytes)


@pytest.fixture
def spoiled(archived) -> Spoiled:
    archived.write()
    return Spoiled(archived)


def rezip(archived, **options) -> None:
    """Write the spoiled channel's archive once more."""
    with zipfile.ZipFile(archived.zip_path(CHANNEL), "w", **({"compression": zipfile.ZIP_DEFLATED} | options)) as file:
        for name, data in archived.content[CHANNEL].items():
            file.writestr(name, data)


# --- The archive as a whole: one clear error, and no store. ---


def cut(share):
    return lambda content: content[: int(share * len(content))]


UNUSABLE = {
    "0 bytes": lambda content: b"",
    "text": lambda content: b"<html>404 Not Found</html>" * 100,
    "zeros": lambda content: bytes(len(content)),
    "noise": lambda content: random.Random(0).randbytes(len(content)),
    "no end record": lambda content: content[:-22],
    "half an end record": lambda content: content[:-11],
    "a record without its signature": lambda content: content.replace(b"PK\1\2", b"XX\1\2", 1),
    "directory said to be before the start": lambda content: content[:-10] + struct.pack("<I", BIG) + content[-6:],
    "name that is no UTF-8": lambda content: flag_utf8(content).replace(b"cdp2", b"\xff\xff\xff\xff"),
    "from the future": lambda content: set_needed_version(content, 99),
    **{f"cut to {share:.3f}": cut(share) for share in np.random.default_rng(1).random(8)},
}


def flag_utf8(content: bytes) -> bytes:
    record = content.index(b"PK\1\2")
    return content[: record + 8] + struct.pack("<H", 0x800) + content[record + 10 :]


def set_needed_version(content: bytes, version: int) -> bytes:
    record = content.index(b"PK\1\2")
    return content[: record + 6] + struct.pack("<H", version) + content[record + 8 :]


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_archive_stops_the_plate(archived, spoil):
    archived.write()
    path = archived.zip_path(CHANNEL)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(CloomeError, match=r"24278-Mito\.zip: truncated or not a zip .*; delete it and run download"):
        archived.check()
    assert not archived.out.exists()


def test_a_folder_in_place_of_an_archive_stops_the_plate(archived):
    archived.write()
    archived.zip_path(CHANNEL).unlink()
    archived.zip_path(CHANNEL).mkdir()
    with pytest.raises(CloomeError, match=r"24278-Mito\.zip: cannot be read: Is a directory"):
        archived.check()


def test_an_archive_without_members_leaves_no_usable_field(archived):
    archived.content[CHANNEL] = {}
    archived.write()
    with pytest.raises(CloomeError, match="not a single usable field; 6 refused: no Mito image"):
        archived.store()


# --- Damage to one member: its field is refused, the others are stored. ---


def test_a_member_that_is_said_to_lie_elsewhere_is_refused(spoiled, archived):
    """The two that start at one place are both refused: nothing says whose it is."""
    first, second = spoiled.names[:2]
    spoiled.set("offset", spoiled.starts[second], first)
    spoiled.write()
    refused = archived.check()
    assert set(refused) == {KEY, "24278-A01-2"}
    assert all("at the place of another member" in reason for reason in refused.values())


DAMAGE = {
    "wrong checksum": (("crc", 1), "its size or checksum is not"),
    "declared larger": (("size", 5000), "its size or checksum is not"),
    "declared smaller": (("size", 3000), "LIBDEFLATE_INSUFFICIENT_SPACE"),
    "declared 1 byte": (("size", 1), "LIBDEFLATE_INSUFFICIENT_SPACE"),
    "declared 0 bytes": (("size", 0), "damaged in the archive"),
    "declared 2 GB": (("size", BIG), f"{BIG} bytes, allowed are"),
    "packed into 2 GB": (("packed size", BIG), f"{BIG} bytes, allowed are"),
    "packed into 0 bytes": (("packed size", 0), "damaged in the archive"),
    "packed into fewer bytes": (("packed size", 100), "damaged in the archive"),
    "packed into the next member too": (("packed size", 6000), "it reaches into the next member"),
    "beyond the end": (("offset", BIG), "outside of the archive"),
    "between two members": (("offset", 100), "it is not where the directory says"),
    "encrypted": (("flags", 0x1), "encrypted"),
    "a patch": (("flags", 0x20), "encrypted"),
    "strongly encrypted": (("flags", 0x41), "encrypted"),
    "stored, not deflated": (("method", 0), "its size or checksum is not"),
    "bzip2": (("method", 12), "packed by the method bzip2; zip the archive again with deflate"),
    "lzma": (("method", 14), "packed by the method lzma"),
    "unknown method": (("method", 99), "packed by the method 99"),
}


@pytest.mark.parametrize(("change", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_wrong_entry_of_the_directory_costs_its_field_only(spoiled, archived, change, reason):
    spoiled.set(*change, spoiled.names[0])
    spoiled.write()
    refused = archived.check()
    assert set(refused) == {KEY}
    assert reason in refused[KEY]


@pytest.mark.parametrize(("local", "name"), [(True, b"3"), (False, b"9")], ids=["in its header", "in the directory"])
def test_a_member_with_another_name_than_in_the_directory_is_refused(spoiled, archived, local, name):
    """One bit turns a site into another one; only the two names together tell."""
    place = spoiled.starts[spoiled.names[0]] + 30 if local else spoiled.record(spoiled.names[0]) + 46
    place += spoiled.names[0].index("_s1_") + 2
    spoiled.bytes[place : place + 1] = name
    spoiled.write()
    refused = archived.check()
    assert set(refused) == ({KEY} if local else {KEY, "24278-A01-9"})
    assert "not where the directory says" in refused[KEY] or "no Mito image" in refused[KEY]


@pytest.mark.parametrize("what", ["crc", "size", "packed size", "method"])
def test_what_a_local_header_says_of_sizes_does_not_count(spoiled, archived, what):
    """As in zipfile: writers that do not know the sizes beforehand leave zeros there."""
    spoiled.set(what, 0, spoiled.names[0], local=True)
    spoiled.write()
    assert archived.check() == {}


@pytest.mark.parametrize("declared", [4500, 1 << 30], ids=["declared small", "declared as it is"])
def test_a_bomb_is_not_inflated(archived, declared):
    """1 GB in a member of 1 MB, whatever it says of itself."""
    deflate = zlib.compressobj(wbits=-15)
    block = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    name = archived.name(CHANNEL, "a01", 1)
    archived.content[CHANNEL][name] = block * 1024 + deflate.flush()
    archived.write()
    rezip(archived, compression=zipfile.ZIP_STORED)
    spoiled = Spoiled(archived)
    spoiled.set("method", zipfile.ZIP_DEFLATED, name)
    spoiled.set("size", declared, name)
    spoiled.write()
    refused = archived.check()
    assert set(refused) == {KEY}
    assert "LIBDEFLATE_INSUFFICIENT_SPACE" in refused[KEY] or "bytes, allowed are" in refused[KEY]


def test_members_that_share_their_bytes_are_refused(archived):
    """A bomb of overlapping members: the second lies whole within the first, which is stored."""
    outer, inner = archived.name(CHANNEL, "a01", 1), archived.name(CHANNEL, "a01", 2)
    archived.write()
    data = archived.content[CHANNEL][inner]
    header = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data), len(inner), 0)
    archived.content[CHANNEL] |= {outer: header + inner.encode() + data}
    rezip(archived, compression=zipfile.ZIP_STORED)
    spoiled = Spoiled(archived)
    spoiled.set("offset", spoiled.content(outer), inner)
    spoiled.write()
    refused = archived.check()
    assert set(refused) == {KEY}, "the inner one is an image, and whole"
    assert "it reaches into the next member" in refused[KEY]


def test_thousands_of_entries_for_the_same_bytes_are_refused(archived):
    archived.content[CHANNEL] |= {
        archived.name(CHANNEL, "a04", site): archived.content[CHANNEL][archived.name(CHANNEL, "a01", 1)]
        for site in range(1, 2000)
    }
    archived.write()
    spoiled = Spoiled(archived)
    for name in archived.content[CHANNEL]:
        spoiled.set("offset", 0, name)
    spoiled.write()
    with pytest.raises(CloomeError, match="not a single usable field"):
        archived.check()
    assert "at the place of another member" in archived.refused()[KEY]


# --- Bits flipped anywhere: right or refused, never wrong and never a crash. ---


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("where", ["data", "local headers", "directory", "end record"])
def test_flipped_bits_never_give_a_wrong_image(spoiled, archived, where, seed):
    draw = random.Random(f"{where} {seed}")
    for _ in range(draw.choice([1, 1, 3])):
        name = draw.choice(spoiled.names)
        first, after = {
            "data": (spoiled.content(name), spoiled.content(name) + 2000),
            "local headers": (spoiled.starts[name], spoiled.content(name)),
            "directory": (spoiled.directory, len(spoiled.bytes) - 22),
            "end record": (len(spoiled.bytes) - 22, len(spoiled.bytes)),
        }[where]
        spoiled.bytes[draw.randrange(first, after)] ^= 1 << draw.randrange(8)
    spoiled.write()
    unusable = ""
    try:
        archived.check()
    except CloomeError as error:
        unusable = str(error)
    assert archived.out.exists() == (not unusable)
    assert re.search(r"^$|24278-Mito\.zip: truncated or not a zip|not a single usable field", unusable)
