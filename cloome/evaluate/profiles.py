"""CellProfiler's well profiles, normalised with pycytominer: the hand-made features that the field compares with.

A file ``mean_well_profiles.csv`` per plate (GigaDB 100351, FACTS 5.2) holds the mean of each CellProfiler feature over
the cells of a well; the simulated ones hold a few image intensities. From it are made, by name:

``cellprofiler_raw``
    the features as they are;
``cellprofiler_robust``
    on each plate minus the median of its mock wells, divided by 1.4826 times their median absolute deviation;
``cellprofiler_selected``
    of these, without those that hardly vary, repeat others, run to extremes or are known to mislead;
``cellprofiler_sphered``
    these again, turned and scaled such that the mock wells of all plates are uncorrelated with variance 1.

Nothing here looks at compounds, so that no part of the split is favoured.
"""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pycytominer import feature_select
from pycytominer.operations import RobustMAD, Spherize

from cloome.data.files import read_csv
from cloome.data.wells import MOCK, normal_well
from cloome.errors import FormatError

log = logging.getLogger(__name__)

RAW, ROBUST, SELECTED, SPHERED = (f"cellprofiler_{name}" for name in ("raw", "robust", "selected", "sphered"))
FILE = "mean_well_profiles.csv"
PLATE, WELL, ROLE = KEYS = ["Metadata_Plate", "Metadata_Well", "Metadata_ASSAY_WELL_ROLE"]
# Other columns that begin with Image_ hold file names and the like.
MEASURED = ("Cells_", "Cytoplasm_", "Nuclei_", "Image_Intensity_")
# A feature that more wells lack is left out; elsewhere a missing value becomes the usual one.
MISSING = 0.05
LEAST_VARIANCE = 1e-6
# Wells that features are selected on and mock wells that are sphered by. They suffice for correlations of some hundred
# to two thousand features; the memory of pycytominer's sphering grows with the square of their number.
SELECTED_ON, SPHERED_BY = 10_000, 4_000


@dataclass(frozen=True)
class WellProfiles:
    """Normalised profiles of the wells of a screen."""

    wells: pd.MultiIndex  # (W,) plate and well, as the index names them
    values: dict[str, np.ndarray]  # by name, float32 (W, F); a well without profile is a row of NaN

    def rows(self, table: pd.DataFrame) -> np.ndarray:
        """Row of each image's well, int64 (N,), for a table with columns plate and well; -1: not here."""
        return self.wells.get_indexer(pd.MultiIndex.from_frame(table[["plate", "well"]]))


def read_well_profiles(folder: str | Path | None, index: pd.DataFrame) -> WellProfiles | None:
    """Read and normalise the profiles of all wells of an index that hold a molecule.

    Parameters
    ----------
    folder : path or None
        Holds ``{plate}/mean_well_profiles.csv``; a plate without this file has no profiles. None: a screen without.
    index : DataFrame
        The index; its columns plate, well and inchikey are used.

    Returns
    -------
    WellProfiles or None
        Without any profile None, with a line in the log; the log also counts the wells that have none.

    Raises
    ------
    FormatError
        If a file cannot be read, lacks a column, names another plate, or names a well twice.
    """
    if folder is None:
        log.info("no baselines cellprofiler: the screen has no well profiles")
        return None
    wells = index.loc[index["inchikey"] != "", ["plate", "well"]].drop_duplicates()
    found = []
    for plate, of_plate in wells.groupby("plate"):
        path = Path(folder) / str(plate) / FILE
        if path.is_file():
            found.append(_read_plate(path, str(plate), set(of_plate["well"])))
        else:
            log.info("no CellProfiler profiles of plate %s: there is no file %s", plate, path)
    # What only some plates measure cannot be compared.
    table = pd.concat(found, join="inner", ignore_index=True) if found else pd.DataFrame(columns=KEYS)
    if table.shape[1] == len(KEYS):
        log.info("no baselines cellprofiler: no feature stands in the profiles of all plates")
        return None
    del found
    key = pd.MultiIndex.from_frame(wells).sort_values()
    values = {}
    for name, profiles in normalised(table).items():
        row = pd.MultiIndex.from_frame(profiles[[PLATE, WELL]]).get_indexer(key)
        features = profiles.drop(columns=KEYS).to_numpy(np.float32)
        values[name] = np.where(row[:, np.newaxis] >= 0, features[row], np.float32(np.nan))
        log.info("%s: %d features of %d wells; %d wells have none",
                 name, features.shape[1], len(key), (row < 0).sum())  # fmt: skip
    return WellProfiles(key, values)


