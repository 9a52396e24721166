"""Splits: which molecules, or which wells, belong to train, validation and test. CSV.

A split by molecule has the columns inchikey, part; a split by replicate plate has plate, well, part.
"""

from pathlib import Path

import pandas as pd

from cloome.data.files import read_csv, write_csv
from cloome.errors import FormatError

PARTS = ["train", "validation", "test"]


def write_split(split: pd.DataFrame, path: str | Path, group: pd.Series | None = None) -> None:
    """Write a split after checking that it leaks nothing.

    Parameters
    ----------
    split : DataFrame
        Key columns and ``part``.
    path : path
        CSV to write.
    group : Series, optional
        One value per row, such as the scaffold, that must not stand in two parts.

    Raises
    ------
    FormatError
        If a key or a group stands in two parts, a part has another name, or there is nothing to train on or test.
    """
    keys = _keys(split)
    if split.duplicated(keys).any():
        raise FormatError(f"the split names {split[split.duplicated(keys)][keys].iloc[0].tolist()} twice")
    if not set(split["part"]) <= set(PARTS):
        raise FormatError(f"the split has parts {sorted(set(split['part']))}; they are {', '.join(PARTS)}")
    for part in ("train", "test"):
        if not (split["part"] == part).any():
            raise FormatError(f"the split leaves nothing in {part!r}; use larger shares or more molecules")
    if group is not None:
        spread = split["part"].groupby(group.to_numpy()).nunique()
        if (spread > 1).any():
            raise FormatError(f"the group {spread.idxmax()!r} stands in two parts of the split")
    write_csv(split, path)


def read_split(path: str | Path) -> pd.DataFrame:
    """Read a split: key columns and ``part``."""
    split = read_csv(path, ["part"], dtype=str)
    _keys(split)
    return split


def part_of(index: pd.DataFrame, split: pd.DataFrame) -> pd.Series:
    """The part of each row of the index: train, validation, test, or '' for what the split leaves out."""
    keys = _keys(split)
    merged = index[keys].merge(split, on=keys, how="left", validate="many_to_one")
    part = merged["part"].fillna("").set_axis(index.index)
    return part.where(index["inchikey"] != "", "")


def _keys(split: pd.DataFrame) -> list[str]:
    for keys in (["inchikey"], ["plate", "well"]):
        if sorted(split.columns) == sorted([*keys, "part"]):
            return keys
    raise FormatError(f"a split has columns inchikey, part or plate, well, part; found {', '.join(split.columns)}")
