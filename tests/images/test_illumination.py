"""Illumination correction: each image is divided by the function of its channel, and a bad function is refused."""

import os
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.io
import tifffile

from cloome.config import PAPER_CHANNELS, Config
from cloome.data.plates import open_plate
from cloome.errors import ConfigError, FormatError
from cloome.images.command import Inputs, store_plate
from cloome.images.illumination import corrected, read_function

SHAPE = (40, 50)
FUNCTION = np.linspace(1, 3, 2000, dtype=np.float32).reshape(SHAPE)


def test_an_image_is_divided_and_rounded():
    pixels = np.array([[100, 101, 65535], [0, 3, 5]], np.uint16)
    function = np.array([[2, 2, 0.5], [1, 2, 3]], np.float32)
    found = corrected(pixels, function)
    assert found.dtype == np.uint16
    assert found.tolist() == [[50, 50, 65535], [0, 2, 2]], "halves to even; beyond 65535 is cut"


def test_an_image_of_8_bit_stays_one():
    found = corrected(np.array([[100, 200]], np.uint8), np.array([[2, 0.5]], np.float32))
    assert found.dtype == np.uint8
    assert found.tolist() == [[50, 255]]


@pytest.fixture
def functions(tmp_path):
    """Folder with a function of each channel, as the plates' are published."""
    folder = tmp_path / "functions"
    folder.mkdir()
    for number, channel in enumerate(PAPER_CHANNELS):
        scipy.io.savemat(folder / f"{channel}.mat", {"Image": FUNCTION + number})
    return folder


def test_each_channel_is_divided_by_its_own_function(archived, functions, naive):
    archived.write()
    assert archived.store(illumination=True, functions=functions) == {}
    stored = archived.stored()
    assert len(stored) == 4
    for key, image in stored.items():
        _, well, site = key.split("-")
        for number, channel in enumerate(PAPER_CHANNELS):
            content = archived.content[channel][archived.name(channel, well.lower(), int(site))]
            path = functions / "image.tif"
            path.write_bytes(content)
            divided = np.rint(tifffile.imread(path) / (FUNCTION + np.float32(number))).astype(np.uint16)
            np.testing.assert_array_equal(image[number], naive(divided, 2.8e-5, 256))


def test_a_function_of_another_size_refuses_the_fields(archived, functions):
    archived.write()
    scipy.io.savemat(functions / "Mito.mat", {"Image": FUNCTION[1:]})
    with pytest.raises(FormatError, match=r"the Mito image: it is \(40, 50\), its illumination .* \(39, 50\)"):
        archived.store(illumination=True, functions=functions)


def test_a_missing_function_stops_the_plate(archived, functions):
    archived.write()
    (functions / "Mito.mat").unlink()
    with pytest.raises(FormatError, match=r"Mito\.mat: cannot be read: No such file"):
        archived.store(illumination=True, functions=functions)
    with pytest.raises(ConfigError, match="give the folder of the functions with --illumination"):
        archived.store(illumination=True)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matlab_files_are_read(tmp_path, compressed, dtype):
    scipy.io.savemat(tmp_path / "a.mat", {"Image": FUNCTION.astype(dtype)}, do_compression=compressed)
    found = read_function(tmp_path / "a.mat")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, FUNCTION)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_numpy_files_are_read(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.asfortranarray(FUNCTION.astype(dtype)))
    found = read_function(tmp_path / "a.npy")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, FUNCTION.astype(dtype).astype(np.float32))


class Bomb:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def save_npz(path):
    with open(path, "wb") as file:
        np.savez(file, FUNCTION)


def declare(shape):
    """A .npy of a shape whose numbers are missing."""

    def save(path):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
        path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(100))

    return save


BAD = {
    "zeros": ("npy", lambda path: np.save(path, FUNCTION - 1), "values that are not above 0"),
    "negative": ("npy", lambda path: np.save(path, -FUNCTION), "values that are not above 0"),
    "NaN": ("npy", lambda path: np.save(path, np.where(FUNCTION > 2, np.nan, 1)), "values that are not above 0"),
    "infinite": ("npy", lambda path: np.save(path, FUNCTION * np.inf), "values that are not above 0"),
    "beyond single precision": (
        "npy",
        lambda path: np.save(path, FUNCTION.astype(float) * 1e300),
        "values that are not above 0",
    ),
    "below single precision": (
        "npy",
        lambda path: np.save(path, FUNCTION.astype(float) * 1e-300),
        "values that are not above 0",
    ),
    "whole numbers": ("npy", lambda path: np.save(path, FUNCTION.astype(int)), "expected numbers with a point"),
    "three axes": ("npy", lambda path: np.save(path, FUNCTION[None]), "expected numbers with a point"),
    "several arrays": ("npy", save_npz, "several arrays"),
    "0 bytes, npy": ("npy", lambda path: path.write_bytes(b""), "no illumination correction function"),
    "numbers missing": ("npy", declare((1000, 1000)), "no illumination correction function"),
    "numbers of 7 TB missing": ("npy", declare((10**6, 10**6)), "no illumination correction function"),
    "0 bytes, mat": ("mat", lambda path: path.write_bytes(b""), "no illumination correction function"),
    "text": ("mat", lambda path: path.write_bytes(b"404 Not Found" * 99), "no illumination correction function"),
    "another name": ("mat", lambda path: scipy.io.savemat(path, {"Other": FUNCTION}), "'Image'"),
    "text inside": ("mat", lambda path: scipy.io.savemat(path, {"Image": "text"}), "expected numbers with a point"),
    "folder": ("mat", lambda path: path.mkdir(), "cannot be read"),
}


