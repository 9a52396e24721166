"""Fail unless every table of one folder of results is, byte by byte, in the other too.

usage: equal_tables.py FOLDER FOLDER
"""

import sys
from pathlib import Path


def tables(folder: Path) -> dict[str, bytes]:
    """Evaluations, tables of the report and splits, by their names below the folder."""
    patterns = ("runs/*/evaluation/*.csv", "report/*.csv", "splits/*.csv")
    return {str(file.relative_to(folder)): file.read_bytes() for pattern in patterns for file in folder.glob(pattern)}


def main(first: str, second: str) -> int:
    one, other = tables(Path(first)), tables(Path(second))
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    for name in different:
        print(f"{name}: different in {first} and {second}")
    print(f"{len(one.keys() & other.keys()) - len(different)} tables are equal")
    return int(bool(different) or not one)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
