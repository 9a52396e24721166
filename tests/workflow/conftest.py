"""Clones of the checkout in which the smallest experiment runs."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from cloome.data.locks import alone

CLONED = ("Snakefile", "README.md", "cloome", "config", "envs", "profiles", "tests", "workflow")
TINY = ("tests/workflow/tiny.yaml",)
BUCKET = "screens"
KEYS = {"access_key": "testing", "secret_key": "testing"}


class Clone:
    """What a clone of the checkout holds, copied to a folder if it is new; it finds first what `programs` holds."""

    def __init__(self, root: Path, folder: Path, programs: Path | None = None):
        self.folder = folder
        self.programs = programs
        if folder.exists():
            return
        folder.mkdir(parents=True)
        for name in CLONED:
            if (root / name).is_dir():
                shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(root / name, folder / name)

    def start(self, *words: str, configs: Sequence[str] = TINY) -> subprocess.Popen:
        """Start Snakemake on tests/workflow/tiny.yaml or other configurations, in a process group of its own."""
        # The coverage of pytest's own process must not reach into the jobs.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
        if self.programs:
            environment["PATH"] = os.pathsep.join([str(self.programs), environment["PATH"]])
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2", *words, "--configfile", *configs],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, configs: Sequence[str] = TINY) -> str:
        """Run Snakemake to its end; its output, or a failed test that shows it."""
        process = self.start(*words, configs=configs)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output[-8000:]
        return output

    def kill(self, process: subprocess.Popen) -> bool:
        """Kill a run with all its jobs, as a lost node would; whether it was still running."""
        alive = process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return alive


@pytest.fixture
def clone(root, tmp_path) -> Clone:
    """A fresh clone."""
    return Clone(root, tmp_path / "clone")


@pytest.fixture(scope="session")
def finished(root, tmp_path_factory) -> Clone:
    """A clone in which the experiment has run, once for all processes of these tests; none of them changes it."""
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "finished"
    with alone(place / "lock"):
        clone = Clone(root, place / "clone")
        if not (place / "done").exists():
            clone.run()
            (place / "done").touch()
    return clone


@pytest.fixture
def copied(finished, clone) -> Clone:
    """A clone with the results of a finished one, and with what Snakemake remembers of them."""
    shutil.rmtree(clone.folder)
    shutil.copytree(finished.folder, clone.folder, symlinks=True)
    return clone


@pytest.fixture(scope="session")
def isolated(root, tmp_path_factory) -> Clone:
    """A clone in which the experiment has run with one environment per stage, made by the stand-in for conda."""
    clone = Clone(root, tmp_path_factory.mktemp("isolated") / "clone", programs=root / "tests/envs/conda/bin")
    clone.run("--sdm", "conda", "--notemp")
    return clone


@pytest.fixture(scope="session")
def tables() -> Callable[[Clone], dict[str, bytes]]:
    """The evaluation tables of a clone, by name."""

    def read(clone: Clone) -> dict[str, bytes]:
        folder = clone.folder / "results/tiny"
        return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("evaluation/*.csv"))}

    return read


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of a running server, whose address and keys Snakemake finds in the environment."""
    boto3 = pytest.importorskip("boto3", reason="the extra `storage` is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    settings = KEYS | {"endpoint_url": f"http://{host}:{port}"}
    # What servers hold is shared by all of a process.
    urlopen(Request(f"{settings['endpoint_url']}/moto-api/reset", method="POST")).close()
    for name, value in settings.items():
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name.upper()}", value)
    yield boto3.resource(
        "s3",
        endpoint_url=settings["endpoint_url"],
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
        region_name="us-east-1",
    ).Bucket(BUCKET)
    server.stop()
