"""A profile has plates copied to a disk near the job: the same results, and nothing left there."""

import os

import pytest

pytestmark = pytest.mark.slow


def test_plates_are_read_from_a_disk_near_the_job_when_the_profile_asks(clone, finished, tables, tmp_path):
    file = clone.folder / "profiles/local-disk/profile.yaml"
    assert "local_disk: /tmp\n" in file.read_text()
    file.write_text(file.read_text().replace("/tmp", f"{tmp_path}/disk-$UID"))
    clone.run("--profile", "profiles/local-disk")
    disk = tmp_path / f"disk-{os.getuid()}" / f"cloome-plates-{os.getuid()}"
    for stage in ("train", "embed"):
        log = clone.folder / f"logs/tiny/{stage}/random-cloob-seed0.log"
        assert f"2 of 2 plates copied to {disk}" in log.read_text()
    assert not list(disk.glob("*.h5"))
    assert tables(clone) == tables(finished)
    assert "Nothing to be done" in clone.run(), "with and without the profile the files are the same ones"
