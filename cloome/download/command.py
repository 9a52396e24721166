"""``cloome download``: one file of the table of sources, or single members of one."""

import argparse
from pathlib import Path

from cloome.data.sources import Source, find_source
from cloome.download.members import check_endings, extract_members
from cloome.download.transfer import fetch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--sources", required=True, metavar="CSV", help="table of sources")
    parser.add_argument("--source", required=True, metavar="NAME", help="value of its column source")
    parser.add_argument("--plate", help="for sources with one file per plate")
    parser.add_argument("--channel", help="for sources with one file per channel")
    parser.add_argument(
        "--members",
        nargs="+",
        metavar="ENDING",
        help="take only these members of a tar.gz, named by the end of their paths",
    )
    parser.add_argument("--out", required=True, type=Path, help="file to write; with --members, the folder")


def run(arguments: argparse.Namespace) -> None:
    """Fetch the file."""
    source = find_source(arguments.sources, arguments.source, arguments.plate, arguments.channel)
    if arguments.members:
        fetch_members(source, arguments.members, arguments.out)
    else:
        fetch(source, arguments.out)


def fetch_members(source: Source, endings: list[str], folder: Path) -> None:
    """Fetch a tar.gz and keep only some of its members, as `extract_members` does."""
    check_endings(endings)
    # The archive goes to disk first, so that a cut transfer of several GB can go on where it stopped.
    archive = folder / f"{source.name}.tar.gz"
    fetch(source, archive)
    try:
        extract_members(archive, endings, folder)
    finally:
        archive.unlink(missing_ok=True)
