"""Tables of what was refused and why; nothing is dropped without a row here."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cloome.data.files import read_csv, write_csv

COLUMNS = ["item", "reason"]


def write_refused(path: str | Path, refused: Iterable[tuple[str, str]]) -> None:
    """Write (item, reason) pairs; an empty table says that nothing was refused."""
    write_csv(pd.DataFrame(list(refused), columns=COLUMNS), path)


def read_refused(path: str | Path) -> pd.DataFrame:
    """Read a table of refusals: columns item, reason."""
    return read_csv(path, COLUMNS, dtype=str, keep_default_na=False)
