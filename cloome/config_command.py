"""``cloome config``: check configuration files, or write what is generated from the models."""

import argparse
import logging

from cloome.config_files import load_config, write_generated

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", nargs="+", metavar="FILE", help="configuration files, later ones override")
    what.add_argument("--write", action="store_true", help="write config/schema.json and docs/configuration.md")


def run(arguments: argparse.Namespace) -> None:
    """Check or write."""
    if arguments.write:
        write_generated()
        log.info("wrote the schema and the reference page")
    else:
        log.info("the configuration %s can be used", load_config(arguments.check).name)
