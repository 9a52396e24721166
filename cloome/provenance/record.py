"""What one command was: its words, settings, seeds, software and machine.

Written when Snakemake starts jobs, one small file for each command, so that nothing in it makes a job run again.
Nothing in it names a person or a host, and words that follow an option for a key or password are left out.
"""

import datetime
import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from cloome import __version__
from cloome.config import Config
from cloome.data.files import replacing
from cloome.data.machine import describe_machine
from cloome.errors import FormatError

KIND, VERSION = "cloome command", 1
KEYS = ("started", "command", "software", "machine", "seeds", "config")
SECRET = re.compile(r"^--[\w-]*(key|secret|token|password|credential|username)", re.IGNORECASE)
IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
LEFT_OUT = "(left out)"


def write_record(
    folder: str | Path, words: list[str], config: Config, root: Path, environments: Path | None = None
) -> Path:
    """Write down a command that starts now.

    Parameters
    ----------
    folder : path
        Where the records of an experiment lie.
    words : list of str
        The command line.
    config : Config
        The merged configuration.
    root : Path
        The checkout.
    environments : Path, optional
        Folder of the environments, where each stage runs in one of its own.

    Returns
    -------
    Path
        The record.
    """
    started = datetime.datetime.now(datetime.UTC)
    record = {
        "kind": KIND,
        "version": VERSION,
        "started": started.isoformat(timespec="seconds"),
        "command": describe_command(words),
        "software": describe_software(root, environments),
        "machine": describe_machine(),
        "seeds": dict(find_seeds(config.model_dump(mode="json"))),
        "config": config.model_dump(mode="json"),
    }
    path = Path(folder) / f"{started:%Y%m%dT%H%M%S%f}-{os.getpid()}.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_records(folder: str | Path) -> list[dict[str, Any]]:
    """All records of a folder, the oldest first; raises FormatError if there is none, or one is damaged."""
    paths = sorted(Path(folder).glob("*.json"))
    if not paths:
        raise FormatError(
            f"{folder}: no record of a command; Snakemake writes one when it starts: "
            "run it again with --forcerun provenance"
        )
    return sorted((_read(path) for path in paths), key=lambda record: record["started"])


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if (record["kind"], record["version"]) != (KIND, VERSION) or not all(key in record for key in KEYS):
            raise ValueError("of another kind or version")
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: not a record of a command; delete it and run it again") from error
    return record


def describe_command(words: list[str]) -> str:
    """A command line as one would type it, with the program's name alone and without keys and passwords."""
    shown, secret = [], False
    for word in [Path(words[0]).name, *words[1:]]:
        if secret and not word.startswith("--"):
            shown.append(LEFT_OUT)
            continue
        secret = SECRET.match(word) is not None
        if secret and "=" in word:
            word, secret = f"{word.partition('=')[0]}={LEFT_OUT}", False
        shown.append(IN_URL.sub(LEFT_OUT, word))
    return " ".join(word if LEFT_OUT in word else shlex.quote(word) for word in shown)


def describe_software(root: Path, environments: Path | None = None) -> dict[str, Any]:
    """Versions of the package, of Python and all that is installed, and of each stage's environment if it has one."""
    files = sorted(environments.glob("*.yaml")) if environments else []
    return {
        "cloome": __version__,
        **describe_commit(root),
        "python": platform.python_version(),
        "packages": dict(sorted((found.name, found.version) for found in metadata.distributions() if found.name)),
        "environments": {file.stem: yaml.safe_load(file.read_text())["dependencies"] for file in files},
    }


def describe_commit(root: Path) -> dict[str, Any]:
    """The commit of a checkout, and whether its code differs from it; None where there is no git or no checkout."""
    # The prefix is empty at the top of a checkout only: the commit of a folder around it says nothing.
    prefix, _, commit = (_git(root, "rev-parse", "--show-prefix", "HEAD") or "no checkout").partition("\n")
    if prefix or not commit:
        return {"commit": None, "changed": None}
    code = ["cloome", "workflow", "Snakefile", "envs"]
    return {"commit": commit, "changed": bool(_git(root, "status", "--porcelain", "--", *code))}


def _git(root: Path, *words: str) -> str | None:
    # A checkout that belongs to somebody else is read all the same.
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.rstrip() if done.returncode == 0 else None


def find_seeds(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting named seed or seeds, by its dotted key."""
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        dotted = f"{key}.{name}" if key else name
        if name in ("seed", "seeds"):
            yield dotted, value
        else:
            yield from find_seeds(value, dotted)
