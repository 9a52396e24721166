"""Environments that hold what a file of `envs/` says and no more, made of what is installed beside these tests.

A machine without conda channels cannot solve `envs/*.yaml`. Here each package of a file becomes its distribution on
PyPI (`names.csv`), with all that this requires, hard-linked into an empty virtual environment: no network, about a
second each. That proves that a file is complete and that its versions work together. It does not prove that
conda-forge has these names and versions.
"""

import csv
import os
import shutil
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

HERE = Path(__file__).resolve().parent


class NotSolvable(Exception):
    """A file of `envs/` that cannot become an environment here; the text says why."""


@dataclass(frozen=True)
class Pin:
    """One line of an environment file.

    Attributes
    ----------
    package : str
        Its name in the file: of conda, or of PyPI below `pip:`.
    pypi : str
        Its name on PyPI; empty for what is no distribution there.
    version : str
    """

    package: str
    pypi: str
    version: str


def names() -> dict[str, str]:
    """Name of conda -> name on PyPI, from the reviewed table; empty for what PyPI does not have."""
    with open(HERE / "names.csv", newline="", encoding="utf-8") as table:
        return {row["conda"]: row["pypi"] for row in csv.DictReader(table)}


def pins(text: str) -> list[Pin]:
    """The pins of an environment file, in its order.

    Raises
    ------
    NotSolvable
        For a channel besides conda-forge, a name that the table lacks, or a package without an exact version.
    """
    content = yaml.safe_load(text)
    if content["channels"] != ["conda-forge", "nodefaults"]:
        raise NotSolvable(f"channels are {content['channels']}; write conda-forge and nodefaults")
    known, found = names(), []
    for entry in content["dependencies"]:
        from_pip = isinstance(entry, dict)
        for line in entry["pip"] if from_pip else [entry]:
            package, _, version = line.partition("==" if from_pip else "=")
            if package not in known:
                raise NotSolvable(f"{package} is not in {HERE.name}/names.csv; look it up and add it")
            if not version:
                raise NotSolvable(f"{package} has no version; write {package}{'==' if from_pip else '='}VERSION")
            found.append(Pin(package, package if from_pip else known[package], version))
    return found


def installed(name: str) -> Distribution:
    """A distribution that is installed beside these tests."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise NotSolvable(f"{name} is not installed here; install from constraints.txt first") from None


def with_requirements(wanted: list[str]) -> dict[str, Distribution]:
    """Distributions with all that they require on this machine, by canonical name."""
    found, todo, seen = {}, [Requirement(name) for name in wanted], set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, *sorted(requirement.extras)) in seen:
            continue
        seen.add((name, *sorted(requirement.extras)))
        found[name] = installed(name)
        for text in found[name].requires or []:
            further = Requirement(text)
            extras = requirement.extras or {""}
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(further)
    return found


def comes_with_others(package: str, text: str) -> bool:
    """Whether a package of an environment file is also required by another one of that file."""
    all_pins = pins(text)
    own = next(pin for pin in all_pins if pin.package == package)
    others = [pin.pypi for pin in all_pins if pin.pypi and pin.package != package]
    return canonicalize_name(own.pypi) in with_requirements(others)


def without(package: str, text: str) -> str:
    """An environment file with one package less."""
    content = yaml.safe_load(text)
    kept = []
    for entry in content["dependencies"]:
        if isinstance(entry, dict):
            entry = {"pip": [line for line in entry["pip"] if line.partition("==")[0] != package]}
        if isinstance(entry, dict) or entry.partition("=")[0] != package:
            kept.append(entry)
    return yaml.safe_dump(content | {"dependencies": kept})


def build(text: str, prefix: Path) -> None:
    """Make the environment of a file's text at a folder.

    Raises
    ------
    NotSolvable
        Where another version is installed here than the file pins.
    """
    wanted = []
    for pin in pins(text):
        if pin.package == "python":
            _check("python", pin.version, ".".join(map(str, sys.version_info[:2])))
        elif pin.pypi:
            # A CPU build's 2.13.0+cpu is the 2.13.0 of the file; a wheel's fourth part numbers its build.
            public = Version(installed(pin.pypi).version).public
            _check(pin.package, pin.version, public.rpartition(".")[0] if pin.package == "py-opencv" else public)
            wanted.append(pin.pypi)
    distributions = with_requirements(wanted)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    packages = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for one in distributions.values():
        _link(one, packages)


def _check(package: str, pinned: str, found: str) -> None:
    if pinned != found:
        raise NotSolvable(f"{package} is pinned to {pinned}, but {found} is installed here")


def _link(one: Distribution, packages: Path) -> None:
    """Link the files of a distribution, but for its commands and what lies outside of the packages' folder."""
    for file in one.files or []:
        if ".." in file.parts:
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        source = one.locate_file(file)
        if target.exists() or not Path(source).exists():
            continue
        try:
            os.link(source, target)
        except OSError:  # another disk
            shutil.copy(source, target)
