"""``cloome methods``: the methods of each split compared with each other over the activity tasks, as CSV."""

import argparse
import logging

from cloome.data.files import write_csv
from cloome.report.method_comparison import method_comparison
from cloome.report.runs import find_runs

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--runs", nargs="+", required=True, metavar="DIR", help="folders of the runs")
    parser.add_argument("--out", required=True, metavar="CSV", help="comparison to write")


def run(arguments: argparse.Namespace) -> None:
    """Write the comparison."""
    table = method_comparison(find_runs(arguments.runs))
    write_csv(table.round(6), arguments.out)
    log.info("%d pairs of methods over %d runs", len(table), len(arguments.runs))
