"""A plate of the published screen: one zip per channel, and the plate map (FACTS 5.1, 5.2)."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from cloome.data.pixels import LARGEST_IMAGE, read_pixels
from cloome.data.plates import sample_key
from cloome.data.wells import TREATED, read_profiles
from cloome.errors import CloomeError, FormatError
from cloome.images.names import FieldFiles, index_fields


class Archives:
    """The archives of a plate, open for reading; see `open_archives`.

    Attributes
    ----------
    fields : list of FieldFiles
        The complete fields in wells that are kept, sorted by well and site.
    refused : list of (item, reason)
        What cannot be used, as far as names and plate map tell.
    """

    source = "archives"

    def __init__(self, plate: str, zips: dict[str, zipfile.ZipFile]):
        self._zips = list(zips.values())
        names, self.refused = [], []
        for channel, file in zips.items():
            folder = f"{plate}-{channel}/"
            for name in file.namelist():
                if name.startswith(folder):
                    names.append(name)
                elif not name.endswith("/"):
                    self.refused.append((name, f"lies outside the folder {folder} of its archive"))
        self.fields, refused = index_fields(names, plate, list(zips))
        self.refused += refused

    def read(self, number: int, name: str) -> np.ndarray:
        """Read one image: uint8 or uint16 (H, W), of the channel with this number.

        Raises
        ------
        FormatError
            If the member is damaged, too large, or no grey TIFF of 8 or 16 bit.
        """
        archive = self._zips[number]
        size = archive.getinfo(name).file_size
        if size > LARGEST_IMAGE:
            raise FormatError(f"{name}: {size} bytes, allowed are {LARGEST_IMAGE}")
        try:
            content = archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise FormatError(f"{name}: damaged in the archive: {error}") from error
        return read_pixels(content, name)


@contextmanager
def open_archives(folder: Path, plate: str, channels: list[str], wells: Path, keep: str) -> Iterator[Archives]:
    """Open the archives of a plate.

    Parameters
    ----------
    folder : Path
        Holds ``{plate}-{channel}.zip`` for each channel.
    plate : str
        Plate id.
    channels : list of str
        In the order of storage.
    wells : Path
        The plate's ``mean_well_profiles.csv``.
    keep : str
        ``treated`` or ``all``: the setting ``images.wells``.

    Raises
    ------
    CloomeError
        If an archive is missing or truncated: the whole plate cannot be used then.
    FormatError
        If the plate map cannot be read or is of another plate.
    """
    roles = _roles(wells, plate)
    with ExitStack() as stack:
        zips = {channel: stack.enter_context(_open_zip(folder / f"{plate}-{channel}.zip")) for channel in channels}
        archives = Archives(plate, zips)
        archives.refused += [
            (sample_key(plate, field.well, field.site), "the well is not in the plate map")
            for field in archives.fields
            if field.well not in roles
        ]
        archives.fields = [field for field in archives.fields if _is_kept(field, roles, keep)]
        yield archives


def _roles(wells: Path, plate: str) -> dict[str, str]:
    """Role of each well of the plate."""
    table = read_profiles(wells)
    of_plate = table[table["plate"] == plate]
    if of_plate.empty:
        raise FormatError(f"{wells}: holds the wells of {', '.join(sorted(set(table['plate'])))}, not of {plate}")
    return dict(zip(of_plate["well"], of_plate["role"], strict=True))


def _is_kept(field: FieldFiles, roles: dict[str, str], keep: str) -> bool:
    return field.well in roles and (keep == "all" or roles[field.well] == TREATED)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise CloomeError(f"{path}: no such archive; run download for it") from error
    except zipfile.BadZipFile as error:
        raise CloomeError(f"{path}: truncated or not a zip ({error}); delete it and run download again") from error
