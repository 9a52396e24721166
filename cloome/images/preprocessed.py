"""A plate of the authors' preprocessed images: npz files of 8 bit, in folders or inside tar files (FACTS 2.3)."""

import io
import lzma
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cloome.config import NpzScreen
from cloome.data.pixels import LARGEST_IMAGE
from cloome.data.plates import sample_key
from cloome.data.wells import read_npz_index
from cloome.errors import FormatError
from cloome.images.names import FieldFiles
from cloome.images.npz_listing import Found, Place, read_listing
from cloome.images.wells import Kept

MEMBER = "sample.npy"
NO_FILE, NO_ROW = "no such file in screen.images", "no row in the tables of screen.index"
NAMED = 3  # files, of those that claim to be the same field
LARGEST_HEADER = 64 << 10  # of the array, and of the zip around it

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Preprocessed:
    """The npz files of one plate.

    Parameters
    ----------
    screen : NpzScreen
        The screen; its index says what the wells hold.
    listing : Path
        From `cloome listing`.
    plate : str
        Plate id.
    keep : Kept
        Which wells.

    Attributes
    ----------
    fields : list of FieldFiles
        Fields with one file, in wells that are kept, sorted by well and site.
    refused : list of (item, reason)
        Rows without a usable file, and files without a row.

    Raises
    ------
    FormatError
        If the index or listing cannot be read, or the index does not hold the plate.
    """

    source = "npz files"

    def __init__(self, screen: NpzScreen, listing: Path, plate: str, keep: Kept):
        self._channels = len(screen.channels)
        self._places: dict[str, Place] = {}
        self.fields: list[FieldFiles] = []
        self.refused: list[tuple[str, str]] = []
        rows = read_npz_index(screen, plate)
        files = read_listing(listing, plate)
        kept = rows[keep.of(rows)].sort_values(["well", "site"])
        for well, site in kept[["well", "site"]].itertuples(index=False, name=None):
            self._add(sample_key(plate, well, site), well, site, files.get((well, site), []))
        known = set(rows[["well", "site"]].itertuples(index=False, name=None))
        self.refused += [
            (place.name, problem or NO_ROW)
            for field, found in files.items()
            for place, problem in found
            if field not in known
        ]

    def _add(self, key: str, well: str, site: int, found: list[Found]) -> None:
        if not found:
            self.refused.append((key, NO_FILE))
        elif len(found) > 1:
            # Nothing says which is right.
            names = [repr(place.name) for place, _ in found[:NAMED]] + ["..."] * (len(found) > NAMED)
            self.refused.append((key, f"{len(found)} files of this name: {', '.join(names)}"))
        elif found[0].problem:
            self.refused.append((found[0].place.name, found[0].problem))
        else:
            place = found[0].place
            self._places[place.name] = place
            self.fields.append(FieldFiles(well, site, (place.name,)))

    def channels(self, files: FieldFiles) -> Iterator[np.ndarray]:
        """Yield each channel, uint8 (H, W). Several threads may read at once.

        Raises
        ------
        FormatError
            If the file is damaged, too large, or does not hold one array of uint8 with the screen's channels.
        """
        sample = read_sample(self._places[files.files[0]], self._channels)
        for number in range(self._channels):
            yield np.ascontiguousarray(sample[:, :, number])


def read_sample(place: Place, channels: int) -> np.ndarray:
    """Read the array ``sample`` of an npz file, uint8 (H, W, C).

    Nothing is ever unpickled, and sizes are looked at before anything is inflated.

    Raises
    ------
    FormatError
        As `Preprocessed.channels`.
    """
    largest = channels * LARGEST_IMAGE + LARGEST_HEADER
    return _array(_member(_content(place, largest), place.name, largest), place.name, channels)


def _content(place: Place, largest: int) -> bytes:
    """The bytes of the npz file."""
    if place.size > largest:
        raise FormatError(f"{place.name}: {place.size} bytes, allowed are {largest}")
    try:
        with open(place.file, "rb") as file:
            if os.fstat(file.fileno()).st_mtime_ns != place.modified:
                raise FormatError(f"{place.name}: changed since it was listed; run `cloome listing` again")
            file.seek(place.offset)
            content = file.read(place.size)
    except OSError as error:
        raise FormatError(f"{place.name}: cannot be read: {error.strerror}") from error
    if len(content) < place.size:
        raise FormatError(f"{place.name}: truncated: {len(content)} of {place.size} bytes")
    return content


def _member(content: bytes, name: str, largest: int) -> bytes:
    """The member with the array; others are not looked at."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = [info for info in file.infolist() if info.filename == MEMBER]
            if len(members) != 1:
                found = ", ".join(info.filename for info in file.infolist()[:5]) or "nothing"
                raise FormatError(f"{name}: {len(members)} arrays 'sample', expected one; it holds {found}")
            if members[0].file_size > largest:
                raise FormatError(f"{name}: an array of {members[0].file_size} bytes, allowed are {largest}")
            return file.read(members[0])
    # Damage shows in whichever step first meets it; RuntimeError is an encrypted member.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, OSError) as error:
        raise FormatError(f"{name}: truncated, damaged or no npz file: {error}") from error


def _array(content: bytes, name: str, channels: int) -> np.ndarray:
    file = io.BytesIO(content)
    try:
        shape, by_columns, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    # The header is a Python literal, and NumPy passes on whatever its parsing meets.
    except (KeyError, TypeError, ValueError, SyntaxError, tokenize.TokenError) as error:
        raise FormatError(f"{name}: its 'sample' is no array of NumPy: {error}") from error
    if dtype.hasobject:
        raise FormatError(f"{name}: its 'sample' holds pickled Python objects, which are never loaded")
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != channels or min(shape) < 1:
        raise FormatError(f"{name}: its 'sample' is {dtype} {shape}, expected uint8 (H, W, {channels})")
    pixels = np.frombuffer(content, np.uint8, offset=file.tell())
    if pixels.size != math.prod(shape):
        raise FormatError(f"{name}: {pixels.size} bytes of pixels, but its 'sample' has the shape {shape}")
    return pixels.reshape(shape, order="F" if by_columns else "C")
