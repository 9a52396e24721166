"""``cloome provenance``: say of a folder of results which commands made it, with which settings, of which inputs."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import yaml

from cloome.data.files import replacing
from cloome.errors import FormatError
from cloome.provenance.crate import CONFIG, DESCRIPTOR, RECORDS, File, build_crate
from cloome.provenance.record import read_records

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--records", required=True, metavar="DIR", help="records of the commands, in logs/NAME/")
    parser.add_argument("--inputs", nargs="+", default=[], metavar="PATH", help="files and folders that were read")
    parser.add_argument("--checksums", metavar="DIR", help="records of what was fetched; may be absent")
    parser.add_argument("--results", nargs="+", default=[], metavar="PATH", help="files that were made")
    parser.add_argument(
        "--base", default="", metavar="DIR", help="start of the paths of a storage's local copies; not part of names"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help=f"folder for {DESCRIPTOR}, {RECORDS} and {CONFIG}: that of results"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the three files.

    Raises
    ------
    FormatError
        If there is no record of a command, a record is damaged, or a result lies outside the folder.
    """
    records = read_records(arguments.records)
    folder = Path(arguments.out)
    written = [folder / CONFIG, folder / RECORDS]
    _write(written[0], yaml.safe_dump(records[-1]["config"], sort_keys=False, allow_unicode=True))
    _write(written[1], _json(records))
    inputs = [_named(path, arguments.base) for given in arguments.inputs for path in _files(Path(given))]
    downloads = (
        [_read(path) for path in sorted(Path(arguments.checksums).glob("**/*.json"))] if arguments.checksums else []
    )
    results = [_inside(Path(path), folder) for path in arguments.results]
    crate = build_crate(
        records, inputs, downloads, results, [_inside(path, folder) for path in written], by_time=not arguments.base
    )
    _write(folder / DESCRIPTOR, _json(crate))
    log.info("%s: %d commands, %d inputs, %d results", folder, len(records), len(inputs) + len(downloads), len(results))


def _files(path: Path) -> list[Path]:
    """A file, or all of a folder."""
    if not path.exists():
        raise FormatError(f"{path}: no such input")
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _named(path: Path, base: str) -> File:
    return File(str(path).removeprefix(base), path)


def _inside(path: Path, folder: Path) -> File:
    try:
        return File(path.relative_to(folder).as_posix(), path)
    except ValueError:
        raise FormatError(f"{path}: not a file of {folder}, whose results are described") from None


def _read(path: Path) -> dict[str, Any]:
    """The record of a download, see `cloome.download.records`."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {key: record[key] for key in ("item", "url", "bytes", "sha256", "date")}
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: not a record of a download; delete it and run it again") from error


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
