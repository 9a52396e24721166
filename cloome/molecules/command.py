"""``cloome molecules``: the molecules of a screen and the index of its fields."""

import argparse
import logging
from pathlib import Path

import pandas as pd

from cloome.config import Config
from cloome.config_files import load_config
from cloome.data.index import write_index
from cloome.data.molecules import write_molecules
from cloome.data.refused import beside, left_out_of, read_refused_of_plates, write_refused
from cloome.data.wells import TREATED
from cloome.errors import ConfigError
from cloome.molecules.compounds import read_compounds
from cloome.molecules.fields import add_inchikeys, join, read_fields, read_wells
from cloome.molecules.quality import check_compounds, check_fields, leave_out, with_flags
from cloome.molecules.resolve import resolve

log = logging.getLogger(__name__)

NO_COMPOUND = "treated well without a compound id"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument(
        "--plates",
        nargs="+",
        required=True,
        metavar="H5",
        help="plate stores, from `cloome images`; what was refused is read from the *.refused.csv beside each",
    )
    parser.add_argument(
        "--resources",
        type=Path,
        metavar="DIR",
        help="for a screen of kind archives: folder with compounds.csv, mechanisms.csv and plates/PLATE/*.csv",
    )
    parser.add_argument(
        "--out-index",
        required=True,
        metavar="PARQUET",
        help="index to write: one row per field; what the filters leave out is listed beside it, in fields.refused.csv",
    )
    parser.add_argument(
        "--out-molecules",
        required=True,
        type=Path,
        metavar="H5",
        help="molecules to write: one row per molecule; what was refused is listed beside it, in *.refused.csv",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the index, the molecules and the two tables of what was refused and left out."""
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
    """Write the index, the molecules and, beside each, a table with columns item, reason.

    The molecules are those of all stored fields, so that the filters of the section ``quality`` change the index alone.

    Raises
    ------
    ConfigError
        If a screen of kind archives is not told its folder of tables.
    FormatError
        If a table or plate store cannot be read or contradicts another, no structure is usable, more than
        ``quality.refused_limit`` of the fields or compounds were refused, or the filters leave no field.
    """
    if config.screen.kind == "archives" and resources is None:
        raise ConfigError("a screen of kind 'archives' has its tables in a folder; give it with --resources")
    stored = stored_fields(config, plates, resources)
    treated = stored[stored["role"] == TREATED]
    used = set(treated["compound"]) - {""}
    resolved = resolve(read_compounds(config.screen, resources), used, config.molecules)
    check_compounds(len(used), resolved.refused, config.quality.refused_limit)
    kept, left_out = leave_out(stored, config.quality)
    write_refused(beside(out_molecules), resolved.refused + _without_compound(treated))
    write_molecules(resolved.molecules, out_molecules, config.molecules.model_dump())
    write_refused(left_out_of(out_index), left_out)
    write_index(add_inchikeys(kept, resolved.inchikey), out_index)
    wells = len(kept[["plate", "well"]].drop_duplicates())
    log.info(
        "%d fields of %d wells on %d plates; the filters left out %d", len(kept), wells, len(plates), len(left_out)
    )
    table = resolved.molecules.table
    log.info(
        "%d compounds are %d molecules, %d with a mechanism; %d refused",
        len(used),
        len(table),
        (table["mechanism"] != "").sum(),
        len(resolved.refused),
    )


def stored_fields(config: Config, plates: list[str], resources: Path | None) -> pd.DataFrame:
    """All fields of the plate stores with what their wells hold and their flags.

    Raises
    ------
    FormatError
        As `build`.
    """
    fields = read_fields(plates, config.screen.channels)
    check_fields(fields, read_refused_of_plates(plates), config.quality.refused_limit)
    wells, quality = read_wells(config.screen, sorted(set(fields["plate"])), resources)
    return with_flags(join(fields, wells), quality)


def _without_compound(treated: pd.DataFrame) -> list[tuple[str, str]]:
    empty = treated[treated["compound"] == ""]
    wells = sorted(set(empty["plate"] + "-" + empty["well"]))
    return [(well, NO_COMPOUND) for well in wells]
