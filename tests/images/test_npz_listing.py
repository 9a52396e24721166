"""Listing the authors' npz files: what each plate has, and tar files and folders that cannot be listed."""

import tarfile

import pytest

from cloome.errors import CloomeError
from cloome.images.npz_listing import write_listing


def test_what_is_named_as_no_field_is_listed(npz):
    npz.files |= dict.fromkeys(["README.txt", "24277-A03.npz", "x.npz", "24277-A03-1.npy", "\udce9-1.npz"], b"")
    npz.write()
    names = ("README.txt", "24277-A03.npz", "x.npz", "24277-A03-1.npy", r"\udce9-1.npz")
    assert npz.list() == {f"{npz.tar}/{name}": "not named as PLATE-WELL-SITE.npz" for name in names}


def test_each_plate_has_a_table_of_its_own(npz):
    npz.files["24278-A03-1.npz"] = npz.files["24277-A03-1.npz"]
    npz.write()
    npz.list()
    assert sorted(path.name for path in npz.listing.iterdir()) == ["24277.csv", "24278.csv"]
    assert npz.store() == {}, "what the index does not name as a plate of the screen is of no concern"


def test_linked_folders_are_not_gone_through(npz):
    npz.write_folder()
    (npz.npz / "again").symlink_to(npz.npz)
    assert npz.list() == {f"{npz.npz}/again": "a link to a folder; name that folder in screen.images"}
    assert npz.store() == {}


def test_a_folder_that_holds_something_is_not_overwritten(npz):
    npz.write()
    npz.listing.mkdir()
    (npz.listing / "24277.csv").write_text("kept")
    with pytest.raises(CloomeError, match="listing: holds files already; delete it, or name another folder"):
        write_listing(npz.images, npz.listing)
    assert (npz.listing / "24277.csv").read_text() == "kept"


def cut(content: bytes) -> bytes:
    return content[:3000]


def without_end(content: bytes) -> bytes:
    return content[: -2 * tarfile.BLOCKSIZE].rstrip(b"\0") + bytes(100)


def whole_members(content: bytes) -> bytes:
    """Cut between two members."""
    second = content.index(b"24277-A03-2.npz")
    return content[:second]


def bad_header(content: bytes) -> bytes:
    second = content.index(b"24277-A03-2.npz")
    return content[:second] + b"?" + content[second + 1 :]


@pytest.mark.parametrize(
    "damage", [cut, without_end, whole_members, bad_header, lambda content: b"", lambda content: b"no tar" * 1000]
)
def test_a_damaged_tar_is_one_plain_error(npz, damage):
    npz.write()
    npz.tar.write_bytes(damage(npz.tar.read_bytes()))
    with pytest.raises(
        CloomeError, match=r"dataset00\.tar: truncated, damaged or no plain tar file .*; fetch it again"
    ):
        npz.list()


def test_a_compressed_tar_is_one_plain_error(npz):
    npz.write_index(npz.rows)
    with tarfile.open(npz.tar, "w:gz") as tar:
        npz.add(tar, "24277-A03-1.npz", npz.files["24277-A03-1.npz"])
    with pytest.raises(CloomeError, match=r"no plain tar file .* decompress it"):
        npz.list()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"type": tarfile.GNUTYPE_LONGNAME, "size": 1 << 34}, "a header of 17179869184 bytes"),
        ({"type": tarfile.REGTYPE, "size": -512}, "has a size of -512 bytes"),
        ({"type": tarfile.REGTYPE, "size": -1}, "has a size of -1 bytes"),
        ({"type": tarfile.REGTYPE, "size": 1 << 80}, "truncated, damaged or no plain tar file"),
    ],
)
def test_a_tar_that_lies_about_its_sizes_is_one_plain_error(npz, header, message):
    npz.write()
    member = tarfile.TarInfo("24277-A05-1.npz")
    member.type, member.size = header["type"], header["size"]
    content = npz.tar.read_bytes()
    last = content.index(b"24277-A05-1.npz")
    npz.tar.write_bytes(content[:last] + member.tobuf(tarfile.GNU_FORMAT) + content[last:])
    with pytest.raises(CloomeError, match=message):
        npz.list()


def test_a_missing_path_is_named(npz):
    npz.write_index(npz.rows)
    with pytest.raises(CloomeError, match=r"dataset00\.tar: no such folder or tar file; correct screen\.images"):
        npz.list()
