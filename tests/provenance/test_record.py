"""What is written down of a command: its words, settings, seeds, software and machine, and no person, host or key."""

import json
import platform
import socket
import subprocess

import pytest

from cloome import __version__
from cloome.config_files import check_config
from cloome.errors import FormatError
from cloome.provenance.record import describe_command, describe_commit, read_records, write_record


@pytest.fixture
def record(folder):
    return read_records(folder / "logs/commands")[0]


def test_the_command_is_as_one_would_type_it(record):
    assert record["command"] == "snakemake --cores 2 --configfile tests/workflow/tiny.yaml"


def test_a_word_with_a_space_is_quoted():
    assert describe_command(["snakemake", "--config", "name=a b"]) == "snakemake --config 'name=a b'"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--storage-s3-secret-key", "s3cr3t", "--cores", "2"], "--storage-s3-secret-key (left out) --cores 2"),
        (["--storage-s3-access-key", "tag1:s3cr3t", "tag2:s3cr3t"], "--storage-s3-access-key (left out) (left out)"),
        (["--storage-s3-token=s3cr3t"], "--storage-s3-token=(left out)"),
        (["--storage-s3-endpoint-url", "https://me:s3cr3t@host:9000"], "https://(left out)@host:9000"),
        (["--storage-s3-endpoint-url", "https://s3cr3t@host:9000"], "https://(left out)@host:9000"),
    ],
)
def test_keys_and_passwords_are_left_out(words, shown):
    command = describe_command(["snakemake", *words])
    assert shown in command
    assert "s3cr3t" not in command


def test_the_configuration_is_merged_whole_and_can_be_used_again(record, config):
    assert check_config(record["config"]) == config
    assert record["config"]["train"]["epsilon"] == config.train.epsilon, "also what stands in no file"


def test_every_seed_is_named(record, config):
    assert record["seeds"] == {
        "simulate.seed": 1,
        "runs.splits.random.seed": 42,
        "runs.seeds": [0],
        "evaluate.seed": 0,
    }


def test_software_and_machine_are_named(record):
    software, machine = record["software"], record["machine"]
    assert software["cloome"] == __version__
    assert software["python"] == platform.python_version()
    assert {"numpy", "torch", "snakemake"} <= software["packages"].keys()
    assert machine["architecture"] == platform.machine()
    assert machine["cores"] >= 1
    assert machine["memory_bytes"] > 1e8


def test_no_host_is_named(record):
    assert socket.gethostname() not in json.dumps(record["machine"])


def test_with_one_environment_per_stage_their_pins_are_named(root, config, tmp_path):
    write_record(tmp_path, ["snakemake", "--sdm", "conda"], config, root, root / "envs")
    environments = read_records(tmp_path)[0]["software"]["environments"]
    assert any(pin.startswith("pytorch=") for pin in environments["train"])
    assert environments.keys() == {file.stem for file in (root / "envs").glob("*.yaml")}


def test_the_commit_of_a_checkout_is_named_and_whether_its_code_was_changed(tmp_path):
    def git(*words):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@e", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "cloome").mkdir()
    (tmp_path / "cloome/a.py").write_text("1\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert describe_commit(tmp_path) == {"commit": commit, "changed": False}
    (tmp_path / "results.csv").write_text("no code\n")
    assert describe_commit(tmp_path) == {"commit": commit, "changed": False}
    (tmp_path / "cloome/a.py").write_text("2\n")
    assert describe_commit(tmp_path) == {"commit": commit, "changed": True}
    assert describe_commit(tmp_path / "cloome")["commit"] is None, "a folder inside of a checkout is no checkout"


def test_without_a_checkout_there_is_no_commit(tmp_path):
    assert describe_commit(tmp_path / "absent") == {"commit": None, "changed": None}


def test_records_are_read_the_oldest_first(root, config, tmp_path):
    for number, started in enumerate(["2026-03-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"]):
        path = write_record(tmp_path / "made", ["snakemake"], config, root)
        record = json.loads(path.read_text())
        (tmp_path / f"{number}.json").write_text(json.dumps(record | {"started": started}))
    assert [record["started"][:7] for record in read_records(tmp_path)] == ["2026-02", "2026-03"]


def test_no_record_and_a_damaged_one_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"no record of a command.*--forcerun provenance"):
        read_records(tmp_path)
    (tmp_path / "a.json").write_text('{"kind": "cloome command", "version"')
    with pytest.raises(FormatError, match=r"a\.json: not a record of a command; delete it"):
        read_records(tmp_path)
