"""The index: one row per field, with what its well held. Parquet.

Columns: sample_key, plate, well, site, role, compound, inchikey, concentration (mmol/l), batch, is_blurry,
is_saturated, cell_count, and one ``{measure}_{channel}`` for each measure of the plate stores and each channel. An
empty inchikey means that the well holds no compound with a usable structure; ``molecules.refused.csv`` says why.
Fields that the quality filters leave out stand in ``fields.refused.csv`` beside the index.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cloome.data.files import replacing
from cloome.data.plates import QUALITY
from cloome.errors import FormatError

VERSION = b"1"
COLUMNS = [
    "sample_key",
    "plate",
    "well",
    "site",
    "role",
    "compound",
    "inchikey",
    "concentration",
    "batch",
    "is_blurry",
    "is_saturated",
    "cell_count",
]
# Of each channel's image, as the plate stores hold them.
MEASURES = ("mean", "std", *QUALITY)


def write_index(index: pd.DataFrame, path: str | Path) -> None:
    """Write the index; refuses a sample_key that stands in it twice."""
    twice = index["sample_key"][index["sample_key"].duplicated()]
    if len(twice):
        raise FormatError(f"the index names the field {twice.iloc[0]} twice; two plates may have the same id")
    table = pa.Table.from_pandas(index, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"cloome_index": VERSION})
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def read_index(path: str | Path) -> pd.DataFrame:
    """Read the index; raises FormatError for another version or a truncated file."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise FormatError(f"{path}: no such file; run the stage molecules") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{path}: truncated or not Parquet; delete it and run molecules again") from error
    found = (table.schema.metadata or {}).get(b"cloome_index", b"0")
    if found != VERSION:
        raise FormatError(f"{path}: index version {found.decode()}, expected {VERSION.decode()}; run molecules again")
    return table.to_pandas()


def feature_columns(index: pd.DataFrame) -> list[str]:
    """Names of the hand-made features of an index: mean and standard deviation of each channel."""
    return _starting_with(index, ("mean", "std"))


def measure_columns(index: pd.DataFrame) -> list[str]:
    """Names of all measures in an index, ``{measure}_{channel}``."""
    return _starting_with(index, MEASURES)


def _starting_with(index: pd.DataFrame, measures: tuple[str, ...]) -> list[str]:
    return [column for column in index.columns if column.startswith(tuple(f"{measure}_" for measure in measures))]
