"""Tables of what was refused or left out and why; nothing is dropped without a row here."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cloome.data.files import read_csv, write_csv

COLUMNS = ["item", "reason"]

# What a reason says of one item only: its file, its structure, its number of nuclei.
_OF_ONE_ITEM = {r"^\S+\.\w+: ": "", r"'[^']*'": "...", r"^\d+ nuclei": "few nuclei", r"; \d+ nuclei": "; few nuclei"}


def beside(path: str | Path) -> Path:
    """The table of what was refused while a file was made: ``24277.refused.csv`` for ``24277.h5``."""
    return Path(path).with_suffix(".refused.csv")


def left_out_of(index: str | Path) -> Path:
    """The table of the stored fields that the filters leave out of an index; it lies beside the index."""
    return Path(index).with_name("fields.refused.csv")


def write_refused(path: str | Path, refused: Iterable[tuple[str, str]]) -> None:
    """Write (item, reason) pairs; an empty table says that nothing was refused."""
    write_csv(pd.DataFrame(list(refused), columns=COLUMNS), path)


def read_refused(path: str | Path) -> pd.DataFrame:
    """Read a table of refusals: columns item, reason."""
    return read_csv(path, COLUMNS, dtype=str, keep_default_na=False)


def read_refused_of_plates(plates: Iterable[str | Path]) -> pd.DataFrame:
    """Read the tables beside some plate stores, each named after its plate: columns plate, item, reason.

    An item stands in it once for each thing that is wrong with it.
    """
    tables = [read_refused(beside(path)).assign(plate=Path(path).stem) for path in plates]
    return pd.concat(tables, ignore_index=True)[["plate", *COLUMNS]]


def kinds(reasons: pd.Series) -> pd.Series:
    """Reasons without what they say of one item only, so that like reasons can be counted."""
    return reasons.astype(str).replace(_OF_ONE_ITEM, regex=True)
