"""Damaged, hostile and odd TIFF files in an archive: read as tifffile reads them, or refused with file and reason."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
import tifffile

from cloome.config import PAPER_CHANNELS
from cloome.data.plates import open_plate
from cloome.errors import CloomeError

PLATE, CHANNEL, KEY = "24278", "Mito", "24278-A01-1"
SHAPE = (40, 50)
PIXELS = np.random.default_rng(7).integers(0, 4096, SHAPE, dtype=np.uint16)
SMOOTH = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint16)


def tiff(pixels: np.ndarray = PIXELS, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **({"photometric": "minisblack", "metadata": None} | options))
    return buffer.getvalue()


def patched(tag: str, value: int, content: bytes) -> bytes:
    """With another value of a tag that has just one."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        found = file.pages[0].tags[tag]
        form = {3: "H", 4: "I", 16: "Q"}[int(found.dtype)]
        place = found.valueoffset
    return content[:place] + struct.pack("<" + form, value) + content[place + struct.calcsize(form) :]


def last_directory(content: bytes) -> int:
    """Place of the offset of the next directory."""
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    return directory + 2 + 12 * count


def put(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + struct.pack("<I", value) + content[place + 4 :]


def without_tag(tag: str, content: bytes) -> bytes:
    """With the tag renamed to one that nobody knows."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        place = file.pages[0].tags[tag].offset
    return content[:place] + struct.pack("<H", 65000) + content[place + 2 :]


def bomb() -> bytes:
    """A strip of 400 MB, packed to 400 kB, in a file that declares 4000 bytes."""
    content = tiff(compression="zlib")
    strip = zlib.compress(bytes(400 << 20), 1)
    content = patched("StripOffsets", len(content), patched("StripByteCounts", len(strip), content))
    return content + strip


RIGHT = {
    "plain": tiff(),
    "with tifffile's description": tiff(metadata={}),
    "big-endian": tiff(byteorder=">"),
    "BigTIFF": tiff(bigtiff=True),
    "many strips": tiff(rowsperstrip=7),
    "tiled": tiff(tile=(16, 16)),
    "LZW": tiff(compression="lzw"),
    "deflate": tiff(compression="zlib"),
    "deflate with a predictor": tiff(compression="zlib", predictor=True),
    "PackBits": tiff(compression="packbits"),
    "LZW, tiled": tiff(compression="lzw", tile=(16, 16)),
    "white is zero": tiff(photometric="miniswhite"),
    "no samples per pixel": without_tag("SamplesPerPixel", tiff()),
    "with bytes behind": tiff() + bytes(1000),
    "said to have fewer bytes than pixels": patched("StripByteCounts", 3000, tiff()),
    "a directory that names itself as the next": put(tiff(), last_directory(tiff()), 8),
    "the next directory beyond the end": put(tiff(), last_directory(tiff()), 1_000_000),
    "constant": tiff(np.full(SHAPE, 7, np.uint16)),
    "one grey value less than all": tiff(np.full(SHAPE, 65534, np.uint16)),
    "all 65535": tiff(np.full(SHAPE, 65535, np.uint16)),
    "a single bright pixel": tiff(np.eye(1, 2000, 1200, dtype=np.uint16).reshape(SHAPE)),
    "smooth": tiff(SMOOTH),
}


@pytest.mark.parametrize("content", RIGHT.values(), ids=RIGHT)
def test_an_odd_tiff_is_read_right(archived, content):
    archived.content[CHANNEL][archived.name(CHANNEL, "a01", 1)] = content
    archived.write()
    assert archived.check() == {}


STACK = np.stack([PIXELS] * 4)
REFUSED = {
    "0 bytes": (b"", "truncated or not TIFF"),
    "1 byte": (b"I", "truncated or not TIFF"),
    "only a header": (tiff()[:8], "truncated or not TIFF"),
    "text": (b"<html>404 Not Found</html>" * 200, "truncated or not TIFF"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), "truncated or not TIFF"),
    "zeros": (bytes(4200), "truncated or not TIFF"),
    "noise": (random.Random(0).randbytes(4200), "truncated or not TIFF"),
    "noise behind a header": (b"II*\0" + random.Random(0).randbytes(4200), "truncated or not TIFF"),
    "8 bit": (tiff(PIXELS.astype(np.uint8)), "the Mito image: pixels are uint8, not uint16"),
    "1 bit": (tiff(PIXELS > 2000), "pixels are bool; save the image with 8 or 16 bit, unsigned"),
    "32 bit": (tiff(PIXELS.astype(np.uint32)), "pixels are uint32"),
    "signed": (tiff(PIXELS.astype(np.int16)), "pixels are int16"),
    "float16": (tiff(PIXELS.astype(np.float16)), "pixels are float16"),
    "float32": (tiff(PIXELS.astype(np.float32)), "pixels are float32"),
    "float64": (tiff(PIXELS.astype(np.float64)), "pixels are float64"),
    "RGB": (tiff(np.stack([PIXELS] * 3, axis=-1), photometric="rgb"), r"shape (40, 50, 3)"),
    "grey with alpha": (tiff(np.stack([PIXELS] * 2, axis=-1), planarconfig="contig"), "shape (40, 50, 2)"),
    "stack": (tiff(STACK), "a stack of 4 images"),
    "stack behind one directory": (tiff(STACK, metadata={}, truncate=True), "a stack of 4 images"),
    "ImageJ's stack": (tiff(STACK, metadata={}, imagej=True), "a stack of 4 images"),
    "smaller": (tiff(PIXELS[1:]), "the Mito image is 39 x 50, others of the plate are 40 x 50"),
    "transposed": (tiff(PIXELS.T.copy()), "the Mito image is 50 x 40"),
    "1 pixel": (tiff(PIXELS[:1, :1]), "the Mito image is 1 x 1"),
    "0 rows": (patched("ImageLength", 0, tiff()), "truncated or not TIFF"),
    "0 columns": (patched("ImageWidth", 0, tiff()), "truncated or not TIFF"),
    "all zero": (tiff(np.zeros(SHAPE, np.uint16)), "the Mito image is empty"),
    "directory beyond the end": (put(tiff(), 4, 1_000_000), "truncated or not TIFF"),
    "directory at the header": (put(tiff(), 4, 0), "truncated or not TIFF"),
    "no tag": (tiff()[:8] + bytes(6) + tiff()[14:], "truncated or not TIFF"),
    "pixels beyond the end": (patched("StripOffsets", 1_000_000, tiff()), "truncated or not TIFF"),
    "pixels partly beyond the end": (tiff()[:-1], "truncated or not TIFF"),
    "pixels at the header": (patched("StripOffsets", 0, tiff()), "does not say where all its pixels are"),
    "no place of the pixels": (without_tag("StripOffsets", tiff()), "truncated or not TIFF"),
    "no width": (without_tag("ImageWidth", tiff()), "truncated or not TIFF"),
    "unknown compression": (patched("Compression", 12345, tiff()), "truncated or not TIFF"),
    "said to be LZW": (patched("Compression", 5, tiff()), "truncated or not TIFF"),
    "damaged deflate": (tiff(SMOOTH, compression="zlib")[:-60] + bytes(60), "truncated or not TIFF"),
    "truncated deflate": (tiff(compression="zlib")[:-500], "truncated or not TIFF"),
    "truncated LZW": (tiff(compression="lzw")[:-500], "truncated or not TIFF"),
    "truncated PackBits": (tiff(compression="packbits")[:-500], "truncated or not TIFF"),
    "100000 x 100000": (
        patched("ImageWidth", 100_000, patched("ImageLength", 100_000, tiff())),
        "20000000000 bytes, allowed are 67108864",
    ),
    "100000 x 100000, deflated": (
        patched("ImageWidth", 100_000, patched("ImageLength", 100_000, tiff(compression="zlib"))),
        "bytes, allowed are 67108864",
    ),
    "2**31 rows": (patched("ImageLength", 2**31, tiff()), "bytes, allowed are 67108864"),
    "a tile of 60000 x 60000": (
        patched("TileWidth", 60_000, patched("TileLength", 60_000, tiff(tile=(64, 64), compression="zlib"))),
        "7200000000 bytes, allowed are 67108864",
    ),
    "strip of 400 MB": (bomb(), "truncated or not TIFF"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_bad_tiff_costs_its_field_only(archived, content, reason):
    name = archived.name(CHANNEL, "a01", 1)
    archived.content[CHANNEL][name] = content
    archived.write()
    refused = archived.check()
    assert set(refused) == {KEY}
    assert reason in refused[KEY]
    assert name in refused[KEY] or CHANNEL in refused[KEY]


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}], ids=["plain", "deflate", "tiled"]
)
def test_flipped_bits_in_the_tags_never_give_a_wrong_image(archived, options, seed):
    """Not in the archive, whose checksum would tell, but in the file before."""
    draw, content = random.Random(seed), bytearray(tiff(**options))
    for _ in range(draw.choice([1, 1, 3])):
        content[draw.randrange(220)] ^= 1 << draw.randrange(8)
    archived.content[CHANNEL][archived.name(CHANNEL, "a01", 1)] = bytes(content)
    archived.write()
    assert set(archived.check()) <= {KEY}


# --- Whole plates of odd images. ---


def fill(archived, make) -> None:
    """All images of the plate are `make(number)`."""
    for number, channel in enumerate(PAPER_CHANNELS):
        members = archived.content[channel]
        for name in members:
            members[name] = tiff(make(number))
    archived.write()


def test_a_plate_of_one_pixel_images_is_legal(archived):
    """Its images are 255: a single pixel is its own threshold."""
    fill(archived, lambda number: np.full((1, 1), 100 + number, np.uint16))
    assert archived.check() == {}
    with open_plate(archived.out) as plate:
        assert plate.images.shape == (4, 5, 1, 1)
        assert (plate.images[()] == 255).all()
        fields = plate.fields()
    assert set(fields["cell_count"]) == {0}
    values = fields[["mean_Mito", "std_Mito", "focus_Mito", "saturation_Mito", "emptiness_Mito"]]
    assert values.drop_duplicates().to_numpy().tolist() == [[255, 0, 0, 1, 0]]


@pytest.mark.parametrize("shape", [(1, 50), (40, 1), (2, 2), (1, 3)])
def test_a_plate_of_lines_is_legal(archived, shape):
    pixels = np.random.default_rng(0).integers(1, 4096, shape, dtype=np.uint16)
    fill(archived, lambda number: pixels + number)
    assert archived.check() == {}


def test_a_plate_of_constant_images_is_legal(archived):
    """They are 255 throughout, without nuclei and out of focus."""
    fill(archived, lambda number: np.full(SHAPE, 300, np.uint16))
    assert archived.check() == {}
    with open_plate(archived.out) as plate:
        fields = plate.fields()
    assert set(fields["cell_count"]) == {0}
    assert set(fields["focus_Hoechst"]) == {0}


def test_a_plate_of_dark_images_says_so(archived):
    fill(archived, lambda number: np.zeros(SHAPE, np.uint16))
    with pytest.raises(CloomeError, match="not a single usable field; 4 refused: the Mito image is empty"):
        archived.check()
