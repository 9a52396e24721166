"""A plate of someone's own screen: images that a CellProfiler LoadData table lists."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cloome.config import LoadDataScreen
from cloome.data.files import read_csv
from cloome.data.pixels import read_pixels
from cloome.data.plates import sample_key
from cloome.data.wells import LARGEST_SITE, read_load_data
from cloome.errors import FormatError
from cloome.images.names import FieldFiles
from cloome.images.wells import Kept


def illumination_files(screen: LoadDataScreen, table: Path, plate: str) -> list[Path]:
    """The illumination correction functions that a LoadData table names for a plate, one file per channel.

    Raises
    ------
    FormatError
        If the table lacks a column, or names no function or several for the plate.
    """
    files = []
    for channel in screen.channels:
        columns = [f"PathName_Illum{channel}", f"FileName_Illum{channel}"]
        rows = read_csv(table, ["Metadata_Plate", *columns], dtype=str, keep_default_na=False)
        named = rows.loc[rows["Metadata_Plate"] == plate, columns].drop_duplicates()
        if len(named) != 1 or not named[columns[1]].iloc[0]:
            raise FormatError(
                f"{table}: {columns[1]} names {len(named[named[columns[1]] != ''])} functions for plate {plate}, "
                "expected one; or write images.illumination: false"
            )
        files.append(table.parent / named[columns[0]].iloc[0] / named[columns[1]].iloc[0])
    return files


class ListedImages:
    """The fields of one plate in a LoadData table.

    Parameters
    ----------
    screen : LoadDataScreen
        The screen; ``load_data`` names the table.
    plate : str
        Value of ``Metadata_Plate``.
    keep : Kept
        Which wells.

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

    def __init__(self, screen: LoadDataScreen, plate: str, keep: Kept):
        self.source = Path(screen.load_data).name
        table = read_load_data(screen)
        rows = table[table["plate"] == plate]
        if rows.empty:
            raise FormatError(f"{screen.load_data}: no row of plate {plate}; Metadata_Plate names the plates")
        rows = rows[keep.of(rows)]
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

    def channels(self, files: FieldFiles) -> Iterator[np.ndarray]:
        """Yield the image of each channel: uint8 or uint16 (H, W).

        Several threads may read at once. Raises FormatError if one is missing or not grey TIFF or PNG.
        """
        for name in files.files:
            yield read_pixels(name)