@pytest.mark.parametrize(("ending", "write", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_function_is_refused(tmp_path, ending, write, reason):
    path = tmp_path / f"function.{ending}"
    write(path)
    with pytest.raises(FormatError, match=rf"function\.{ending}: .*{reason}"):
        read_function(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_matlab_file_is_refused(tmp_path, compressed, share):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"Image": FUNCTION}, do_compression=compressed)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(FormatError, match=r"a\.mat: "):
        read_function(path)


@pytest.mark.parametrize("inside", [False, True], ids=["a pickle", "objects in an array"])
def test_no_object_is_loaded_from_a_numpy_file(tmp_path, inside):
    path, trace = tmp_path / "a.npy", tmp_path / "trace"
    if inside:
        np.save(path, np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(FormatError, match="no illumination correction function"):
        read_function(path)
    assert not trace.exists()


# --- Functions that a LoadData table names. ---


@pytest.fixture
def listed(tmp_path):
    """A screen of one plate and one channel, two wells, with the function in a folder of its own."""
    (tmp_path / "images").mkdir()
    (tmp_path / "illum").mkdir()
    rng, rows = np.random.default_rng(0), []
    for well in ("B02", "B03"):
        tifffile.imwrite(tmp_path / "images" / f"{well}.tif", rng.integers(1, 4096, SHAPE, dtype=np.uint16))
        files = {"PathName_OrigDNA": "images", "FileName_OrigDNA": f"{well}.tif"}
        files |= {"PathName_IllumDNA": "illum", "FileName_IllumDNA": "P1_IllumDNA.npy"}
        rows.append({"Metadata_Plate": "P1", "Metadata_Well": well, "compound": "x", **files})
    np.save(tmp_path / "illum" / "P1_IllumDNA.npy", FUNCTION)
    return pd.DataFrame(rows)


def store_listed(table, folder) -> None:
    table.to_csv(folder / "load_data.csv", index=False)
    screen = {"kind": "load_data", "name": "own", "load_data": "elsewhere.csv", "channels": ["DNA"]}
    screen |= {"compound_column": "compound", "concentration_column": None, "compounds": {"path": "compounds.csv"}}
    images = {"nuclei": "DNA", "illumination": True}
    config = Config.model_validate({"screen": screen, "images": images, "model": {"normalisation": "measured"}})
    store_plate(config, "P1", Inputs(folder / "load_data.csv"), folder / "P1.h5")


def test_a_load_data_table_names_the_function_of_its_plate(listed, tmp_path, naive):
    store_listed(listed, tmp_path)
    with open_plate(tmp_path / "P1.h5") as plate:
        for image, well in zip(plate.images, ("B02", "B03"), strict=True):
            divided = np.rint(tifffile.imread(tmp_path / "images" / f"{well}.tif") / FUNCTION).astype(np.uint16)
            np.testing.assert_array_equal(image[0], naive(divided, 2.8e-5, 256))


def test_a_load_data_table_must_name_one_function(listed, tmp_path):
    two = listed.assign(FileName_IllumDNA=["a.npy", "b.npy"])
    with pytest.raises(FormatError, match=r"FileName_IllumDNA names 2 functions for plate P1, expected one"):
        store_listed(two, tmp_path)
    with pytest.raises(FormatError, match=r"FileName_IllumDNA names 0 functions for plate P1"):
        store_listed(listed.assign(FileName_IllumDNA=""), tmp_path)
    with pytest.raises(FormatError, match=r"no column .*FileName_IllumDNA"):
        store_listed(listed.drop(columns="FileName_IllumDNA"), tmp_path)
    with pytest.raises(FormatError, match=r"absent\.npy: cannot be read: No such file"):
        store_listed(listed.assign(FileName_IllumDNA="absent.npy"), tmp_path)


def test_functions_of_other_plates_do_not_matter(listed, tmp_path):
    other = listed.assign(Metadata_Plate="P2", FileName_IllumDNA="other.npy")
    store_listed(pd.concat([listed, other]), tmp_path)
    with open_plate(tmp_path / "P1.h5") as plate:
        assert len(plate.images) == 2
