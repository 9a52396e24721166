"""The fields of all plates, joined to what their wells hold."""

import logging
from pathlib import Path

import pandas as pd

from cloome.config import Screen
from cloome.data.index import COLUMNS, measure_columns
from cloome.data.plates import open_plate
from cloome.data.wells import COLUMNS as WELL_COLUMNS
from cloome.data.wells import TREATED, read_load_data, read_npz_index, read_profiles, read_quality
from cloome.errors import FormatError
from cloome.molecules.quality import FIELD, FLAGS

log = logging.getLogger(__name__)

NO_QUALITY = pd.DataFrame(columns=[*FIELD, *FLAGS])


def read_fields(paths: list[str], channels: list[str]) -> pd.DataFrame:
    """One row per field of the plate stores, as `Plate.fields` gives them.

    Raises
    ------
    FormatError
        If a plate's channels are not those of the screen.
    """
    tables = []
    for path in paths:
        with open_plate(path) as plate:
            if plate.channels != channels:
                raise FormatError(
                    f"{path}: channels {', '.join(plate.channels)}, the screen has {', '.join(channels)}; "
                    "delete it and run the stage images again"
                )
            tables.append(plate.fields())
    return pd.concat(tables, ignore_index=True)


def read_wells(screen: Screen, plates: list[str], resources: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was put into the wells of some plates, and the quality flags of their fields.

    Returns
    -------
    wells : DataFrame
        plate, well, role, compound, concentration, batch; one row per well.
    quality : DataFrame
        plate, well, site, is_blurry, is_saturated; fields that nobody judged have no row.
    """
    if screen.kind == "load_data":
        return one_row_per_well(read_load_data(screen)), NO_QUALITY
    if screen.kind == "npz":
        return one_row_per_well(read_npz_index(screen)), NO_QUALITY
    folders = [resources / "plates" / plate for plate in plates]
    wells = pd.concat([read_profiles(folder / "mean_well_profiles.csv") for folder in folders])
    judged = [folder / "qc.csv" for folder in folders if (folder / "qc.csv").is_file()]
    if len(judged) < len(folders):
        log.info("%d of %d plates have no qc.csv: their fields carry no flag", len(folders) - len(judged), len(folders))
    quality = [read_quality(path) for path in judged]
    return one_row_per_well(wells), pd.concat(quality) if quality else NO_QUALITY


def one_row_per_well(wells: pd.DataFrame) -> pd.DataFrame:
    """Rows that agree on their well become one.

    Raises
    ------
    FormatError
        If two rows name the same well and differ in what it holds.
    """
    wells = wells[WELL_COLUMNS].drop_duplicates()
    twice = wells[wells.duplicated(["plate", "well"], keep=False)]
    if len(twice):
        first = twice.iloc[0]
        held = sorted(set(twice.loc[(twice["plate"] == first.plate) & (twice["well"] == first.well), "compound"]))
        raise FormatError(
            f"plate {first.plate}, well {first.well} stands in the plate map with two contents "
            f"({', '.join(map(repr, held))}, or two concentrations); correct the plate map"
        )
    return wells


def join(fields: pd.DataFrame, wells: pd.DataFrame) -> pd.DataFrame:
    """Add what its well holds to each field: role, compound, concentration and batch.

    Raises
    ------
    FormatError
        If a field lies in a well that the plate map does not have.
    """
    joined = fields.merge(wells, on=["plate", "well"], how="left", validate="many_to_one")
    unknown = joined[joined["role"].isna()]
    if len(unknown):
        raise FormatError(
            f"{len(unknown)} fields lie in wells that the plate map does not have, the first "
            f"{unknown.iloc[0].sample_key}; run the stage images again with the present plate map"
        )
    joined["concentration"] = joined["concentration"].astype(float)
    return joined


def add_inchikeys(index: pd.DataFrame, inchikey: dict[str, str]) -> pd.DataFrame:
    """The index with the InChIKey of each treated well's compound; empty for mock wells and refused compounds."""
    keys = index["compound"].map(inchikey).where(index["role"] == TREATED).fillna("").astype(str)
    return index.assign(inchikey=keys)[COLUMNS + measure_columns(index)]
