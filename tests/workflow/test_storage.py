"""Results and plates on S3, and plates on a disk near the job: the same tables as from a shared folder.

Needs the extra `storage`; S3 is a server of moto on this machine.
"""

import os
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("boto3", reason="the extra `storage` is not installed")
pytest.importorskip("snakemake_storage_plugin_s3", reason="the extra `storage` is not installed")

PREFIX = "demo"
NEAR_THE_JOB = ("--profile", "profiles/local-disk")


def on_s3(bucket) -> tuple[str, ...]:
    """The options that put all files into a bucket."""
    return ("--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{bucket.name}/{PREFIX}")


def stored(bucket) -> dict[str, bytes]:
    """All objects of a bucket, by their path below the prefix."""
    return {item.key.removeprefix(f"{PREFIX}/"): item.get()["Body"].read() for item in bucket.objects.all()}


def test_results_on_s3_are_those_of_a_local_run(clone, finished, tables, bucket):
    clone.run(*on_s3(bucket))
    objects = stored(bucket)
    folder = "results/tiny/"
    found = {key.removeprefix(folder): content for key, content in objects.items() if "/evaluation/" in key}
    assert found == tables(finished)
    assert {f"{folder}report/report.html", f"{folder}ro-crate-metadata.json"} <= objects.keys()
    assert sum(key.startswith("results/plates/") and key.endswith(".h5") for key in objects) == 2
    assert not any("/archives/" in key for key in objects), "archives are deleted there too"
    here = [path for path in (clone.folder / "results").rglob("*") if path.is_file()]
    assert not here, "nothing of the results stays here"
    assert not any(key.startswith(("cloome/", "config/")) or "/site/" in key for key in objects), "the code stays here"
    assert "Nothing to be done" in clone.run(*on_s3(bucket))


@pytest.mark.skipif(shutil.which("rsync") is None, reason="the program rsync is not installed")
def test_plates_are_read_from_a_disk_near_the_job_when_the_profile_asks(clone, finished, tables, monkeypatch):
    user = f"test-{os.getpid()}"
    disk = Path(f"/tmp/cloome-{user}")
    monkeypatch.setenv("USER", user)
    try:
        output = clone.run(*NEAR_THE_JOB, "--printshellcmds")
        assert f"--plates {disk}/fs/results/plates/" in output
        assert tables(clone) == tables(finished)
        assert not list(disk.rglob("*.h5")), "copies are removed when no job needs them any more"
        assert "Nothing to be done" in clone.run(*NEAR_THE_JOB)
        assert "Nothing to be done" in clone.run(), "with and without the profile the files are the same ones"
    finally:
        shutil.rmtree(disk, ignore_errors=True)
