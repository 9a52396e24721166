"""``cloome report``: one page that sets "paper" beside "reproduced"."""

import argparse
import logging

from cloome.config_files import load_config
from cloome.data.files import replacing
from cloome.report.page import Sources, render
from cloome.report.runs import find_runs
from cloome.report.tables import read_tables

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument("--runs", nargs="+", required=True, metavar="DIR", help="folders of the runs")
    parser.add_argument("--tables", nargs=4, required=True, metavar="CSV", help="tables 1 to 4, from `cloome table`")
    parser.add_argument("--index", required=True, metavar="PARQUET", help="index of all fields")
    parser.add_argument("--molecules", required=True, metavar="H5", help="the molecules")
    parser.add_argument("--splits", required=True, metavar="DIR", help="folder with one CSV per split")
    parser.add_argument("--plates", nargs="+", required=True, metavar="H5", help="plate stores")
    parser.add_argument("--out", required=True, metavar="HTML", help="page to write; it needs no other file")


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    sources = Sources(arguments.index, arguments.molecules, arguments.plates, arguments.splits)
    tables = read_tables(arguments.tables)
    page = render(load_config(arguments.config), find_runs(arguments.runs), tables, sources)
    with replacing(arguments.out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    log.info("%s: %.1f MB", arguments.out, len(page) / 1e6)
