"""Pixels of one channel of one field, as the microscope or an export wrote them: TIFF or PNG, 8 or 16 bit, grey."""

import io
import math
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from cloome.data.plain_tiff import view_plain_tiff
from cloome.errors import FormatError

TIFF, PNG = (".tif", ".tiff"), (".png",)
# Pillow opens 16-bit PNG as I;16 or, in older releases, as 32-bit integers (I); the values are the same.
GREY_PNG = ("L", "I;16", "I")
# A real image has 0.7 MB; a camera of 16 megapixels gives half of this. More would be a bomb.
LARGEST_IMAGE = 64 << 20


def read_pixels(source: str | Path | bytes | memoryview, name: str | None = None) -> np.ndarray:
    """Read one grey image.

    Parameters
    ----------
    source : path or bytes-like
        The file, or its content.
    name : str, optional
        File name of a content; its ending says whether it is TIFF or PNG, and errors name it.

    Returns
    -------
    uint8 or uint16 (H, W)
        Of a plain TIFF, a view of the content.

    Raises
    ------
    FormatError
        If the file is missing, truncated, neither TIFF nor PNG, not grey, a stack, too large, or not of 8 or 16 bit.
    """
    name = str(source) if name is None else name
    if not name.lower().endswith(TIFF + PNG):
        raise FormatError(f"{name}: neither TIFF nor PNG by its name; convert it")
    content = _content(Path(source)) if isinstance(source, str | Path) else source
    pixels = _tiff(content, name) if name.lower().endswith(TIFF) else _png(content, name)
    if pixels.ndim != 2:
        raise FormatError(f"{name}: shape {pixels.shape}, expected one grey image (H, W); save each channel on its own")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise FormatError(f"{name}: pixels are {pixels.dtype}; save the image with 8 or 16 bit, unsigned")
    return pixels


def _content(path: Path) -> bytes:
    try:
        _check_size(path.stat().st_size, str(path))
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from error


def _tiff(content: bytes | memoryview, name: str) -> np.ndarray:
    plain = view_plain_tiff(content)
    if plain is not None:
        return plain
    try:
        pixels = _decoded_tiff(content, name)
    except FormatError:
        raise
    # A damaged TIFF fails in whichever step of tifffile first meets the damage, with whatever error.
    except Exception as error:
        raise FormatError(f"{name}: truncated or not TIFF: {str(error) or type(error).__name__}") from error
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _decoded_tiff(content: bytes | memoryview, name: str) -> np.ndarray:
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        # ImageJ and tifffile can put many images behind one directory.
        images = max(len(file.pages), file.series[0].size // page.size)
        if images > 1:
            raise FormatError(f"{name}: a stack of {images} images; save each on its own")
        if 0 in page.dataoffsets:
            raise FormatError(f"{name}: truncated or not TIFF: it does not say where all its pixels are")
        _check_size(max(page.nbytes, math.prod(page.chunks) * page.dtype.itemsize), name)
        return page.asarray(maxworkers=1)  # fields are spread over threads already


def _check_size(size: int, name: str) -> None:
    if size > LARGEST_IMAGE:
        raise FormatError(f"{name}: {size} bytes, allowed are {LARGEST_IMAGE}")


def _png(content: bytes | memoryview, name: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            _check_size(image.width * image.height * (1 if image.mode == "L" else 2), name)
            mode, pixels = image.mode, np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FormatError(f"{name}: truncated or not PNG: {error}") from error
    if mode not in GREY_PNG:
        raise FormatError(f"{name}: a PNG in colours (mode {mode}); save each channel on its own, in grey")
    return pixels if mode == "L" else pixels.astype(np.uint16)
