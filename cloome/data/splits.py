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
    _check(split, "the split")
    for part in ("train", "test"):
        if not (split["part"] == part).any():
            raise FormatError(f"the split leaves nothing in {part!r}; use larger shares or more molecules")
    if group is not None:
        spread = split["part"].groupby(group.to_numpy()).nunique()
        if (spread > 1).any():
            raise FormatError(f"the group {spread.idxmax()!r} stands in two parts of the split")
    write_csv(split, path)


def read_split(path: str | Path) -> pd.DataFrame:
    """Read a split: key columns and ``part``.

    Raises
    ------
    FormatError
        If the file is missing or has other columns, a key stands in it twice, or a part has another name.
    """
    split = read_csv(path, ["part"], dtype=str, keep_default_na=False)
    _check(split, str(path))
    return split


def by_molecule(split: pd.DataFrame) -> bool:
    """Whether the test molecules of a split are unknown to training; else its wells are, of known molecules."""
    return _keys(split, "the split") == ["inchikey"]


def part_of(index: pd.DataFrame, split: pd.DataFrame) -> pd.Series:
    """The part of each row of the index: train, validation, test, or '' for what the split leaves out."""
    keys = _keys(split, "the split")
    merged = index[keys].merge(split, on=keys, how="left", validate="many_to_one")
    part = merged["part"].fillna("").set_axis(index.index)
    return part.where(index["inchikey"] != "", "")


def _check(split: pd.DataFrame, name: str) -> None:
    keys = _keys(split, name)
    twice = split.loc[split.duplicated(keys), keys]
    if len(twice):
        raise FormatError(f"{name}: {twice.iloc[0].tolist()} stands in it twice; name each molecule or well once")
    strange = sorted(set(split["part"]) - set(PARTS))
    if strange:
        raise FormatError(f"{name}: a part is called {strange[0]!r}; the parts are {', '.join(PARTS)}")


def _keys(split: pd.DataFrame, name: str) -> list[str]:
    for keys in (["inchikey"], ["plate", "well"]):
        if sorted(split.columns) == sorted([*keys, "part"]):
            return keys
    raise FormatError(
        f"{name}: a split has columns inchikey, part or plate, well, part; found {', '.join(split.columns)}"
    )
