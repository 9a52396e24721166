"""The run folders that the report reads: their names, training logs and evaluation tables."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cloome.config import CONTROLS, PUBLISHED_TABLES
from cloome.data.evaluation import RANKING_COLUMNS
from cloome.data.files import read_csv
from cloome.data.train_log import LOG_COLUMNS
from cloome.errors import FormatError

PROBING, PROBING_COLUMNS = "probing", ["features", "labels", "task", "test_auc"]


@dataclass(frozen=True)
class Run:
    """One model, by the name of its folder: ``{split}-{method}-seed{seed}``, and a control behind it if it is one."""

    folder: Path
    split: str
    method: str  # ends in '-shuffled' or '-untrained' for a control, see `cloome.config.CONTROLS`
    seed: int

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def shuffled(self) -> bool:
        return self.method.endswith("-shuffled")

    @property
    def untrained(self) -> bool:
        return self.method.endswith("-untrained")

    @property
    def published(self) -> bool:
        """Whether its weights are the authors', so that there is no log of their training."""
        return self.method in PUBLISHED_TABLES


def find_runs(folders: list[str | Path]) -> list[Run]:
    """The runs in the order of the folders given.

    Raises
    ------
    FormatError
        If a folder is not named as a run.
    """
    return [_run(Path(folder)) for folder in folders]


def _run(folder: Path) -> Run:
    match = re.fullmatch(rf"(\w+)-(\w+)-seed(\d+)(-(?:{'|'.join(CONTROLS)}))?", folder.name)
    if not match:
        raise FormatError(
            f"{folder}: not the folder of a run; these are named SPLIT-METHOD-seedN, as in random-cloob-seed0"
        )
    return Run(folder, match[1], match[2] + (match[4] or ""), int(match[3]))


def read_evaluation(run: Run, benchmark: str) -> pd.DataFrame:
    """One evaluation table of a run, with its split, method and run name added; it may have no rows.

    Raises
    ------
    FormatError
        If the file is missing or lacks a column.
    """
    columns = PROBING_COLUMNS if benchmark == PROBING else RANKING_COLUMNS
    # Labels that are all "true" would otherwise be read as truth values.
    table = read_csv(run.folder / "evaluation" / f"{benchmark}.csv", columns, dtype={"labels": str})
    return table.assign(split=run.split, method=run.method, run=run.name)


def read_other(run: Run, benchmark: str, columns: list[str]) -> pd.DataFrame:
    """An evaluation table that the paper has not, with its split and model added; it may have no rows.

    Raises
    ------
    FormatError
        If the file is missing or lacks a column.
    """
    table = read_csv(run.folder / "evaluation" / f"{benchmark}.csv", columns, dtype={"labels": str})
    return table.assign(split=run.split, model=f"{run.split} split, {run.method}, seed {run.seed}")


def read_log(run: Run) -> pd.DataFrame:
    """The training log of a run: one row per epoch."""
    return read_csv(run.folder / "train_log.csv", LOG_COLUMNS)