def normalised(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All kinds of profiles, by name.

    Parameters
    ----------
    table : DataFrame
        One row per well: `KEYS` and the features as measured, NaN where missing.

    Returns
    -------
    dict of str to DataFrame
        Columns `KEYS` and the features that are left, without NaN. A well stands in a kind only if it has a profile of
        this kind: without varied mock wells on its plate it is not in the robust one and those made from it. A kind
        that cannot be made is left out, with a line in the log.
    """
    raw = _complete(table.dropna(subset=_features(table), how="all"))
    robust = _robust(table)
    tables = {RAW: raw, ROBUST: _complete(robust, fill=0.0)}
    if _features(tables[ROBUST]):
        tables[SELECTED] = _selected(tables[ROBUST])
    if SELECTED in tables and _features(tables[SELECTED]):
        tables[SPHERED] = _sphered(tables[SELECTED])
    for name in (RAW, ROBUST, SELECTED, SPHERED):
        if name not in tables or not _features(tables[name]):
            log.info("no baseline %s: no feature is left, or there are too few mock wells", name)
            tables.pop(name, None)
    return tables


def _read_plate(path: Path, plate: str, wells: set[str]) -> pd.DataFrame:
    """The profiles of some wells of a plate and of all its mock wells: `KEYS` and float32 features."""
    text = dict.fromkeys(KEYS, str)
    features = [name for name in read_csv(path, KEYS, nrows=0).columns if name.startswith(MEASURED)]
    types = text | dict.fromkeys(features, np.float32)
    table = read_csv(path, KEYS, usecols=list(types), dtype=types)
    table[WELL] = [normal_well(well) for well in table[WELL]]
    if (table[PLATE] != plate).any():
        raise FormatError(f"{path}: holds the plate {', '.join(sorted(set(table[PLATE])))}, not only {plate}")
    if table[WELL].duplicated().any():
        raise FormatError(f"{path}: names the well {table[WELL][table[WELL].duplicated()].iloc[0]} twice; keep one row")
    return _finite(table[table[WELL].isin(wells) | (table[ROLE] == MOCK)], table[features])


def _features(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name not in KEYS]


def _finite(keys: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """`KEYS` of some wells and their features, float32, NaN for infinity."""
    values = features.loc[keys.index].to_numpy(np.float32, copy=True)
    values[np.isinf(values)] = np.nan
    # In one piece: column by column, pandas takes many times as long for what follows.
    return pd.concat([keys[KEYS], pd.DataFrame(values, keys.index, features.columns)], axis="columns")


def _complete(table: pd.DataFrame, fill: float | None = None) -> pd.DataFrame:
    """Leave out features that many wells lack or that never vary; fill what is missing, by default by the median."""
    kept = feature_select(table, features=_features(table), operation="drop_na_columns", na_cutoff=MISSING)
    values = kept[_features(kept)]
    values = values.fillna(values.median() if fill is None else fill)
    return pd.concat([kept[KEYS], values.loc[:, values.max() > values.min()]], axis="columns")


def _robust(table: pd.DataFrame) -> pd.DataFrame:
    """The wells of each plate by the median and the median absolute deviation of its mock wells."""
    features, plates = _features(table), []
    for plate, wells in table.groupby(PLATE):
        if not (wells[ROLE] == MOCK).any():
            log.info("plate %s has no mock well, so that its profiles cannot be robustised", plate)
            continue
        with warnings.catch_warnings():
            # A feature that all mock wells lack is missing on this plate.
            warnings.simplefilter("ignore", RuntimeWarning)
            # No epsilon: one that does not vary among the mock wells is missing there too, and not a huge number.
            scaled = RobustMAD(epsilon=0).fit(wells.loc[wells[ROLE] == MOCK, features]).transform(wells[features])
        plates.append(_finite(wells, scaled))
    robust = pd.concat(plates, ignore_index=True) if plates else table.iloc[:0]
    return robust.dropna(subset=features, how="all")


def _selected(table: pd.DataFrame) -> pd.DataFrame:
    """The features that pycytominer selects by its usual thresholds."""
    features = _features(table)
    wells = _spread(table, SELECTED_ON)
    if wells[features].var().max() <= LEAST_VARIANCE:
        return table[KEYS]
    operations = ["variance_threshold", "blocklist", "drop_outliers", "correlation_threshold"]
    return table[feature_select(wells, features=features, operation=operations).columns]


def _sphered(table: pd.DataFrame) -> pd.DataFrame:
    """Sphered by the mock wells of all plates (ZCA-cor; Kessy et al. 2018)."""
    mocks = _spread(table[table[ROLE] == MOCK], SPHERED_BY)
    features = [name for name in _features(table) if mocks[name].max() > mocks[name].min()]
    if not features:
        return table[KEYS]
    try:
        sphering = Spherize(method="ZCA-cor", return_numpy=True).fit(mocks[features])
    except ValueError as error:
        log.info("the mock wells cannot be sphered: %s", error)
        return table[KEYS]
    sphered = pd.DataFrame(sphering.transform(table[features]).astype(np.float32), table.index, features)
    return pd.concat([table[KEYS], sphered], axis="columns")


def _spread(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """At most so many rows, evenly spread over the table."""
    return table.iloc[np.linspace(0, len(table) - 1, min(len(table), number)).astype(np.int64)]
