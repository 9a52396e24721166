"""The compound table of a screen, with names and mechanisms of action."""

import logging
from pathlib import Path

import pandas as pd

from cloome.config import Screen
from cloome.data.files import read_csv
from cloome.errors import FormatError

log = logging.getLogger(__name__)

COLUMNS = ["compound", "smiles", "name", "mechanism"]


def read_compounds(screen: Screen, resources: Path | None) -> pd.DataFrame:
    """Read the compounds that a screen's wells refer to.

    Parameters
    ----------
    screen : ArchiveScreen, LoadDataScreen or NpzScreen
        Where the tables are and what their columns mean.
    resources : Path or None
        Folder with ``compounds.csv`` and ``mechanisms.csv`` of an ArchiveScreen; None for the others.

    Returns
    -------
    DataFrame
        compound, smiles, name, mechanism (text; empty where not known; several mechanisms are sorted and separated
        by ``|``). An id may stand in it twice.

    Raises
    ------
    FormatError
        If a table is missing or lacks a column, or no row of the mechanism table names a compound.
    """
    columns = screen.compounds
    named = [columns.id, columns.smiles, columns.name, columns.mechanism]
    # An index has a row for each image, with the same few compounds in them.
    table = pd.concat([_texts(path, named) for path in _compound_files(screen, resources)]).drop_duplicates()
    compounds = pd.DataFrame({"compound": table[columns.id], "smiles": table[columns.smiles]})
    compounds["name"] = table[columns.name] if columns.name else ""
    known = [_pairs(table, columns.id, columns.mechanism)] if columns.mechanism else []
    if screen.kind == "archives" and screen.mechanisms:
        named = screen.mechanisms
        table = _texts(resources / "mechanisms.csv", [named.id, named.mechanism])
        pairs = _pairs(table, named.id, named.mechanism)
        _check_ids(pairs["compound"], compounds["compound"])
        known.append(pairs)
    mechanism = join_mechanisms(pd.concat(known)) if known else pd.Series(dtype=str)
    compounds["mechanism"] = [mechanism.get(compound, "") for compound in compounds["compound"]]
    return compounds[COLUMNS]


def join_mechanisms(pairs: pd.DataFrame, key: str = "compound") -> pd.Series:
    """Mechanisms by compound (or another key): each once, sorted, separated by ``|``; none is no entry."""
    single = pairs.assign(mechanism=pairs["mechanism"].str.split("|")).explode("mechanism")
    single["mechanism"] = single["mechanism"].str.strip()
    single = single[single["mechanism"] != ""].drop_duplicates().sort_values("mechanism")
    return single.groupby(key)["mechanism"].agg("|".join)


def _check_ids(named: pd.Series, compounds: pd.Series) -> None:
    """Say how many rows of the mechanism table find a compound; none at all means the wrong column."""
    found = (named.isin(compounds) & (named != "")).sum()
    log.info("%d of %d rows of the mechanism table name a compound", found, len(named))
    if len(named) and len(compounds) and not found:
        raise FormatError(
            f"mechanisms.csv: none of its ids, such as {named.iloc[0]!r}, is in compounds.csv, with ids such as "
            f"{compounds.iloc[0]!r}; check screen.mechanisms.id and screen.compounds.id in the configuration"
        )


def _compound_files(screen: Screen, resources: Path | None) -> list[Path]:
    if screen.kind == "archives":
        return [resources / "compounds.csv"]
    return [Path(screen.compounds.path)] if screen.compounds.path else [Path(path) for path in screen.index]


def _texts(path: Path, columns: list[str | None]) -> pd.DataFrame:
    """Columns of a table as stripped text; empty cells are empty text."""
    # One column may serve twice: a name for people can be the id as well.
    needed = list(dict.fromkeys(column for column in columns if column))
    # Compound names such as NA are names here, not missing values.
    options = {"usecols": lambda column: column in needed, "dtype": str, "keep_default_na": False}
    table = read_csv(path, needed, **options)[needed]
    return table.apply(lambda column: column.str.strip())


def _pairs(table: pd.DataFrame, id_column: str, mechanism_column: str) -> pd.DataFrame:
    return pd.DataFrame({"compound": table[id_column], "mechanism": table[mechanism_column]})
