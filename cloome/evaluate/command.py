"""``cloome evaluate``: every benchmark and control on one run's embeddings."""

import argparse
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from cloome.config import Evaluate
from cloome.config_files import load_config
from cloome.data.embeddings import read_embeddings
from cloome.data.files import write_csv
from cloome.data.image_features import read_image_features
from cloome.data.index import read_index
from cloome.data.labels import Labels, read_labels
from cloome.data.molecules import read_molecules
from cloome.data.splits import read_split
from cloome.evaluate.activity import activity_table
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
# Probing takes longer than all others together, so the workflow makes its two tables in a job of their own.
PROBING, COMPARISON = "probing", "probing_comparison"
BENCHMARKS = (*TABLES, PROBING)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument("--embeddings", required=True, metavar="H5", help="embeddings, from `cloome embed`")
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
        choices=BENCHMARKS,
        default=BENCHMARKS,
        metavar="NAME",
        help="default all: %(choices)s",
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder for the tables, one per benchmark"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write one table for each benchmark, by its name."""
    settings = load_config(arguments.config).evaluate
    index = read_index(arguments.index)
    samples = align(
        index,
        read_embeddings(arguments.embeddings),
        read_molecules(arguments.molecules),
        read_split(arguments.split),
        read_well_profiles(arguments.profiles, index),
        read_image_features(arguments.gapnet) if arguments.gapnet else None,
    )
    labels = read_labels(arguments.labels) if arguments.labels else None
    for name, table in evaluate(samples, labels, settings, arguments.benchmarks):
        write_csv(table, arguments.out / f"{name}.csv")
        log.info("%s: %d rows", name, len(table))


def evaluate(
    samples: Samples, labels: Labels | None, settings: Evaluate, benchmarks: Collection[str] = BENCHMARKS
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
        Some of `BENCHMARKS`.
    """
    for name, table in TABLES.items():
        if name in benchmarks:
            yield name, table(samples, settings)
    if PROBING in benchmarks:
        probing = activity_table(samples, labels, settings)
        yield PROBING, probing
        yield COMPARISON, comparison_table(probing)
