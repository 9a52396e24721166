"""One environment per stage, nothing else importable: every rule runs, and every package of a file is needed."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from environments import build, comes_with_others, pins, without

STAGES = ("simulate", "download", "images", "molecules", "train", "embed", "evaluate", "report")
# What a file names and the jobs of the smallest experiment do without: settings are read for other sources of images,
# label tables are joined for `images.wells: labelled`, and PyTorch serves evaluation on a GPU alone.
IDLE = {"download": {"pydantic", "pyyaml"}, "molecules": {"scipy"}, "evaluate": {"pytorch"}}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="envs/ asks for Python 3.11"),
]


def jobs(clone, stage: str) -> list[dict]:
    """What Snakemake recorded of one job of each rule that ran in a stage's environment."""
    text = (clone.folder / f"envs/{stage}.yaml").read_text()
    records = [json.loads(file.read_text()) for file in (clone.folder / ".snakemake/metadata").iterdir()]
    own = [record for record in records if base64.b64decode(record["conda_env"] or "").decode() == text]
    return list({record["rule"]: record for record in own}.values())


def run_in(prefix: Path, command: str, clone) -> subprocess.CompletedProcess:
    """Run a command as a job of the clone does, with the programs of an environment."""
    path = f"{prefix}/bin:/usr/bin:/bin"
    environment = {"PATH": path, "PYTHONPATH": str(clone.folder), "OMP_NUM_THREADS": "1", "HOME": os.environ["HOME"]}
    words = ["bash", "-c", f"set -euo pipefail; {command}"]
    return subprocess.run(words, cwd=clone.folder, env=environment, capture_output=True, text=True, timeout=300)


def test_every_rule_runs_in_its_own_environment_and_the_tables_are_the_same(isolated, finished, tables):
    ran = {record["rule"] for stage in STAGES for record in jobs(isolated, stage)}
    plan = isolated.run("-n", "--forceall", "--quiet", "rules")
    planned = {line.split()[0] for line in plan.splitlines() if len(line.split()) == 2 and line.split()[1].isdigit()}
    assert ran == planned - {"all", "total"}
    assert len(ran) >= 12
    assert tables(isolated) == tables(finished)


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("download", "numba"),
        ("download", "torch"),
        ("images", "rdkit"),
        ("images", "torch"),
        ("train", "rdkit"),
        ("train", "snakemake"),
        ("embed", "sklearn"),
        ("report", "torch"),
        ("evaluate", "pytest"),
    ],
)
def test_an_environment_cannot_import_what_only_others_hold(isolated, tmp_path, stage, module):
    build((isolated.folder / f"envs/{stage}.yaml").read_text(), tmp_path / "environment")
    done = run_in(tmp_path / "environment", f"python -c 'import {module}'", isolated)
    assert f"No module named '{module}'" in done.stderr


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_fails_without_any_one_of_the_packages_that_its_file_names(isolated, tmp_path, stage):
    text = (isolated.folder / f"envs/{stage}.yaml").read_text()
    own = [pin.package for pin in pins(text) if pin.pypi]
    # What comes with another package anyway stands in the file for its version.
    needed = [package for package in own if not comes_with_others(package, text)]
    assert needed
    records = jobs(isolated, stage)
    assert records
    idle = set()
    for package in needed:
        prefix = tmp_path / package
        build(without(package, text), prefix)
        if not any(misses_a_module(prefix, record, isolated) for record in records):
            idle.add(package)
    assert idle == IDLE.get(stage, set())


def misses_a_module(prefix: Path, record: dict, clone) -> bool:
    """Whether a recorded job fails in an environment, for the lack of a package."""
    done = run_in(prefix, record["shellcmd"], clone)
    logs = "".join((clone.folder / name).read_text() for name in record["log"])
    return done.returncode != 0 and any(word in logs for word in ("No module named", "ImportError"))


# The last one: it leaves the clone without the simulated site, and without the record of the job that wrote it.
def test_a_run_stops_with_the_name_of_the_package_that_its_file_lacks(isolated, tmp_path):
    file = isolated.folder / "envs/simulate.yaml"
    complete = file.read_text()
    file.write_text(without("tifffile", complete))
    try:
        process = isolated.start("--sdm", "conda", "--forcerun", "simulate", "--until", "simulate")
        output, _ = process.communicate(timeout=300)
    finally:
        file.write_text(complete)
    assert process.returncode == 1
    assert "No module named 'tifffile'" in output
