"""A quick look into TIFF files as microscopes write them: grey, uncompressed, in one piece.

Reading all tags of a file, as tifffile does, takes as long as inflating its pixels from the archive; these need a
tenth of a tag list and no copy. Whatever is not plain is left to tifffile, good or bad.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_START, _COUNT = struct.Struct("<4sI"), struct.Struct("<H")
_ENTRY = struct.Struct("<HHII")  # tag, type of its values, their number, the value or its place
_LAST = bytes(4)  # no directory follows
_TYPES = {3: np.dtype("<u2"), 4: np.dtype("<u4")}
_DTYPES = {8: np.dtype("<u1"), 16: np.dtype("<u2")}
# Tags, and what they must be in a plain file.
_WIDTH, _HEIGHT, _BITS, _OFFSETS, _COUNTS, _TILES = 256, 257, 258, 273, 279, 322
_MUST = {_BITS: (8, 16), 259: (1,), 262: (0, 1)}  # bits; no compression; grey
_IF_GIVEN = {266: 1, 277: 1, 339: 1}  # order of bits, samples per pixel, unsigned numbers
_ASKED = {_WIDTH, _HEIGHT, _OFFSETS, _COUNTS, _TILES, *_MUST, *_IF_GIVEN}


class _Numbers(NamedTuple):
    """The whole numbers of one tag."""

    dtype: np.dtype
    start: int  # in the file, of several numbers; of a single one, the number itself
    size: int  # bytes in the file; 0 for a single number

    @property
    def single(self) -> int:
        """The only number; -1 if there are several."""
        return -1 if self.size else self.start

    def packed(self, content: bytes | memoryview) -> bytes:
        """The numbers as they stand in the file."""
        if not self.size:
            return self.dtype.type(self.start).tobytes()
        found = bytes(content[self.start : self.start + self.size])
        if len(found) < self.size:
            raise ValueError("beyond the end of the file")
        return found


def view_plain_tiff(content: bytes | memoryview) -> np.ndarray | None:
    """The pixels of a plain TIFF, as a view of its bytes.

    Parameters
    ----------
    content : bytes-like
        The whole file.

    Returns
    -------
    uint8 or uint16 (H, W), or None
        None for a file that is damaged, a stack, compressed, in colours, big-endian, or odd in any other way.
    """
    try:
        tags = _plain_tags(_directory(content))
        if tags is None:
            return None
        width, height, bits = (tags[tag].single for tag in (_WIDTH, _HEIGHT, _BITS))
        offsets, counts = tags[_OFFSETS], tags[_COUNTS]
        start, length = _one_piece(offsets.packed(content), offsets.dtype, counts.packed(content), counts.dtype)
        size = width * height * bits // 8
        # ImageJ and tifffile can put more images behind the one that the directory tells of.
        if start == 0 or length != size or len(content) >= 2 * size + start:
            return None
        return np.frombuffer(content, _DTYPES[bits], width * height, start).reshape(height, width)
    # A place beyond the end of the file.
    except (struct.error, ValueError):
        return None


def _directory(content: bytes | memoryview) -> bytes:
    """The entries of the first directory; none if another one follows."""
    magic, start = _START.unpack_from(content)
    if magic != b"II*\0":
        return b""
    (count,) = _COUNT.unpack_from(content, start)
    end = start + _COUNT.size + _ENTRY.size * count
    entries = bytes(content[start + _COUNT.size : end + len(_LAST)])
    return entries[: -len(_LAST)] if entries[_ENTRY.size * count :] == _LAST else b""


# A microscope writes the same directory and strips again and again, but for the length of its texts.
@lru_cache(maxsize=256)
def _plain_tags(entries: bytes) -> dict[int, _Numbers] | None:
    """The numbers of the tags that are asked for; None if they are not those of a plain file."""
    tags = {}
    for tag, kind, number, place in _ENTRY.iter_unpack(entries):
        if tag not in _ASKED or kind not in _TYPES:
            continue
        dtype = _TYPES[kind]
        if number == 1:
            tags[tag] = _Numbers(dtype, place & (256**dtype.itemsize - 1), 0)
        elif number * dtype.itemsize > 4:
            tags[tag] = _Numbers(dtype, place, number * dtype.itemsize)
        else:  # several in the place of one: nothing that a plain file has
            return None
    needed = {_WIDTH, _HEIGHT, _OFFSETS, _COUNTS, *_MUST}
    if _TILES in tags or not needed <= set(tags):
        return None
    fits = all(tags[tag].single in values for tag, values in _MUST.items())
    fits &= all(tags[tag].single == value for tag, value in _IF_GIVEN.items() if tag in tags)
    return tags if fits and tags[_WIDTH].single > 0 and tags[_HEIGHT].single > 0 else None


@lru_cache(maxsize=256)
def _one_piece(offsets: bytes, offsets_dtype: np.dtype, counts: bytes, counts_dtype: np.dtype) -> tuple[int, int]:
    """Start and size in bytes of the strips together; size 0 if they do not follow one another."""
    starts, sizes = np.frombuffer(offsets, offsets_dtype).astype(np.int64), np.frombuffer(counts, counts_dtype)
    if len(starts) != len(sizes) or (starts[1:] != starts[:-1] + sizes[:-1]).any():
        return 0, 0
    return int(starts[0]), int(sizes.sum(dtype=np.int64))
