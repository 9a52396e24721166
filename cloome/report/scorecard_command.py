"""``cloome scorecard``: the paper's values beside the reproduced ones with their verdicts, as CSV."""

import argparse
import logging

from cloome.config_files import load_config
from cloome.data.files import write_csv
from cloome.report.scorecard import is_paper_screen, scorecard
from cloome.report.tables import read_tables

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument("--tables", nargs=4, required=True, metavar="CSV", help="tables 1 to 4, from `cloome table`")
    parser.add_argument("--out", required=True, metavar="CSV", help="scorecard to write")


def run(arguments: argparse.Namespace) -> None:
    """Write the scorecard."""
    card = scorecard(read_tables(arguments.tables), is_paper_screen(load_config(arguments.config)))
    write_csv(card, arguments.out)
    words = card["verdict"].str.partition(":")[0].value_counts()
    log.info("scorecard: %s", ", ".join(f"{count} {word}" for word, count in words.items()) or "no rows")
