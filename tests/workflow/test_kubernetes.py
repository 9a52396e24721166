"""The profile for Kubernetes as it is shipped, on a stand-in whose pods are processes without a shared disk.

Needs the extras `kubernetes` and `storage`; S3 is a server of moto on this machine.
"""

import subprocess

import pytest
from pods import Cluster

pytestmark = pytest.mark.slow

pytest.importorskip("boto3", reason="the extra `storage` is not installed")
pytest.importorskip("snakemake_executor_plugin_kubernetes", reason="the extra `kubernetes` is not installed")

PREFIX = "demo"
GPU = "nvidia.com/gpu"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    yield cluster
    cluster.stop()


def test_the_experiment_in_pods_has_the_tables_of_a_local_run(clone, finished, tables, bucket, cluster):
    # Pods get the files that git knows.
    for words in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *words], cwd=clone.folder, check=True)
    options = ["--default-storage-prefix", f"s3://{bucket.name}/{PREFIX}", "--seconds-between-status-checks", "1"]
    clone.run("--profile", "profiles/kubernetes", *options)
    start = f"{PREFIX}/results/tiny/"
    stored = {item.key.removeprefix(start): item for item in bucket.objects.all()}
    found = {name: item.get()["Body"].read() for name, item in stored.items() if "/evaluation/" in name}
    assert found == tables(finished)
    assert {"report/report.html", "ro-crate-metadata.json"} <= stored.keys()
    assert not [path for path in (clone.folder / "results").rglob("*") if path.is_file()]

    asked = {cluster.rule(name): job_resources(job) for name, job in cluster.jobs.items()}
    here = {"simulate", "download_metadata", "download_plate", "download_table", "provenance"}
    assert {"images", "molecules", "train_run", "embed", "evaluate", "probe", "page"} <= asked.keys()
    assert not asked.keys() & here, "these have files of this machine"
    for rule, resources in asked.items():
        assert resources["limits"].get(GPU) == ("1" if rule in ("train_run", "embed") else None), rule
        assert resources["limits"]["memory"] == resources["requests"]["memory"], rule
    assert asked["train_run"]["requests"]["memory"] == "48000M"


def job_resources(job: dict) -> dict:
    """What the container of a job asks for."""
    return job["spec"]["template"]["spec"]["containers"][0]["resources"]
