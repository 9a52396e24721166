"""``cloome molecules``: the molecules of a screen and the index of its fields."""

import argparse
import logging
from pathlib import Path

import pandas as pd

from cloome.config import Config
from cloome.config_files import load_config
from cloome.data.index import write_index
from cloome.data.molecules import write_molecules
from cloome.data.refused import write_refused
from cloome.data.wells import TREATED
from cloome.errors import ConfigError
from cloome.molecules.compounds import read_compounds
from cloome.molecules.fields import add_inchikeys, join, read_fields, read_wells
from cloome.molecules.resolve import resolve

log = logging.getLogger(__name__)

NO_COMPOUND = "treated well without a compound id"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument("--plates", nargs="+", required=True, metavar="H5", help="plate stores, from `cloome images`")
    parser.add_argument(
        "--resources",
        type=Path,
        metavar="DIR",
        help="for a screen of kind archives: folder with compounds.csv, mechanisms.csv and plates/PLATE/*.csv",
    )
    parser.add_argument("--out-index", required=True, metavar="PARQUET", help="index to write: one row per field")
    parser.add_argument(
        "--out-molecules",
        required=True,
        type=Path,
        metavar="H5",
        help="molecules to write: one row per molecule; what was refused is listed beside it, in *.refused.csv",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the index, the molecules and the table of refused compounds."""
    build(
        load_config(arguments.config),
        arguments.plates,
        arguments.resources,
        arguments.out_index,
        arguments.out_molecules,
    )


def build(
    config: Config, plates: list[str], resources: Path | None, out_index: str | Path, out_molecules: str | Path
) -> None:
    """Write the index, the molecules and, beside them, ``*.refused.csv`` with columns item, reason.

    Raises
    ------
    ConfigError
        If a screen of kind archives is not told its folder of tables.
    FormatError
        If a table or plate store cannot be read or contradicts another, or if no structure is usable.
    """
    if config.screen.kind == "archives" and resources is None:
        raise ConfigError("a screen of kind 'archives' has its tables in a folder; give it with --resources")
    fields = read_fields(plates, config.screen.channels)
    wells, quality = read_wells(config.screen, sorted(set(fields["plate"])), resources)
    index = join(fields, wells, quality)
    treated = index[index["role"] == TREATED]
    used = set(treated["compound"]) - {""}
    resolved = resolve(read_compounds(config.screen, resources), used, config.molecules)
    refused = resolved.refused + _without_compound(treated)
    write_refused(Path(out_molecules).with_suffix(".refused.csv"), refused)
    write_molecules(resolved.molecules, out_molecules, config.molecules.model_dump())
    write_index(add_inchikeys(index, resolved.inchikey), out_index)
    table = resolved.molecules.table
    log.info(
        "%d fields of %d wells on %d plates", len(index), len(index[["plate", "well"]].drop_duplicates()), len(plates)
    )
    log.info(
        "%d compounds are %d molecules, %d with a mechanism; %d refused",
        len(used),
        len(table),
        (table["mechanism"] != "").sum(),
        len(refused),
    )


def _without_compound(treated: pd.DataFrame) -> list[tuple[str, str]]:
    empty = treated[treated["compound"] == ""]
    wells = sorted(set(empty["plate"] + "-" + empty["well"]))
    return [(well, NO_COMPOUND) for well in wells]
