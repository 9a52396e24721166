"""What was put into each well: the well profiles' metadata of GigaDB 100351, LoadData tables, and indices of npz files.

All give the same table: plate, well, role ('treated' or 'mock'), compound, concentration (mmol/l), batch.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from cloome.config import LoadDataScreen, NpzScreen, Screen
from cloome.data.files import read_csv
from cloome.errors import FormatError

COLUMNS = ["plate", "well", "role", "compound", "concentration", "batch"]
TREATED, MOCK = "treated", "mock"
LARGEST_SITE = 9999

# Plate names become parts of paths and words of commands.
_PLATE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SAMPLE_KEY = re.compile(
    rf"(?P<plate>{_PLATE_NAME.pattern})-(?P<well>[A-Za-z]{{1,2}}\d{{1,2}})-(?P<site>\d{{1,4}})", re.ASCII
)
_FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "": False}


def normal_well(well: str) -> str:
    """``a1``, ``A01`` and ``A1`` are well A01; 1536-well rows such as AA01 stay as they are."""
    match = re.fullmatch(r"([A-Za-z]{1,2})0*(\d{1,2})", str(well).strip())
    if not match:
        raise FormatError(f"{well!r} is not a well; write a row letter and a column number, as in B07")
    return f"{match[1].upper()}{int(match[2]):02d}"


def parse_sample_key(key: str) -> tuple[str, str, int] | None:
    """Plate, well (``A03``) and site of a name such as ``24277-A03-1``; None if it is no such name."""
    match = _SAMPLE_KEY.fullmatch(key)
    return (match["plate"], normal_well(match["well"]), int(match["site"])) if match else None


def plate_names(screen: Screen) -> list[str]:
    """The plates of a screen: from the configuration, the file it names, the LoadData table, or the index of npz files.

    Such a file holds ids between white space; lines that start with # are comments.

    Raises
    ------
    FormatError
        If the file or table cannot be read, names no plate, leaves a cell empty or names a plate twice, or if a name
        cannot be part of a path.
    """
    if screen.kind == "load_data":
        origin, names = screen.load_data, _named_in(screen.load_data, "Metadata_Plate")
    elif screen.kind == "npz":
        origin, names = ", ".join(screen.index), sorted(set().union(*(_named_in(f, "PLATE_ID") for f in screen.index)))
    elif isinstance(screen.plates, list):
        origin, names = "screen.plates", screen.plates
    else:
        origin, names = screen.plates, _listed(screen.plates)
    if not names:
        raise FormatError(f"{origin}: names no plate; write at least one")
    for name in names:
        if not _PLATE_NAME.fullmatch(name):
            raise FormatError(
                f"{origin}: {name!r} cannot be the name of a plate; use the letters A to Z, digits, _, - and ., with a "
                "letter, a digit or _ first"
            )
    if len(set(names)) < len(names):
        raise FormatError(f"{origin}: names the plate {max(names, key=names.count)} twice; name each once")
    return names


def read_profiles(path: str | Path) -> pd.DataFrame:
    """Read the well metadata of ``mean_well_profiles.csv`` (FACTS 5.2); its features are not loaded."""
    names = {
        "plate": "Metadata_Plate",
        "well": "Metadata_Well",
        "role": "Metadata_ASSAY_WELL_ROLE",
        "compound": "Metadata_broad_sample",
        "concentration": "Metadata_mmoles_per_liter",
    }
    table = read_csv(
        path,
        list(names.values()),
        usecols=lambda column: column.startswith("Metadata_"),
        dtype={"Metadata_Plate": str, "Metadata_broad_sample": str, "Metadata_ASSAY_WELL_ROLE": str},
    )
    _check_filled(table, ["Metadata_Plate", "Metadata_Well"], path)
    wells = pd.DataFrame({new: table[old] for new, old in names.items()})
    wells["compound"] = wells["compound"].fillna("")
    wells["concentration"] = _numbers(table, names["concentration"], path)
    wells["batch"] = table.get("Metadata_Plate_Map_Name", "")
    return _checked(wells, path)


def read_quality(path: str | Path) -> pd.DataFrame:
    """Read the flags of ``qc.csv`` (FACTS 5.2): plate, well, site, is_blurry, is_saturated."""
    columns = {
        "plate": "Image_Metadata_Plate",
        "well": "Well",
        "site": "Site",
        "is_blurry": "isBlurry",
        "is_saturated": "isSaturated",
    }
    # As text: next to an empty cell, pandas would read plate 24277 as 24277.0.
    table = read_csv(path, [], dtype=str)
    # The published files and later copies differ in the prefix of Well and Site.
    found = {
        new: next((c for c in (old, f"Image_Metadata_{old}", f"Metadata_{old}") if c in table.columns), None)
        for new, old in columns.items()
    }
    missing = [columns[new] for new, old in found.items() if old is None]
    if missing:
        raise FormatError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    _check_filled(table, [found["plate"], found["well"], found["site"]], path)
    flags = pd.DataFrame({new: table[old] for new, old in found.items()})
    flags["well"] = _normal_wells(flags["well"])
    flags["site"] = _numbers(table, found["site"], path)
    for flag in ("is_blurry", "is_saturated"):
        flags[flag] = _flags(table, found[flag], path)
    return flags


def read_load_data(screen: LoadDataScreen) -> pd.DataFrame:
    """Read a LoadData CSV: one row per field, with the well columns, ``site`` and one ``path_{channel}`` each."""
    file, folder = Path(screen.load_data), Path(screen.load_data).parent
    images = {channel: (f"PathName_Orig{channel}", f"FileName_Orig{channel}") for channel in screen.channels}
    optional = [c for c in (screen.role_column, screen.batch_column, screen.concentration_column) if c]
    needed = ["Metadata_Plate", "Metadata_Well", screen.compound_column, *optional]
    table = read_csv(file, [*needed, *(column for pair in images.values() for column in pair)], dtype=str)
    _check_filled(table, ["Metadata_Plate", "Metadata_Well"], file)
    compound = table[screen.compound_column].fillna("")
    fields = pd.DataFrame(
        {
            "plate": table["Metadata_Plate"],
            "well": table["Metadata_Well"],
            "role": table[screen.role_column] if screen.role_column else compound.map(lambda c: TREATED if c else MOCK),
            "compound": compound,
            "concentration": _numbers(table, screen.concentration_column, file)
            if screen.concentration_column
            else np.nan,
            "batch": table[screen.batch_column] if screen.batch_column else "",
            "site": _numbers(table, "Metadata_Site", file) if "Metadata_Site" in table else 1,
        }
    )
    for channel, (path_name, file_name) in images.items():
        fields[f"path_{channel}"] = [
            str(folder / str(path) / str(name)) if pd.notna(name) else ""
            for path, name in zip(table[path_name].fillna(""), table[file_name], strict=True)
        ]
    return _checked(fields, file)


def read_npz_index(screen: NpzScreen, plate: str | None = None) -> pd.DataFrame:
    """Read the index tables of npz files (FACTS 2.3): one row per field, with the well columns and ``site``.

    A well with a compound is treated, one without is mock treated; the tables give no concentration and no batch.

    Parameters
    ----------
    screen : NpzScreen
        The screen; ``index`` names the tables.
    plate : str, optional
        Read the rows of this plate only.

    Raises
    ------
    FormatError
        If a table cannot be read, a cell is empty or makes no sense, SAMPLE_KEY contradicts the other columns, a field
        stands in the tables with two compounds, or there is no row of the plate.
    """
    fields = pd.concat([_read_npz_index(path, screen.compounds.id, plate) for path in screen.index], ignore_index=True)
    if plate is not None and fields.empty:
        raise FormatError(f"{', '.join(screen.index)}: no row of plate {plate}; PLATE_ID names the plates")
    fields = fields.drop_duplicates(ignore_index=True)
    twice = fields[fields.duplicated(["plate", "well", "site"], keep=False)]
    if len(twice):
        plate, well, site = twice.iloc[0][["plate", "well", "site"]]
        same = (twice["plate"] == plate) & (twice["well"] == well) & (twice["site"] == site)
        raise FormatError(
            f"{', '.join(screen.index)}: the field {plate}-{well}-{site} has two compounds "
            f"({', '.join(map(repr, sorted(twice.loc[same, 'compound'])))}); correct the tables"
        )
    return fields


def _read_npz_index(path: str, compound_column: str, plate: str | None) -> pd.DataFrame:
    # The whole table takes hundreds of megabytes.
    columns = ["SAMPLE_KEY", "PLATE_ID", "WELL_POSITION", "SITE", compound_column]
    table = read_csv(path, columns, usecols=lambda column: column in columns, dtype=str)
    _check_filled(table, columns[:4], path)
    if plate is not None:
        table = table[table["PLATE_ID"] == plate]
    site = _numbers(table, "SITE", path)
    strange = site[(site % 1 != 0) | ~site.between(0, LARGEST_SITE)]
    if len(strange):
        raise FormatError(f"{path}: column SITE holds {strange.iloc[0]:g}; write a whole number of 0 to {LARGEST_SITE}")
    compound = table[compound_column].fillna("").str.strip()
    fields = pd.DataFrame(
        {
            "plate": table["PLATE_ID"],
            "well": table["WELL_POSITION"],
            "role": np.where(compound == "", MOCK, TREATED),
            "compound": compound,
            "concentration": np.nan,
            "batch": "",
            "site": site.astype(int),
        }
    )
    fields = _checked(fields, path)
    _check_keys(table["SAMPLE_KEY"], fields, path)
    return fields


def _check_keys(keys: pd.Series, fields: pd.DataFrame, path: str) -> None:
    """Raise FormatError where a sample key is not that of its field."""
    expected = fields["plate"] + "-" + fields["well"] + "-" + fields["site"].astype(str)
    for row, key in keys[keys != expected].items():
        # Wells have several spellings.
        if parse_sample_key(key) != tuple(fields.loc[row, ["plate", "well", "site"]]):
            raise FormatError(
                f"{path}: SAMPLE_KEY {key!r} in row {row + 1} below the header, but the columns PLATE_ID, "
                f"WELL_POSITION and SITE say {expected[row]}; correct the table"
            )


def _named_in(path: str, column: str) -> list[str]:
    """What a column holds, each once, sorted."""
    table = read_csv(path, [column], usecols=lambda name: name == column, dtype=str)
    _check_filled(table, [column], path)
    return sorted(table[column].unique())


def _listed(path: str) -> list[str]:
    """The words of a text file but for its comments."""
    try:
        # Some editors put a byte order mark first.
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; screen.plates is a list or a file of ids") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path}: not a text file; screen.plates is a list or a file of ids") from None
    return [word for line in lines if not line.lstrip().startswith("#") for word in line.split()]


def _check_filled(table: pd.DataFrame, columns: list[str], path: str | Path) -> None:
    for column in columns:
        empty = np.flatnonzero(table[column].isna())
        if len(empty):
            raise FormatError(
                f"{path}: no {column} in row {empty[0] + 1} below the header; fill it in, or remove the row"
            )


def _flags(table: pd.DataFrame, column: str, path: str | Path) -> pd.Series:
    """Texts 0, 1, true and false as bool; empty is False."""
    texts = table[column].fillna("").str.strip().str.lower()
    strange = table.loc[~texts.isin(_FLAGS), column]
    if len(strange):
        raise FormatError(f"{path}: column {column} holds {strange.iloc[0]!r}; write 1 or 0")
    return texts.map(_FLAGS).astype(bool)


def _numbers(table: pd.DataFrame, column: str, path: str | Path) -> pd.Series:
    numbers = pd.to_numeric(table[column], errors="coerce")
    strange = table.loc[numbers.isna() & table[column].notna(), column]
    if len(strange):
        raise FormatError(f"{path}: column {column} holds {strange.iloc[0]!r}; write a plain number")
    return numbers


def _normal_wells(wells: pd.Series) -> pd.Series:
    """`normal_well` of each; a column names few wells many times."""
    return wells.map({well: normal_well(well) for well in wells.unique()})


def _checked(wells: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    wells["plate"] = wells["plate"].astype(str)
    wells["well"] = _normal_wells(wells["well"])
    wells["batch"] = wells["batch"].fillna("").astype(str)
    strange = sorted(set(wells["role"].dropna()) - {TREATED, MOCK})
    if strange or wells["role"].isna().any():
        raise FormatError(f"{path}: role {strange or 'missing'}; each well is either 'treated' or 'mock'")
    return wells
