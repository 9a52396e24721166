"""``cloome table``: one of the paper's tables over all runs, as CSV."""

import argparse
import logging

from cloome.config_files import load_config
from cloome.data.files import write_csv
from cloome.report.runs import find_runs
from cloome.report.tables import BENCHMARKS, paper_table

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument(
        "--number", type=int, choices=sorted(BENCHMARKS), required=True, help="which of the paper's tables"
    )
    parser.add_argument("--runs", nargs="+", required=True, metavar="DIR", help="folders of the runs")
    parser.add_argument("--out", required=True, metavar="CSV", help="table to write")


def run(arguments: argparse.Namespace) -> None:
    """Write one table."""
    confidence = load_config(arguments.config).evaluate.confidence
    table = paper_table(arguments.number, find_runs(arguments.runs), confidence)
    write_csv(table, arguments.out)
    log.info("table %d: %d rows over %d runs", arguments.number, len(table), len(arguments.runs))
