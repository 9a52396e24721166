"""A quick look into TIFF files as microscopes write them: grey, uncompressed, in one piece.

Reading all tags of a file, as tifffile does, takes as long as inflating its pixels from the archive; these need a
tenth of a tag list and no copy. Whatever is not plain is left to tifffile, good or bad.
"""

import struct

import numpy as np

_ENTRY = struct.Struct("<HHII")  # tag, type of its values, their number, the value or its place
_TYPES = {3: np.dtype("<u2"), 4: np.dtype("<u4")}
_DTYPES = {8: np.dtype("<u1"), 16: np.dtype("<u2")}
# Tags, and what they must be in a plain file; None: any value, but it must be there.
_WIDTH, _HEIGHT, _BITS, _OFFSETS, _COUNTS = 256, 257, 258, 273, 279
_PLAIN = {
    _WIDTH: None,
    _HEIGHT: None,
    _BITS: (8, 16),
    259: (1,),  # compression: none
    262: (0, 1),  # photometric interpretation: grey
    _OFFSETS: None,
    _COUNTS: None,
}
_PLAIN_IF_GIVEN = {266: 1, 277: 1, 339: 1}  # order of bits, samples per pixel, unsigned numbers
_TILES = 322
_ASKED = {*_PLAIN, *_PLAIN_IF_GIVEN, _TILES}


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
        tags = _read_tags(content)
        if tags is None or not _is_plain(tags):
            return None
        width, height, bits = tags[_WIDTH], tags[_HEIGHT], tags[_BITS]
        offsets, counts = (np.atleast_1d(tags[tag]).astype(np.int64) for tag in (_OFFSETS, _COUNTS))
        in_one_piece = len(offsets) == len(counts) and (offsets[1:] == offsets[:-1] + counts[:-1]).all()
        size = width * height * bits // 8
        if not in_one_piece or counts.sum() != size or size == 0 or offsets[0] == 0:
            return None
        # ImageJ and tifffile can put more images behind the one that the directory tells of.
        if len(content) >= 2 * size + offsets[0]:
            return None
        return np.frombuffer(content, f"<u{bits // 8}", width * height, int(offsets[0])).reshape(height, width)
    # A place beyond the end of the file.
    except (struct.error, ValueError, TypeError, IndexError):
        return None


def _whole(offsets: int | np.ndarray, counts: int | np.ndarray) -> tuple[int, int]:
    """Start and size in bytes of the strips together; size 0 if they do not follow one another."""
    if isinstance(offsets, int) and isinstance(counts, int):
        return offsets, counts
    if np.array_equal(offsets[:-1] + counts[:-1], offsets[1:]) and len(offsets) == len(counts):
        return int(offsets[0]), int(counts.sum(dtype=np.int64))
    return 0, 0


def _read_tags(content: bytes | memoryview) -> dict[int, int | np.ndarray] | None:
    """The whole numbers that are asked for, by tag; None if the first directory is not the only one."""
    if bytes(content[:4]) != b"II*\0":
        return None
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    end = directory + 2 + _ENTRY.size * count
    if struct.unpack_from("<I", content, end) != (0,):
        return None
    tags = {}
    for tag, kind, number, place in _ENTRY.iter_unpack(content[directory + 2 : end]):
        if tag not in _ASKED or kind not in _TYPES:
            continue
        dtype = _TYPES[kind]
        if number == 1:
            tags[tag] = place & (256**dtype.itemsize - 1)
        elif number * dtype.itemsize > 4:
            tags[tag] = np.frombuffer(content, dtype, number, place)
        else:
            return None
    return tags


def _is_plain(tags: dict[int, int | np.ndarray]) -> bool:
    if _TILES in tags:
        return False
    asked = all(tag in tags and (values is None or tags[tag] in values) for tag, values in _PLAIN.items())
    return asked and all(tags.get(tag, value) == value for tag, value in _PLAIN_IF_GIVEN.items())
