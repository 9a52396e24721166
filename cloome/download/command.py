"""``cloome download``: a file of the table of sources, all channels of a plate, or single members of an archive."""

import argparse
from pathlib import Path

from cloome.data.sources import find_source
from cloome.download.members import EMPTY_TABLES, fetch_members, parse_members
from cloome.download.records import Records
from cloome.download.slots import CONNECTIONS
from cloome.download.transfer import Terms, fetch
from cloome.errors import CloomeError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--sources", required=True, metavar="CSV", help="table of sources")
    parser.add_argument("--source", required=True, metavar="NAME", help="value of its column source")
    parser.add_argument("--plate", help="for sources with one file per plate")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--channels", nargs="+", metavar="NAME", help="for sources with one file per plate and channel")
    kind.add_argument(
        "--members",
        nargs="+",
        default=[],
        metavar="ENDING[=NAME]",
        help="take only these members of a tar.gz, named by the end of their paths, under their own or another name",
    )
    parser.add_argument(
        "--optional",
        nargs="+",
        default=[],
        choices=list(EMPTY_TABLES),
        metavar="ENDING",
        help=f"further members; where one is absent, an empty table is written: {', '.join(EMPTY_TABLES)}",
    )
    parser.add_argument(
        "--connections",
        type=int,
        default=CONNECTIONS,
        metavar="N",
        help=f"that all processes of this machine hold to one host at a time; default {CONNECTIONS}",
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="remember here the checksum of each item that the table gives none for, and refuse it when it has changed",
    )
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        help="file to write; with --members or --channels the folder, and PLATE-CHANNEL.zip the files",
    )


def run(arguments: argparse.Namespace) -> None:
    """Fetch what is asked for.

    Raises
    ------
    CloomeError
        If the arguments contradict each other, the table of sources has no such file, or it cannot be fetched.
    """
    if arguments.connections < 1:
        raise CloomeError(f"--connections {arguments.connections}: at least one is needed")
    terms = Terms(arguments.connections, Records(arguments.record))
    if arguments.channels:
        fetch(_channel_files(arguments), terms)
        return
    source = find_source(arguments.sources, arguments.source, arguments.plate)
    if arguments.members or arguments.optional:
        fetch_members(source, parse_members(arguments.members, arguments.optional), arguments.out, terms)
    else:
        fetch([(source, arguments.out)], terms)


def _channel_files(arguments: argparse.Namespace) -> list:
    """Each channel's source, and the file that it becomes."""
    if not arguments.plate or arguments.optional:
        raise CloomeError("--channels needs --plate, and goes without --optional")
    return [
        (
            find_source(arguments.sources, arguments.source, arguments.plate, channel),
            arguments.out / f"{arguments.plate}-{channel}.zip",
        )
        for channel in arguments.channels
    ]
