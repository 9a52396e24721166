"""The RO-Crate of a folder of results: read by the reference implementation, and complete."""

import hashlib
import json
import os

import pytest
from rocrate.rocrate import ROCrate

from cloome.cli import main
from cloome.config_files import load_config
from cloome.data import seals
from cloome.data.seals import FOLDER
from cloome.provenance.record import read_records, write_record

NODE = {"system": "Linux 6.1", "cores": 8, "processor": "EPYC", "gpus": ["NVIDIA A100"]}
MODEL = "runs/random-cloob-seed0/model.pt"


def write_crate(folder, *words: str) -> int:
    results = folder / "results/tiny"
    resources = folder / "resources"
    options = {
        "--records": [folder / "logs/commands"],
        "--checksums": [resources / "checksums"],
        "--inputs": [resources / "compounds.csv", resources / "plates"],
        "--results": [results / "index.parquet", results / MODEL],
        "--out": [results],
    }
    given = [str(word) for option, values in options.items() for word in (option, *values)]
    return main(["provenance", *given, *words])


@pytest.fixture
def crate(folder):
    assert write_crate(folder, "--base", f"{folder}/") == 0
    return ROCrate(folder / "results/tiny")


def graph(folder) -> dict[str, dict]:
    content = json.loads((folder / "results/tiny/ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in content["@graph"]}


def references(values) -> list[str]:
    if isinstance(values, dict):
        return [values["@id"]] if values.keys() == {"@id"} else [r for v in values.values() for r in references(v)]
    return [reference for value in values for reference in references(value)] if isinstance(values, list) else []


def test_the_reference_implementation_reads_it(crate):
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    assert {entity.id for entity in crate.data_entities} == {"index.parquet", MODEL, "config.yaml", "provenance.json"}
    (action,) = crate.mainEntity or crate.root_dataset["mentions"]
    assert action.type == "CreateAction"
    assert action["instrument"]["name"] == "cloome"
    assert "snakemake --cores 2" in action["description"]


def test_the_properties_that_the_specification_asks_for_are_there(crate, folder):
    entities = graph(folder)
    assert entities["ro-crate-metadata.json"]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert entities["./"].keys() >= {"name", "description", "datePublished", "license", "hasPart", "mentions"}
    for entity in entities.values():
        if entity["@type"] == "CreateAction":
            assert entity.keys() >= {"name", "description", "instrument", "agent", "startTime", "object", "result"}
        if entity["@type"] == "SoftwareApplication":
            assert entity.keys() >= {"name", "url", "softwareVersion"}


def test_everything_that_is_referred_to_is_described_once(crate, folder):
    content = json.loads((folder / "results/tiny/ro-crate-metadata.json").read_text())
    names = [entity["@id"] for entity in content["@graph"]]
    assert len(names) == len(set(names))
    outside = {"https://w3id.org/ro/crate/1.1"}
    assert {name for entity in content["@graph"] for name in references(list(entity.values()))} <= {*names, *outside}


def test_results_and_inputs_have_their_checksums(crate, folder):
    entities = graph(folder)
    for name, path in {
        MODEL: f"results/tiny/{MODEL}",
        "#input-resources/compounds.csv": "resources/compounds.csv",
        "#input-resources/plates/90001/qc.csv": "resources/plates/90001/qc.csv",
        "provenance.json": "results/tiny/provenance.json",
    }.items():
        assert entities[name]["sha256"] == hashlib.sha256((folder / path).read_bytes()).hexdigest()


def test_a_result_says_on_what_kind_of_machine_a_job_made_it(folder, monkeypatch):
    """Which on a cluster is another one than that of the command."""
    monkeypatch.setenv(FOLDER, str(folder / "seals"))
    monkeypatch.setattr(seals, "describe_machine", lambda: NODE)
    seals.seal(folder / "results/tiny" / MODEL)
    assert write_crate(folder) == 0
    assert graph(folder)[MODEL]["description"] == "Made on Linux 6.1, 8 cores, EPYC, NVIDIA A100"
    assert "description" not in graph(folder)["index.parquet"]


def test_what_was_fetched_has_the_checksum_that_it_had_then(crate, folder):
    fetched = graph(folder)["#download-90001-Mito.zip"]
    assert (fetched["sha256"], fetched["url"]) == ("ab" * 32, "https://host/a.zip")
    assert {"@id": "#download-90001-Mito.zip"} in graph(folder)["#command-1"]["object"]


def test_config_yaml_is_the_merged_configuration(crate, folder, config):
    assert load_config([str(folder / "results/tiny/config.yaml")]) == config


def test_provenance_json_holds_every_record(crate, folder):
    records = json.loads((folder / "results/tiny/provenance.json").read_text())
    assert records == read_records(folder / "logs/commands")


def test_each_result_belongs_to_the_command_that_made_it(folder, config, root):
    results = folder / "results/tiny"
    path = write_record(folder / "logs/commands", ["snakemake", "--forcerun", "train_run"], config, root)
    later = json.loads(path.read_text())
    path.write_text(json.dumps(later | {"started": "2100-01-01T00:00:00+00:00"}))
    os.utime(results / MODEL, (4.2e9, 4.2e9))
    assert write_crate(folder) == 0
    made = {number: graph(folder)[f"#command-{number}"]["result"] for number in (1, 2)}
    assert made == {1: [{"@id": "index.parquet"}], 2: [{"@id": MODEL}]}


def test_a_result_outside_of_the_folder_is_refused(folder, capsys):
    assert write_crate(folder, "--results", str(folder / "resources/compounds.csv")) == 1
    assert "compounds.csv: not a file of" in capsys.readouterr().err


def test_an_input_that_is_missing_is_named(folder, capsys):
    assert write_crate(folder, "--inputs", str(folder / "absent.csv")) == 1
    assert "absent.csv: no such input" in capsys.readouterr().err
