"""Pixels of one channel of one field, as the microscope or an export wrote them: TIFF or PNG, 8 or 16 bit, grey."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from cloome.errors import FormatError

TIFF, PNG = (".tif", ".tiff"), (".png",)
# Pillow opens 16-bit PNG as I;16 or, in older releases, as 32-bit integers (I); the values are the same.
GREY_PNG = ("L", "I;16", "I")
# A real image has 0.7 MB; a camera of 16 megapixels gives half of this. More would be a bomb.
LARGEST_IMAGE = 64 << 20


def read_pixels(source: str | Path | bytes, name: str | None = None) -> np.ndarray:
    """Read one grey image.

    Parameters
    ----------
    source : path or bytes
        The file, or its content.
    name : str, optional
        File name of a content; its ending says whether it is TIFF or PNG, and errors name it.

    Returns
    -------
    uint8 or uint16 (H, W)

    Raises
    ------
    FormatError
        If the file is missing, truncated, neither TIFF nor PNG, not grey, a stack, too large, or not of 8 or 16 bit.
    """
    name = str(source) if name is None else name
    suffix = Path(name).suffix.lower()
    if suffix not in TIFF + PNG:
        raise FormatError(f"{name}: neither TIFF nor PNG by its name; convert it")
    content = source if isinstance(source, bytes) else _content(Path(source))
    pixels = _tiff(content, name) if suffix in TIFF else _png(content, name)
    if pixels.ndim != 2:
        raise FormatError(f"{name}: shape {pixels.shape}, expected one grey image (H, W); save each channel on its own")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise FormatError(f"{name}: pixels are {pixels.dtype}; save the image with 8 or 16 bit, unsigned")
    return pixels


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from error


def _tiff(content: bytes, name: str) -> np.ndarray:
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            if len(file.pages) > 1:
                raise FormatError(f"{name}: a stack of {len(file.pages)} images; save each on its own")
            if file.pages[0].nbytes > LARGEST_IMAGE:
                raise FormatError(f"{name}: {file.pages[0].nbytes} bytes of pixels, allowed are {LARGEST_IMAGE}")
            pixels = file.asarray()
    # A damaged TIFF fails in whichever step first meets the damage.
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError, RuntimeError, struct.error, zlib.error) as error:
        raise FormatError(f"{name}: truncated or not TIFF: {error}") from error
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _png(content: bytes, name: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            mode, pixels = image.mode, np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FormatError(f"{name}: truncated or not PNG: {error}") from error
    if mode not in GREY_PNG:
        raise FormatError(f"{name}: a PNG in colours (mode {mode}); save each channel on its own, in grey")
    return pixels if mode == "L" else pixels.astype(np.uint16)
