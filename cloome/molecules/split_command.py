"""``cloome split``: one split of a configuration."""

import argparse
import logging
from pathlib import Path

import pandas as pd

from cloome.config import Split
from cloome.config_files import load_config
from cloome.data.files import read_csv
from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.data.splits import PARTS, write_split
from cloome.errors import ConfigError, FormatError
from cloome.molecules.splits import published_split, random_split, replicate_split, scaffold_groups, scaffold_split

log = logging.getLogger(__name__)

PUBLISHED = ("split_train.csv", "split_test.csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument("--split", required=True, metavar="NAME", help="a name under runs.splits")
    parser.add_argument("--index", required=True, metavar="PARQUET", help="index, from `cloome molecules`")
    parser.add_argument("--molecules", required=True, metavar="H5", help="molecules, from `cloome molecules`")
    parser.add_argument(
        "--resources",
        type=Path,
        metavar="DIR",
        help=f"for a split of kind published: folder with {' and '.join(PUBLISHED)}",
    )
    parser.add_argument("--out", required=True, metavar="CSV", help="split to write")


def run(arguments: argparse.Namespace) -> None:
    """Write one split.

    Raises
    ------
    ConfigError
        If the configuration has no such split, or a published one lacks its folder of tables.
    FormatError
        If index and molecules do not belong together, or the split leaves nothing to train on or to test.
    """
    splits = load_config(arguments.config).runs.splits
    if arguments.split not in splits:
        raise ConfigError(f"runs.splits has no {arguments.split!r}; it has {', '.join(splits)}")
    index = read_index(arguments.index)
    molecules = _present(index, read_molecules(arguments.molecules).table)
    split, group = make_split(splits[arguments.split], index, molecules, arguments.resources)
    write_split(split, arguments.out, group)
    counts = split["part"].value_counts()
    unit = "molecules" if "inchikey" in split else "wells"
    log.info("split %s: %s %s", arguments.split, ", ".join(f"{counts.get(p, 0)} {p}" for p in PARTS), unit)


def make_split(
    settings: Split, index: pd.DataFrame, molecules: pd.DataFrame, resources: Path | None
) -> tuple[pd.DataFrame, pd.Series | None]:
    """A split by its settings, and what must not stand in two of its parts.

    Parameters
    ----------
    settings : RandomSplit, ScaffoldSplit, ReplicateSplit or PublishedSplit
        The rule.
    index, molecules : DataFrame
        The index, and the table of the molecules in it, sorted by InChIKey.
    resources : Path or None
        Folder with the tables of a published split.
    """
    inchikeys = molecules["inchikey"].tolist()
    match settings.kind:
        case "random":
            return random_split(inchikeys, settings), None
        case "scaffold":
            return scaffold_split(molecules, settings), scaffold_groups(molecules)
        case "replicate":
            return replicate_split(index, settings), None
        case "published":
            return _published(inchikeys, resources), None


def _present(index: pd.DataFrame, molecules: pd.DataFrame) -> pd.DataFrame:
    """The molecules that the index holds, sorted by InChIKey."""
    present = set(index["inchikey"]) - {""}
    unknown = sorted(present - set(molecules["inchikey"]))
    if unknown:
        raise FormatError(
            f"{len(unknown)} molecules of the index are not among the molecules, the first {unknown[0]}; "
            "give the two files of one run of `cloome molecules`"
        )
    return molecules[molecules["inchikey"].isin(present)].sort_values("inchikey", ignore_index=True)


def _published(inchikeys: list[str], resources: Path | None) -> pd.DataFrame:
    if resources is None:
        raise ConfigError("a split of kind 'published' has its tables in a folder; give it with --resources")
    train, test = (_inchikeys(resources / name) for name in PUBLISHED)
    found = set(inchikeys)
    log.info("of the published molecules, %d of %d train and %d of %d test molecules are in this screen",
             len(train & found), len(train), len(test & found), len(test))  # fmt: skip
    return published_split(inchikeys, train, test)


def _inchikeys(path: Path) -> set[str]:
    # The training table has one row per image (319 MB); only this column is kept.
    table = read_csv(path, ["INCHIKEY"], usecols=lambda column: column == "INCHIKEY", dtype=str)
    return set(table["INCHIKEY"].dropna())
