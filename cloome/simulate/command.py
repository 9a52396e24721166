"""The command ``cloome simulate``."""

import argparse
import logging
from pathlib import Path

from cloome.config_files import load_config
from cloome.simulate.site import write_site

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cloome simulate``."""
    parser.add_argument(
        "--config", nargs="+", required=True, metavar="FILE", help="configuration; later files override earlier ones"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder of the archive site; sources.csv lies in it"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the simulated archive site."""
    sources = write_site(load_config(arguments.config), arguments.out)
    log.info("simulated site complete; its table of sources is %s", sources)
