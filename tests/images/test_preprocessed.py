"""The authors' preprocessed images: npz files of 8 bit, in folders or tar files, beside index tables."""

import io
import os
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cloome.cli import main
from cloome.config import PAPER_CHANNELS, Config
from cloome.data.plates import open_plate
from cloome.data.refused import read_refused
from cloome.errors import CloomeError, FormatError
from cloome.images.command import Inputs, store_plate
from cloome.images.npz_listing import write_listing

SHAPE = (30, 40, 5)
PLATE = "24277"


class Arrow:
    """A pickle of this writes a file as soon as it is loaded."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


class NpzScreen:
    """Plate 24277: wells A03 and A04 (treated), two sites each, and A05 (mock); the bytes of its files by name."""

    def __init__(self, folder: Path):
        self.folder, self.listing, self.out = folder, folder / "listing", folder / f"{PLATE}.h5"
        self.tar, self.npz = folder / "dataset00.tar", folder / "npz"
        self.images, self.wells = [str(self.tar)], "treated"
        rng = np.random.default_rng(0)
        self.rows = [self.row("A03", 1), self.row("A03", 2), self.row("A04", 1, "BRD-2"), self.row("A04", 2, "BRD-2")]
        self.rows.append(self.row("A05", 1, compound=""))
        self.samples = {row["SAMPLE_KEY"]: rng.integers(1, 256, SHAPE, dtype=np.uint8) for row in self.rows}
        self.files = {f"{key}.npz": self.packed(sample) for key, sample in self.samples.items()}

    @staticmethod
    def row(well: str, site: int, compound: str = "BRD-1", plate: str = PLATE) -> dict:
        names = {"SAMPLE_KEY": f"{plate}-{well}-{site}", "BROAD_ID": compound, "PLATE_ID": int(plate)}
        return names | {"WELL_POSITION": well, "SITE": site, "SMILES": "CCO", "CPD_NAME": compound}

    @staticmethod
    def packed(sample: np.ndarray, name: str = "sample", save=np.savez_compressed, **more) -> bytes:
        buffer = io.BytesIO()
        save(buffer, **{name: sample}, **more)
        return buffer.getvalue()

    def write(self) -> None:
        """Write the index and all files into one tar."""
        self.write_index(self.rows)
        with tarfile.open(self.tar, "w") as tar:
            for name, content in self.files.items():
                add(tar, name, content)

    def write_index(self, rows: list[dict], name: str = "index.csv") -> None:
        pd.DataFrame(rows).to_csv(self.folder / name, index=False)

    def write_folder(self) -> None:
        """Write the index and all files into a folder."""
        self.write_index(self.rows)
        self.images = [str(self.npz)]
        for name, content in self.files.items():
            path = self.npz / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def config(self, index: tuple[str, ...] = ("index.csv",), **images) -> Config:
        screen = {"kind": "npz", "name": "s", "images": self.images}
        screen["index"] = [str(self.folder / name) for name in index]
        return Config.model_validate({"screen": screen, "images": {"intensity": "none", "wells": self.wells, **images}})

    def list(self) -> dict[str, str]:
        """Make the listing; what is named as no field, as reason by item."""
        shutil.rmtree(self.listing, ignore_errors=True)
        _, refused = write_listing(self.images, self.listing)
        return dict(refused)

    def store(self, threads: int = 1, **images) -> dict[str, str]:
        """Make the plate store; what was refused, as reason by item."""
        store_plate(self.config(**images), PLATE, Inputs(self.listing), self.out, threads)
        return reasons(self.out.with_suffix(".refused.csv"))

    def stored(self) -> dict[str, np.ndarray]:
        """Images by sample key, (H, W, C)."""
        with open_plate(self.out) as plate:
            assert plate.channels == PAPER_CHANNELS
            return dict(zip(plate.fields()["sample_key"], np.moveaxis(plate.images[()], 1, -1), strict=True))


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **attributes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    tar.addfile(member, io.BytesIO(content))


def reasons(path: Path) -> dict[str, str]:
    table = read_refused(path)
    return dict(zip(table["item"], table["reason"], strict=True))


@pytest.fixture
def npz(tmp_path) -> NpzScreen:
    return NpzScreen(tmp_path)


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
            add(tar, "./dataset", type=tarfile.DIRTYPE)
            add(tar, f"./dataset/{name}", npz.files[name])
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
        add(tar, "24277-A03-1.npz", npz.files["24277-A03-1.npz"])
        add(tar, "again/24277-A03-2.npz", npz.files["24277-A03-1.npz"])
        add(tar, "24277-a3-2.npz", npz.files["24277-A03-1.npz"])
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
        add(tar, name, **attributes)
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


# The listing


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
        add(tar, "24277-A03-1.npz", npz.files["24277-A03-1.npz"])
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
