"""How fast one core works: measured rates, and the times of past runs where there are any."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from cloome.config import Model
from cloome.data.files import read_csv

RATES = "rates.csv"


@dataclass(frozen=True)
class Rate:
    """A measured rate."""

    per_core: float  # images or fields per second and core
    machine: str


def images_rate() -> Rate:
    """Fields per second that the stage images stores."""
    row = _rates("images").iloc[0]
    return Rate(float(row["rate"]), row["machine"])


def network_rate(what: str, model: Model, height: int, width: int) -> Rate | None:
    """Images per second of a network, or None where it has not been measured.

    Parameters
    ----------
    what : str
        training or embedding.
    model : Model
        The network; its time is that of the image encoder, so its name and width decide.
    height, width : int
        Of the images in pixels; the time is taken as proportional to their number.
    """
    rows = _rates(what)
    rows = rows[(rows["encoder"] == model.encoder) & (rows["width"] == str(model.width))]
    if rows.empty:
        return None
    row = rows.iloc[0]
    return Rate(float(row["rate"]) * int(row["pixels"]) ** 2 / (height * width), row["machine"])


def past_seconds(times: Path, pattern: str, without: str | None = None, of_cores: bool = False) -> list[float]:
    """Seconds that past jobs took, from Snakemake's benchmark files.

    Parameters
    ----------
    times : Path
        Folder of the benchmark files.
    pattern : str
        Which of them.
    without : str, optional
        The end of the names, before the suffix, of those that do not count.
    of_cores : bool
        Count those of all cores together, where a job kept more than one busy.
    """
    files = [path for path in sorted(times.glob(pattern)) if not (without and path.stem.endswith(without))]
    columns = ["s", "cpu_time"] if of_cores else ["s"]
    tables = [pd.read_csv(path, sep="\t").reindex(columns=columns) for path in files]
    seconds = [table.apply(pd.to_numeric, errors="coerce").max(axis=1).mean() for table in tables]
    return [float(value) for value in seconds if np.isfinite(value)]


def _rates(what: str) -> pd.DataFrame:
    table = read_csv(files("cloome.plan").joinpath(RATES), ["what", "rate"], dtype=str, keep_default_na=False)
    return table[table["what"] == what]
