"""Stand-in for conda: answers the five calls of `snakemake --sdm conda`, and refuses any other.

Environments are made by tests/envs/environments.py, whose text says what that proves.
"""

import argparse
import json
import sys
from pathlib import Path

from environments import NotSolvable, build

# Where Snakemake looks for bin/activate.
ROOT = Path(__file__).resolve().parent / "conda"


def create(words: list[str]) -> None:
    """`conda env create`, as Snakemake words it."""
    parser = argparse.ArgumentParser(prog="conda env create")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--no-default-packages", action="store_true")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--prefix", type=Path, required=True)
    arguments = parser.parse_args(words)
    try:
        build(arguments.file.read_text(), arguments.prefix)
    except NotSolvable as error:
        sys.exit(f"conda stand-in: {error}")
    # By this folder Snakemake knows an environment.
    (arguments.prefix / "conda-meta").mkdir()
    (arguments.prefix / "conda-meta/history").touch()


if __name__ == "__main__":
    words = sys.argv[1:]
    if words == ["--version"]:
        print("conda 24.7.1")
    elif words == ["info", "--json"]:
        print(json.dumps({"conda_prefix": str(ROOT), "root_prefix": str(ROOT), "platform": "linux-64"}))
    elif words[:2] == ["config", "--get"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif words[:2] == ["env", "create"]:
        create(words[2:])
    elif words[:1] != ["clean"]:
        sys.exit(f"conda stand-in: unknown call {' '.join(words)}")
