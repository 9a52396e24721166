"""A plate of the published screen: one zip per channel, and the plate map (FACTS 5.1, 5.2)."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from cloome.data.pixels import LARGEST_IMAGE, read_pixels
from cloome.data.plates import sample_key
from cloome.data.wells import read_profiles
from cloome.errors import FormatError
from cloome.images.names import FieldFiles, index_fields
from cloome.images.wells import Kept
from cloome.images.zip_archive import Buffers, ZipArchive


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

    def __init__(self, plate: str, zips: dict[str, ZipArchive]):
        self._zips = list(zips.values())
        self._thread = threading.local()
        names, self.refused = [], []
        for channel, file in zips.items():
            folder = f"{plate}-{channel}/"
            for name in file.names():
                if name.startswith(folder):
                    names.append(name)
                elif not name.endswith("/"):
                    self.refused.append((name, f"lies outside the folder {folder} of its archive"))
        self.fields, refused = index_fields(names, plate, list(zips))
        self.refused += refused

    def channels(self, files: FieldFiles) -> Iterator[np.ndarray]:
        """Yield the image of each channel: uint8 or uint16 (H, W), valid until the next one is asked for.

        Several threads may read at once.

        Raises
        ------
        FormatError
            If a member is damaged, too large, or no grey TIFF of 8 or 16 bit.
        """
        if not hasattr(self._thread, "buffers"):
            self._thread.buffers = Buffers()
        for archive, name in zip(self._zips, files.files, strict=True):
            yield read_pixels(archive.read(name, LARGEST_IMAGE, self._thread.buffers), name)


@contextmanager
def open_archives(folder: Path, plate: str, channels: list[str], wells: Path, keep: Kept) -> Iterator[Archives]:
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
    keep : Kept
        Which wells.

    Raises
    ------
    CloomeError
        If an archive is missing or truncated: the whole plate cannot be used then.
    FormatError
        If the plate map cannot be read or is of another plate.
    """
    table = read_profiles(wells)
    of_plate = table[table["plate"] == plate]
    if of_plate.empty:
        raise FormatError(f"{wells}: holds the wells of {', '.join(sorted(set(table['plate'])))}, not of {plate}")
    mapped, kept = set(of_plate["well"]), set(of_plate["well"][keep.of(of_plate)])
    with ExitStack() as stack:
        zips = {channel: stack.enter_context(ZipArchive(folder / f"{plate}-{channel}.zip")) for channel in channels}
        archives = Archives(plate, zips)
        archives.refused += [
            (sample_key(plate, field.well, field.site), "the well is not in the plate map")
            for field in archives.fields
            if field.well not in mapped
        ]
        archives.fields = [field for field in archives.fields if field.well in kept]
        yield archives
