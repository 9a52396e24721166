"""Reading one channel's pixels: grey TIFF and PNG of 8 or 16 bit come back exactly; anything else is refused."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

import cloome.data.pixels
from cloome.data.pixels import read_pixels
from cloome.errors import FormatError


def pixels(dtype, shape=(5, 7)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.png"])
def test_grey_images_come_back_exactly(tmp_path, name, dtype):
    path, image = tmp_path / name, pixels(dtype)
    tifffile.imwrite(path, image) if "tif" in name.lower() else Image.fromarray(image).save(path)
    for found in (read_pixels(path), read_pixels(path.read_bytes(), name)):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, image)


def test_big_endian_tiff_is_read(tmp_path):
    image = pixels(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, byteorder=">")
    found = read_pixels(tmp_path / "a.tif")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("compression", ["lzw", "deflate"])
def test_compressed_tiff_is_read(tmp_path, compression):
    image = pixels(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, compression=compression)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), image)


def test_what_is_no_grey_image_is_refused(tmp_path):
    def refused(name, message):
        with pytest.raises(FormatError, match=f"{name}.*{message}"):
            read_pixels(tmp_path / name)

    tifffile.imwrite(tmp_path / "stack.tif", pixels(np.uint16, (3, 5, 7)), photometric="minisblack")
    refused("stack.tif", "a stack of 3 images")
    tifffile.imwrite(tmp_path / "colour.tif", pixels(np.uint8, (5, 7, 3)), photometric="rgb")
    refused("colour.tif", r"shape \(5, 7, 3\)")
    tifffile.imwrite(tmp_path / "float.tif", pixels(np.uint8).astype(np.float32))
    refused("float.tif", "float32")
    Image.fromarray(pixels(np.uint8, (5, 7, 3))).save(tmp_path / "colour.png")
    refused("colour.png", "in colours")
    Image.fromarray(pixels(np.uint8)).convert("P").save(tmp_path / "palette.png")
    refused("palette.png", "in colours")
    (tmp_path / "image.jpg").write_bytes(b"")
    refused("image.jpg", "neither TIFF nor PNG")
    refused("absent.tif", "cannot be read: No such file")


def test_a_tiff_that_claims_to_be_huge_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(cloome.data.pixels, "LARGEST_IMAGE", 1000)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((100, 100), np.uint8), compression="zlib")
    with pytest.raises(FormatError, match="10000 bytes, allowed are 1000"):
        read_pixels(tmp_path / "a.tif")


def test_a_png_that_claims_to_be_huge_is_refused_before_it_is_unpacked():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(FormatError, match=r"a\.png: 81000000 bytes, allowed are 67108864"):
        read_pixels(content, "a.png")


def test_a_file_beyond_the_limit_is_not_even_read(tmp_path):
    with open(tmp_path / "a.tif", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FormatError, match=r"a\.tif: 1099511627776 bytes, allowed are 67108864"):
        read_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{"truncate": True}, {"imagej": True}], ids=["tifffile", "ImageJ"])
def test_a_stack_behind_one_directory_is_a_stack(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", pixels(np.uint16, (3, 5, 7)), photometric="minisblack", **options)
    with pytest.raises(FormatError, match="a stack of 3 images"):
        read_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("kept", [0, 4, 0.3, 0.9])
def test_a_truncated_image_is_refused(tmp_path, name, kept):
    path, image = tmp_path / name, pixels(np.uint16, (64, 64))
    tifffile.imwrite(path, image) if "tif" in name else Image.fromarray(image).save(path)
    content = path.read_bytes()
    content = content[: kept if isinstance(kept, int) else int(kept * len(content))]
    with pytest.raises(FormatError, match="truncated or not"):
        read_pixels(content, name)


def test_a_real_field(real_data):
    files = sorted((real_data / "bray" / "field").glob("*.tif*"))
    assert len(files) == 5
    for file in files:
        image = read_pixels(file)
        assert (image.shape, image.dtype) == ((520, 696), np.uint16)
        assert 0 < image.max() < 4096, "12-bit values"
