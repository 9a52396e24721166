"""A finished run states where its results come from, and stating it makes nothing run again."""

import hashlib
import json

import pytest
from rocrate.rocrate import ROCrate

from cloome.config_files import load_config

pytestmark = pytest.mark.slow


def test_the_results_state_their_command_settings_inputs_and_checksums(finished, root):
    folder = finished.folder / "results/tiny"
    crate = ROCrate(folder)
    (action,) = crate.root_dataset["mentions"]
    assert "--cores 2 --configfile tests/workflow/tiny.yaml" in action["description"]
    inputs = {entity["name"].rpartition("/")[2] for entity in action["object"]}
    assert {"sources.csv", "compounds.csv", "mean_well_profiles.csv", "qc.csv", "label-matrix.mtx"} <= inputs
    made = {entity.id for entity in action["result"]}
    assert {"report/report.html", "runs/random-cloob-seed0/model.pt", "splits/random.csv"} <= made
    for entity in crate.data_entities:
        assert entity["sha256"] == hashlib.sha256((folder / entity.id).read_bytes()).hexdigest()
    assert load_config([str(folder / "config.yaml")]) == load_config([str(root / "tests/workflow/tiny.yaml")])


def test_another_command_line_and_another_time_redo_nothing(copied):
    before = (copied.folder / "results/tiny/provenance.json").read_bytes()
    assert "Nothing to be done" in copied.run("--cores", "1")
    assert (copied.folder / "results/tiny/provenance.json").read_bytes() == before


def test_a_command_that_makes_something_again_is_added(copied):
    copied.run("--forcerun", "provenance")
    records = json.loads((copied.folder / "results/tiny/provenance.json").read_text())
    assert len(records) == 2
    assert "--forcerun provenance" in records[1]["command"]
