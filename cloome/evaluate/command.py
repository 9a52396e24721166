"""``cloome evaluate``: every benchmark and control on one run's embeddings."""

import argparse
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from cloome.config import Evaluate
from cloome.config_files import load_config
from cloome.data.embeddings import no_embeddings, read_embeddings
from cloome.data.files import read_csv, write_csv
from cloome.data.image_features import read_image_features
from cloome.data.index import read_index
from cloome.data.labels import Labels, read_labels
from cloome.data.molecules import read_molecules
from cloome.data.splits import read_split
from cloome.errors import ConfigError
from cloome.evaluate.activity import TABLE_COLUMNS, activity_table, baseline_table
from cloome.evaluate.average_precision import average_precision_table
from cloome.evaluate.batch_effects import batch_effects_table
from cloome.evaluate.comparison import comparison_table
from cloome.evaluate.profiles import read_well_profiles
from cloome.evaluate.replicate_wells import replicate_wells_table
from cloome.evaluate.retrieval import retrieval_table
from cloome.evaluate.samples import Samples, align
from cloome.evaluate.zero_shot import mechanism_table, molecule_table

log = logging.getLogger(__name__)

TABLES = {
    "retrieval": retrieval_table,
    "zero_shot_molecule": molecule_table,
    "zero_shot_mechanism": mechanism_table,
    "replicate_wells": replicate_wells_table,
    "average_precision": average_precision_table,
    "batch_effects": batch_effects_table,
}
# Probing takes longer than all others together, so the workflow makes its two tables in a job of their own, and what is
# the same for all runs of a split in another one.
PROBING, COMPARISON, PROBING_BASELINES = "probing", "probing_comparison", "probing_baselines"
BENCHMARKS = (*TABLES, PROBING)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument(
        "--embeddings", metavar="H5", help=f"embeddings, from `cloome embed`; {PROBING_BASELINES} does without"
    )
    parser.add_argument("--index", required=True, metavar="PARQUET", help="index, from `cloome molecules`")
    parser.add_argument("--molecules", required=True, metavar="H5", help="molecules, from `cloome molecules`")
    parser.add_argument("--split", required=True, metavar="CSV", help="the split that the model was trained on")
    parser.add_argument("--labels", metavar="DIR", help="folder with the activity labels, for probing")
    parser.add_argument(
        "--profiles", metavar="DIR", help="folder with PLATE/mean_well_profiles.csv, for the baselines of CellProfiler"
    )
    parser.add_argument("--gapnet", metavar="H5", help="features of GapNet, from `cloome gapnet`")
    parser.add_argument(
        "--benchmarks",
        nargs="+",
        choices=(*BENCHMARKS, PROBING_BASELINES),
        default=BENCHMARKS,
        metavar="NAME",
        help="some of %(choices)s; default: all but the last, which is a part of probing",
    )
    parser.add_argument(
        "--baselines", metavar="CSV", help=f"{PROBING_BASELINES} of this split, if they are made already"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder for the tables, one per benchmark"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write one table for each benchmark, by its name."""
    settings = load_config(arguments.config).evaluate
    index, molecules = read_index(arguments.index), read_molecules(arguments.molecules)
    if not arguments.embeddings and list(arguments.benchmarks) != [PROBING_BASELINES]:
        raise ConfigError(f"--embeddings is missing; only --benchmarks {PROBING_BASELINES} does without")
    samples = align(
        index,
        read_embeddings(arguments.embeddings) if arguments.embeddings else no_embeddings(index, molecules),
        molecules,
        read_split(arguments.split),
        read_well_profiles(arguments.profiles, index),
        read_image_features(arguments.gapnet) if arguments.gapnet else None,
    )
    labels = read_labels(arguments.labels) if arguments.labels else None
    made = _read_baselines(arguments.baselines) if arguments.baselines else None
    for name, table in evaluate(samples, labels, settings, arguments.benchmarks, made):
        write_csv(table, arguments.out / f"{name}.csv")
        log.info("%s: %d rows", name, len(table))


def _read_baselines(path: str) -> pd.DataFrame:
    """The rows as they were written: names of assays stay text, whatever they look like."""
    text = dict.fromkeys(["labels", "assay", "note"], str)
    return read_csv(path, TABLE_COLUMNS, dtype=text, keep_default_na=False, na_values=[""])


def evaluate(
    samples: Samples,
    labels: Labels | None,
    settings: Evaluate,
    benchmarks: Collection[str] = BENCHMARKS,
    baselines: pd.DataFrame | None = None,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The tables of some benchmarks, by name; one that does not apply has a header only, and the log says why.

    Parameters
    ----------
    samples : Samples
        Images, molecules and the split, aligned.
    labels : Labels or None
        Activity labels, for probing.
    settings : Evaluate
        Intervals, pools, seeds.
    benchmarks : collection of str
        Some of `BENCHMARKS`, and `PROBING_BASELINES`.
    baselines : DataFrame, optional
        The table `PROBING_BASELINES` of the same split; default: made for probing.
    """
    for name, table in TABLES.items():
        if name in benchmarks:
            yield name, table(samples, settings)
    if PROBING in benchmarks:
        probing = activity_table(samples, labels, settings, baselines)
        yield PROBING, probing
        yield COMPARISON, comparison_table(probing)
    if PROBING_BASELINES in benchmarks:
        yield PROBING_BASELINES, baseline_table(samples, labels, settings)
