"""A profile has plates copied to a disk near the job: the same results, and nothing left there."""

import os
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow


def test_plates_are_read_from_a_disk_near_the_job_when_the_profile_asks(clone, finished, tables, tmp_path):
    file = clone.folder / "profiles/local-disk/profile.yaml"
    profile = yaml.safe_load(file.read_text())
    assert {Path(os.path.expandvars(rule["local_disk"])).parent for rule in profile["set-resources"].values()} == {
        Path("/tmp")
    }
    file.write_text(file.read_text().replace("/tmp/cloome-$UID", f"{tmp_path}/disk-$UID"))
    clone.run("--profile", "profiles/local-disk")
    disk = tmp_path / f"disk-{os.getuid()}"
    for log in ("train", "embed"):
        assert (
            f"2 of 2 plates copied to {disk}" in (clone.folder / f"logs/tiny/{log}/random-cloob-seed0.log").read_text()
        )
    assert not list(disk.glob("*.h5"))
    assert tables(clone) == tables(finished)
    assert "Nothing to be done" in clone.run(), "with and without the profile the files are the same ones"
