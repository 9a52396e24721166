"""The authors' preprocessed images: npz files of 8 bit, in folders or tar files, beside index tables."""

import io
import os
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from cloome.cli import main
from cloome.config import Config
from cloome.data.plates import open_plate
from cloome.data.refused import read_refused
from cloome.errors import FormatError
from cloome.images.command import Inputs, store_plate

SHAPE = (30, 40, 5)
PLATE = "24277"


class Arrow:
    """A pickle of this writes a file as soon as it is loaded."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


# What is stored


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("place", ["tar", "folder"])
def test_the_stored_bytes_are_those_of_the_arrays(npz, place, threads):
    npz.write() if place == "tar" else npz.write_folder()
    assert npz.list() == {}
    assert npz.store(threads) == {}
    stored = npz.stored()
    assert list(stored) == ["24277-A03-1", "24277-A03-2", "24277-A04-1", "24277-A04-2"]
    for key, image in stored.items():
        np.testing.assert_array_equal(image, npz.samples[key])


def test_wells_without_a_compound_are_kept_if_asked(npz):
    npz.wells = "all"
    npz.write()
    npz.list()
    npz.store()
    assert list(npz.stored()) == list(npz.samples)


def test_both_commands_make_a_plate_of_several_tars_and_a_folder_with_several_tables(npz):
    names = list(npz.files)
    for number, name in enumerate(names[:2]):
        with tarfile.open(npz.folder / f"dataset0{number}.tar", "w") as tar:
            npz.add(tar, "./dataset", type=tarfile.DIRTYPE)
            npz.add(tar, f"./dataset/{name}", npz.files[name])
    npz.files = {f"deep/er/{name}": npz.files[name] for name in names[2:]}
    npz.write_folder()
    npz.images = [str(npz.folder / name) for name in ("dataset00.tar", "dataset01.tar", "npz")]
    # The tables of two splits may name the same field.
    npz.write_index(npz.rows[:3], "train.csv")
    npz.write_index(npz.rows[2:], "test.csv")
    config = npz.folder / "config.yaml"
    config.write_text(yaml.safe_dump(npz.config(index=("train.csv", "test.csv")).model_dump()))
    assert main(["listing", "--images", *npz.images, "--out", str(npz.listing)]) == 0
    assert read_refused(npz.folder / "listing.refused.csv").empty
    words = ["images", "--config", str(config), "--plate", PLATE, "--in", str(npz.listing)]
    assert main([*words, "--out", str(npz.out)]) == 0
    assert list(npz.stored()) == list(npz.samples)[:4]


@pytest.mark.parametrize(
    "save", [np.savez, np.savez_compressed, lambda file, sample: np.savez(file, sample=np.asfortranarray(sample))]
)
def test_arrays_are_read_however_numpy_wrote_them(npz, save):
    npz.files = {f"{key}.npz": npz.packed(sample, save=save) for key, sample in npz.samples.items()}
    npz.write()
    npz.list()
    assert npz.store() == {}
    np.testing.assert_array_equal(npz.stored()["24277-A04-1"], npz.samples["24277-A04-1"])


def test_other_members_of_an_npz_are_not_looked_at(npz, tmp_path):
    bomb = np.array(Arrow(tmp_path / "loaded"), dtype=object)
    npz.files["24277-A03-1.npz"] = npz.packed(npz.samples["24277-A03-1"], other=bomb)
    npz.write()
    npz.list()
    assert npz.store() == {}
    assert not (tmp_path / "loaded").exists()


def test_a_screen_of_other_channels_is_stored(npz):
    config = npz.config(nuclei=None).model_dump()
    config["screen"]["channels"], config["model"]["normalisation"] = ["a", "b"], "measured"
    npz.files = {f"{key}.npz": npz.packed(sample[:, :, :2]) for key, sample in npz.samples.items()}
    npz.write()
    npz.list()
    store_plate(Config.model_validate(config), PLATE, Inputs(npz.listing), npz.out)
    with open_plate(npz.out) as plate:
        assert plate.channels == ["a", "b"]
        np.testing.assert_array_equal(plate.images[0, 1], npz.samples["24277-A03-1"][:, :, 1])


# What is refused of a plate


def with_array(sample: np.ndarray, **options):
    return lambda npz, content: npz.packed(sample, **options)


def with_size(declared: int):
    """The array's member says that it inflates to so many bytes."""

    def change(npz, content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            size = file.getinfo("sample.npy").file_size
        return content.replace(size.to_bytes(4, "little"), declared.to_bytes(4, "little"))

    return change


def with_header(shape: tuple[int, ...]):
    """An array that says that it has another shape."""

    def change(npz, content: bytes) -> bytes:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return zipped(header.getvalue() + bytes(6000))(npz, content)

    return change


def zipped(*arrays: bytes):
    def change(npz, content: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            for array in arrays:
                file.writestr("sample.npy", array)
        return buffer.getvalue()

    return change


def with_wrong_checksum(npz, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        checksum = file.getinfo("sample.npy").CRC
    return content.replace(checksum.to_bytes(4, "little"), (checksum ^ 1).to_bytes(4, "little"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda npz, content: content[:-300], "truncated, damaged or no npz file"),
        (lambda npz, content: b"", "truncated, damaged or no npz file"),
        (with_wrong_checksum, "Bad CRC-32"),
        (with_size(4_000_000_000), "an array of 4000000000 bytes, allowed are"),
        (with_array(np.ones(SHAPE, np.uint8), name="image"), "0 arrays 'sample', expected one; it holds image.npy"),
        (zipped(b"a", b"b"), "2 arrays 'sample', expected one"),
        (zipped(b"no array"), "its 'sample' is no array of NumPy"),
        (zipped(b"\x93NUMPY\x01\x00\x10\x00{'descr': '|u1',  "), "its 'sample' is no array of NumPy"),
        (zipped(b"\x93NUMPY\x03\x00"), "its 'sample' is no array of NumPy"),
        (with_array(np.ones(SHAPE, np.float32)), r"its 'sample' is float32 \(30, 40, 5\), expected uint8 \(H, W, 5\)"),
        (with_array(np.ones((30, 40, 4), np.uint8)), r"its 'sample' is uint8 \(30, 40, 4\)"),
        (with_array(np.ones((5, 30, 40), np.uint8)), r"its 'sample' is uint8 \(5, 30, 40\)"),
        (with_array(np.ones((30, 40), np.uint8)), r"its 'sample' is uint8 \(30, 40\)"),
        (with_header((10**9, 10**9, 5)), r"6000 bytes of pixels, but its 'sample' has the shape \(1000000000, "),
        (with_header((30, 39, 5)), "6000 bytes of pixels"),
        (with_header((-30, -40, 5)), r"its 'sample' is uint8 \(-30, -40, 5\)"),
        (with_array(np.ones((20, 40, 5), np.uint8)), "image is 20 x 40, others of the plate are 30 x 40"),
    ],
)
def test_a_file_without_such_an_array_is_refused(npz, change, reason):
    npz.files["24277-A03-1.npz"] = change(npz, npz.files["24277-A03-1.npz"])
    npz.write()
    npz.list()
    refused = npz.store()
    assert list(refused) == ["24277-A03-1"]
    assert re.search(reason, refused["24277-A03-1"])
    assert len(npz.stored()) == 3


def test_pickled_arrays_are_refused_unread(npz, tmp_path):
    npz.files["24277-A03-1.npz"] = npz.packed(np.array(Arrow(tmp_path / "loaded"), dtype=object))
    npz.write()
    npz.list()
    assert "holds pickled Python objects, which are never loaded" in npz.store()["24277-A03-1"]
    assert not (tmp_path / "loaded").exists()


def test_a_huge_file_is_refused_unread(npz):
    npz.write_folder()
    # A file with a hole: it has this size, but takes up no room.
    os.truncate(npz.npz / "24277-A03-1.npz", 400_000_000)
    npz.list()
    assert "400000000 bytes, allowed are" in npz.store()["24277-A03-1"]


def test_a_file_that_changed_since_it_was_listed_is_not_read(npz):
    npz.write_folder()
    npz.list()
    os.utime(npz.npz / "24277-A03-1.npz", (0, 0))
    (npz.npz / "24277-A03-2.npz").unlink()
    refused = npz.store()
    assert "changed since it was listed; run `cloome listing` again" in refused["24277-A03-1"]
    assert "cannot be read: No such file" in refused["24277-A03-2"]


def test_rows_without_a_file_and_files_without_a_row_are_refused(npz):
    del npz.files["24277-A03-1.npz"]
    npz.files["24277-B01-1.npz"] = npz.files["24277-A03-2.npz"]
    npz.write()
    npz.list()
    missing, unknown = "no such file in screen.images", "no row in the tables of screen.index"
    assert npz.store() == {"24277-A03-1": missing, f"{npz.tar}/24277-B01-1.npz": unknown}
    assert list(npz.stored()) == ["24277-A03-2", "24277-A04-1", "24277-A04-2"]


def test_of_files_with_one_name_none_is_used(npz):
    npz.write()
    with tarfile.open(npz.tar, "a") as tar:
        npz.add(tar, "24277-A03-1.npz", npz.files["24277-A03-1.npz"])
        npz.add(tar, "again/24277-A03-2.npz", npz.files["24277-A03-1.npz"])
        npz.add(tar, "24277-a3-2.npz", npz.files["24277-A03-1.npz"])
    npz.list()
    assert npz.store() == {
        "24277-A03-1": f"2 files of this name: '{npz.tar}/24277-A03-1.npz', '{npz.tar}/24277-A03-1.npz'",
        "24277-A03-2": f"3 files of this name: '{npz.tar}/24277-A03-2.npz', '{npz.tar}/24277-a3-2.npz', "
        f"'{npz.tar}/again/24277-A03-2.npz'",
    }


@pytest.mark.parametrize(
    ("name", "attributes", "reason"),
    [
        ("/tmp/24277-B01-1.npz", {}, "its name leads out of the tar file"),
        ("../24277-B01-1.npz", {}, "its name leads out of the tar file"),
        ("a/../../24277-B01-1.npz", {}, "its name leads out of the tar file"),
        ("24277-B01-1.npz", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "a link"),
        ("24277-B01-1.npz", {"type": tarfile.LNKTYPE, "linkname": "24277-A03-1.npz"}, "a link"),
        ("24277-B01-1.npz", {"type": tarfile.FIFOTYPE}, "no plain file"),
    ],
)
def test_what_is_no_file_of_a_tar_is_refused(npz, name, attributes, reason):
    npz.rows.append(npz.row("B01", 1))
    npz.write()
    with tarfile.open(npz.tar, "a") as tar:
        npz.add(tar, name, **attributes)
    npz.list()
    assert npz.store() == {f"{npz.tar}/{name}": reason}
    assert len(npz.stored()) == 4


def test_in_a_folder_a_link_to_a_file_is_followed_and_a_broken_one_refused(npz):
    npz.write_folder()
    (npz.npz / "24277-A03-1.npz").rename(npz.folder / "elsewhere")
    (npz.npz / "24277-A03-1.npz").symlink_to("../elsewhere")
    npz.list()
    assert npz.store() == {}
    (npz.folder / "elsewhere").unlink()
    npz.list()
    assert npz.store() == {f"{npz.npz}/24277-A03-1.npz": "cannot be read: No such file or directory"}


def test_a_plate_without_a_usable_file_says_why(npz):
    npz.files = {"24277-A05-1.npz": npz.files["24277-A05-1.npz"]}
    npz.write()
    npz.list()
    with pytest.raises(FormatError, match=r"24277: no treated well .* 4 refused: no such file in screen\.images"):
        npz.store()


def test_an_unknown_plate_and_a_missing_listing_are_named(npz):
    npz.write()
    with pytest.raises(FormatError, match="listing: no such folder; write it with `cloome listing`"):
        npz.store()
    npz.list()
    with pytest.raises(FormatError, match=r"index\.csv: no row of plate 24278; PLATE_ID names the plates"):
        store_plate(npz.config(), "24278", Inputs(npz.listing), npz.out)
