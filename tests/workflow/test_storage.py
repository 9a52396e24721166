"""Results and plates on S3: the same tables as from a folder.

Needs the extra `storage`; S3 is a server of moto on this machine.
"""

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("boto3", reason="the extra `storage` is not installed")
pytest.importorskip("snakemake_storage_plugin_s3", reason="the extra `storage` is not installed")

PREFIX = "demo"


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
