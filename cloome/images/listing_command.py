"""``cloome listing``: where each npz file of a screen of kind npz lies."""

import argparse
import logging
from pathlib import Path

from cloome.data.refused import beside, write_refused
from cloome.images.npz_listing import write_listing

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--images", nargs="+", required=True, metavar="PATH", help="folders of npz files, or tar files")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder to write PLATE.csv of each plate to; what is named otherwise is listed in DIR.refused.csv",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the listing and, beside it, ``*.refused.csv`` with columns item, reason."""
    listed, refused = write_listing(arguments.images, arguments.out)
    write_refused(beside(arguments.out), refused)
    log.info("%d npz files listed", listed)
    if refused:
        log.info("%d files are named as no field; %s lists them", len(refused), beside(arguments.out))
