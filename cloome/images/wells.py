"""Which wells are kept: the setting ``images.wells``."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cloome.data.files import read_csv
from cloome.data.wells import TREATED
from cloome.errors import ConfigError


@dataclass(frozen=True)
class Kept:
    """A choice of wells."""

    wells: str  # treated, labelled or all
    labelled: frozenset[str] = frozenset()  # compounds with an activity label

    def of(self, table: pd.DataFrame) -> pd.Series:
        """Whether each row, with columns role and compound, is kept."""
        if self.wells == "all":
            return pd.Series(True, index=table.index)
        treated = table["role"] == TREATED
        return treated & table["compound"].isin(self.labelled) if self.wells == "labelled" else treated


def read_kept(wells: str, labelled: Path | None) -> Kept:
    """The choice that a configuration makes.

    Parameters
    ----------
    wells : str
        The setting ``images.wells``.
    labelled : Path or None
        Table with a column ``compound``, from ``cloome labelled``; for the setting ``labelled`` only.

    Raises
    ------
    ConfigError
        If the setting needs the table and there is none.
    """
    if wells != "labelled":
        return Kept(wells)
    if labelled is None:
        raise ConfigError("images.wells is 'labelled'; give the table of `cloome labelled` with --labelled")
    return Kept(wells, frozenset(read_csv(labelled, ["compound"], dtype=str, keep_default_na=False)["compound"]))
