"""The command ``cloome``: one sub-command per stage, and a few for people. Only this module knows all stages."""

import argparse
import errno
import importlib
import logging
import os
import sys

from cloome import __version__
from cloome.errors import CloomeError

# Sub-command -> (module with add_arguments and run, what it does). Modules load on use: not every environment
# holds what every stage needs.
COMMANDS = {
    "simulate": ("cloome.simulate.command", "write a simulated archive site (the demo's screen)"),
    "download": ("cloome.download.command", "fetch one file of the table of sources"),
    "listing": ("cloome.images.listing_command", "list where each npz file lies, for a screen of kind npz"),
    "images": ("cloome.images.command", "turn one plate's images into its 8-bit store"),
    "molecules": ("cloome.molecules.command", "write the molecules and the index of all fields"),
    "split": ("cloome.molecules.split_command", "write one split into train, validation and test"),
    "labelled": ("cloome.molecules.labelled_command", "list the compounds that have an activity label"),
    "train": ("cloome.train.command", "train one model"),
    "gpu": ("cloome.train.gpu_command", "say in seconds whether a GPU can be used here"),
    "embed": ("cloome.embed.command", "export image and molecule embeddings"),
    "gapnet": ("cloome.embed.gapnet_command", "export the features of GapNet, a baseline of the paper"),
    "evaluate": ("cloome.evaluate.command", "run every benchmark on one run's embeddings"),
    "table": ("cloome.report.table_command", "collect one of the paper's tables over all runs"),
    "scorecard": ("cloome.report.scorecard_command", "compare the tables with the values of the paper"),
    "methods": ("cloome.report.methods_command", "compare the methods over the activity tasks"),
    "report": ("cloome.report.command", "write the report page"),
    "provenance": ("cloome.provenance.command", "state the commands, settings and inputs behind a folder of results"),
    "query": ("cloome.query.command", "find images for a structure, or structures for an image"),
    "encode": ("cloome.query.encode_command", "embed structures or plates with a trained model"),
    "plan": ("cloome.plan.command", "say what a run will fetch, store, do and take, before it starts"),
    "config": ("cloome.config_command", "check a configuration, or write the schema and reference page"),
}

# What RDKit's drawing takes from the system, and a server without a screen may lack.
SYSTEM_LIBRARIES = "RDKit draws with libXrender and libXext (Debian, Ubuntu: apt-get install libxrender1 libxext6)"


def start() -> None:
    """Run as a process of its own, and end it."""
    status = main()
    sys.stdout.flush()
    if status:
        # Python's own way out would release files that could not be written to their end, and HDF5 crashes on these.
        os._exit(status)


def main(words: list[str] | None = None) -> int:
    """Run a sub-command; return 0, or 1 after a line that says what is wrong and what to do."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr, force=True
    )
    words = sys.argv[1:] if words is None else words
    try:
        parser, chosen = _parser(words)
    except ImportError as error:
        if "libX" not in str(error):
            raise
        print(f"cloome {words[0]}: {error}; {SYSTEM_LIBRARIES}", file=sys.stderr)
        return 1
    arguments = parser.parse_args(words)
    try:
        chosen.run(arguments)
    except CloomeError as error:
        print(f"cloome {words[0]}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # A full disk, a missing right, a file that vanished: nothing that a traceback would explain.
        hint = "; free some space, then run the same command again" if error.errno == errno.ENOSPC else ""
        print(f"cloome {words[0]}: {' '.join(str(error).split())}{hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser(words: list[str]):
    """The parser, with the arguments of the one sub-command that is asked for."""
    parser = argparse.ArgumentParser(prog="cloome", description="Cell Painting images and structures in one space.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    chosen = None
    for name, (module, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what.capitalize() + ".")
        if words[:1] == [name]:
            chosen = importlib.import_module(module)
            chosen.add_arguments(command)
    return parser, chosen
