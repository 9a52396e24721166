"""``cloome labelled``: the compounds that have an activity label, for ``images.wells: labelled``."""

import argparse
import logging
from pathlib import Path

import pandas as pd

from cloome.config_files import load_config
from cloome.data.files import write_csv
from cloome.data.labels import read_labels
from cloome.errors import FormatError
from cloome.molecules.compounds import read_compounds
from cloome.molecules.structures import read_structure

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument(
        "--resources", type=Path, metavar="DIR", help="for a screen of kind archives: folder with compounds.csv"
    )
    parser.add_argument("--labels", required=True, type=Path, metavar="DIR", help="folder with label-matrix.mtx")
    parser.add_argument("--out", required=True, type=Path, metavar="CSV", help="table to write: one column, compound")


def run(arguments: argparse.Namespace) -> None:
    """Write the table."""
    screen = load_config(arguments.config).screen
    compounds = read_compounds(screen, arguments.resources)[["compound", "smiles"]].drop_duplicates()
    labelled = set(read_labels(arguments.labels).inchikey)
    inchikeys = {smiles: _inchikey(smiles) for smiles in compounds["smiles"].unique()}
    found = sorted(set(compounds["compound"][compounds["smiles"].map(inchikeys).isin(labelled)]))
    if not found:
        raise FormatError(f"{arguments.labels}: names none of the screen's compounds; keep the treated wells instead")
    write_csv(pd.DataFrame({"compound": found}), arguments.out)
    log.info("%d of %d compounds have an activity label", len(found), compounds["compound"].nunique())


def _inchikey(smiles: str) -> str:
    """Of the structure as it is; empty if there is none, which the stage molecules will report."""
    try:
        return read_structure(smiles, standardise=False).inchikey
    except FormatError:
        return ""
