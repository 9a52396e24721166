"""Commands, inputs and results as an RO-Crate 1.1, which follows the profile *Process Run Crate* 0.5.

Specifications: https://w3id.org/ro/crate/1.1 and https://w3id.org/ro/wfrun/process/0.5. The crate is the folder of an
experiment's results. What lies outside it is described, but is no part of it.
"""

import hashlib
import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloome.data.machine import in_words
from cloome.data.seals import machine_of

CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
SPECIFICATION, PROFILE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun/process/0.5"
DESCRIPTOR, RECORDS, CONFIG = "ro-crate-metadata.json", "provenance.json", "config.yaml"
PAPER = "https://doi.org/10.1038/s41467-023-42328-w"
LICENCE = (
    "The results have the licence that their owner gives them; the licences of public inputs stand in the table of "
    "sources."
)
TYPES = {".parquet": "application/vnd.apache.parquet", ".h5": "application/x-hdf5", ".pt": "application/zip"}
TYPES |= {".mtx": "text/plain", ".yaml": "application/yaml"}


@dataclass(frozen=True)
class File:
    """A file that is there."""

    name: str  # how the crate calls it, relative to the crate or to the folder of the run
    path: Path


def build_crate(
    records: list[dict[str, Any]],
    inputs: list[File],
    downloads: list[dict[str, Any]],
    results: list[File],
    written: list[File],
    by_time: bool = True,
) -> dict[str, Any]:
    """The content of ``ro-crate-metadata.json``.

    Parameters
    ----------
    records : list of dict
        What `cloome.provenance.record` wrote, the oldest first.
    inputs : list of File
        Files that the experiment started from.
    downloads : list of dict
        Items as they were when they were fetched: item, url, bytes, sha256, date.
    results : list of File
        Files of the experiment, named relative to the crate.
    written : list of File
        The merged configuration and the records, which are written with the crate.
    by_time : bool
        Whether the time of a result tells which command made it; otherwise all are given to the last one.
    """
    last = records[-1]
    name = last["config"]["name"]
    used = [_outside(file) for file in inputs] + [_download(record) for record in downloads]
    parts = [_made(file) for file in results] + [_file(file) for file in written]
    makers = _makers(results, records, by_time)
    software = [_software(record) for record in records]
    actions = [_action(record, number, used, makers.get(number, [])) for number, record in enumerate(records)]
    graph = [
        {
            "@id": DESCRIPTOR,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": SPECIFICATION},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Results of the CLOOME experiment {name}",
            "description": "Embeddings of Cell Painting images and chemical structures in one space: models, "
            "evaluation tables and report, with the commands and inputs that they come from.",
            "datePublished": _now(),
            "license": {"@id": "#licence"},
            "conformsTo": {"@id": PROFILE},
            "hasPart": _references(parts),
            "mentions": _references(actions),
        },
        {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {"@id": "#licence", "@type": "CreativeWork", "name": "Licence of the results", "description": LICENCE},
        {
            "@id": "#workflow",
            "@type": "Organization",
            "name": "The CLOOME workflow",
            "description": "Ran the commands.",
        },
        *parts,
        *used,
        *_unique(software),
        *_unique(package for record in records for package in _packages(record)),
        *actions,
    ]
    return {"@context": CONTEXT, "@graph": graph}


def _makers(results: list[File], records: list[dict[str, Any]], by_time: bool) -> dict[int, list[File]]:
    """Number of a command -> the results that it made: those written since it started and before the next one did."""
    starts = [datetime.fromisoformat(record["started"]).timestamp() for record in records]
    makers: dict[int, list[File]] = {}
    for file in results:
        before = [number for number, start in enumerate(starts) if start <= file.path.stat().st_mtime]
        # Older than the oldest record that is left: of a command that is not known any more.
        number = len(records) - 1 if not by_time else before[-1] if before else -1
        makers.setdefault(number, []).append(file)
    return makers


def _action(record: dict[str, Any], number: int, used: list[dict], made: list[File]) -> dict[str, Any]:
    return {
        "@id": f"#command-{number + 1}",
        "@type": "CreateAction",
        "name": f"Command {number + 1}",
        "description": f"{record['command']} (on {in_words(record['machine'])})",
        "startTime": record["started"],
        "agent": {"@id": "#workflow"},
        "instrument": {"@id": _software_id(record)},
        "object": [*_references(used), {"@id": CONFIG}],
        "result": [{"@id": file.name} for file in made],
    }


def _software_id(record: dict[str, Any]) -> str:
    software = record["software"]
    return f"#cloome-{software['commit'] or software['cloome']}{'-changed' if software['changed'] else ''}"


def _software(record: dict[str, Any]) -> dict[str, Any]:
    software = record["software"]
    parts = [software["cloome"], software["commit"] and f"commit {software['commit']}"]
    parts.append("with changes that are not committed" if software["changed"] else None)
    return {
        "@id": _software_id(record),
        "@type": "SoftwareApplication",
        "name": "cloome",
        "softwareVersion": ", ".join(part for part in parts if part),
        "url": PAPER,
        "softwareRequirements": _references(_packages(record)),
    }


def _packages(record: dict[str, Any]) -> list[dict[str, Any]]:
    software = record["software"]
    packages = {"Python": software["python"], **software["packages"]}
    return [
        {
            "@id": f"#package-{name}-{version}",
            "@type": "SoftwareApplication",
            "name": name,
            "softwareVersion": version,
            "url": f"pkg:generic/python@{version}" if name == "Python" else f"pkg:pypi/{name}@{version}",
        }
        for name, version in packages.items()
    ]


def _file(file: File) -> dict[str, Any]:
    kind = TYPES.get(file.path.suffix) or mimetypes.guess_type(file.path.name)[0] or "application/octet-stream"
    size = str(file.path.stat().st_size)
    return {
        "@id": file.name,
        "@type": "File",
        "name": file.name,
        "encodingFormat": kind,
        "contentSize": size,
        "sha256": digest(file.path),
    }


def _made(file: File) -> dict[str, Any]:
    """A result, with the kind of machine that it was made on, which may be another than that of the command."""
    machine = machine_of(file.path)
    return {**_file(file), **({"description": f"Made on {in_words(machine)}"} if machine else {})}


def _outside(file: File) -> dict[str, Any]:
    """An input, which lies outside the crate and so is no data entity of it."""
    return {**_file(file), "@id": f"#input-{file.name}", "@type": "DigitalDocument"}


def _download(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "@id": f"#download-{record['item']}",
        "@type": "DigitalDocument",
        "name": record["item"],
        "url": record["url"],
        "contentSize": str(record["bytes"]),
        "sha256": record["sha256"],
        "sdDatePublished": record["date"],
    }


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _references(entities: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"@id": entity["@id"]} for entity in entities]


def _unique(entities: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({entity["@id"]: entity for entity in entities}.values())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
