"""A plate of someone's own screen: images that a CellProfiler LoadData table lists."""

from pathlib import Path

import numpy as np
import pandas as pd

from cloome.config import LoadDataScreen
from cloome.data.pixels import read_pixels
from cloome.data.plates import sample_key
from cloome.data.wells import TREATED, read_load_data
from cloome.errors import FormatError
from cloome.images.names import FieldFiles

LARGEST_SITE = 9999


class ListedImages:
    """The fields of one plate in a LoadData table.

    Parameters
    ----------
    screen : LoadDataScreen
        The screen; ``load_data`` names the table.
    plate : str
        Value of ``Metadata_Plate``.
    keep : str
        ``treated`` or ``all``: the setting ``images.wells``.

    Attributes
    ----------
    fields : list of FieldFiles
        Fields with one file name per channel, in wells that are kept, sorted by well and site.
    refused : list of (item, reason)
        Rows that cannot be used.

    Raises
    ------
    FormatError
        If the table cannot be read or does not hold the plate.
    """

    def __init__(self, screen: LoadDataScreen, plate: str, keep: str):
        self.source = Path(screen.load_data).name
        table = read_load_data(screen)
        rows = table[table["plate"] == plate]
        if rows.empty:
            raise FormatError(f"{screen.load_data}: no row of plate {plate}; Metadata_Plate names the plates")
        if keep == "treated":
            rows = rows[rows["role"] == TREATED]
        self.fields: list[FieldFiles] = []
        self.refused: list[tuple[str, str]] = []
        for (well, site), group in rows.groupby(["well", "site"], dropna=False):
            self._add(plate, well, site, group, screen.channels)

    def _add(self, plate: str, well: str, site: float, group: pd.DataFrame, channels: list[str]) -> None:
        if not (0 <= site <= LARGEST_SITE and site == int(site)):
            self.refused.append((f"{plate}-{well}-{site}", f"Metadata_Site is no whole number of 0 to {LARGEST_SITE}"))
            return
        files = tuple(group[f"path_{channel}"].iloc[0] for channel in channels)
        missing = [f"no {channel} image" for channel, file in zip(channels, files, strict=True) if not file]
        # Of two rows nothing says which is right.
        problems = [f"listed {len(group)} times"] if len(group) > 1 else missing
        if problems:
            self.refused.append((sample_key(plate, well, int(site)), "; ".join(problems)))
        else:
            self.fields.append(FieldFiles(well, int(site), files))

    def read(self, number: int, name: str) -> np.ndarray:
        """Read one image: uint8 or uint16 (H, W); raises FormatError if it is missing or not grey TIFF or PNG."""
        return read_pixels(name)
