"""What several people share: a clone that they may only read, and a folder with the data."""

import os
import signal
import stat
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


class User:
    """A user with a home and a results folder of their own, who runs what a shared clone holds."""

    def __init__(self, home, clone):
        self.home = home
        self.folder = home / "screen"
        self.folder.mkdir(parents=True)
        self._clone = clone

    def start(self) -> subprocess.Popen:
        """Start the smallest experiment; even the superuser has no right here that is not in a file's mode."""
        as_anyone = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV", "XDG"))}
        snakemake = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", str(self.folder)]
        return subprocess.Popen(
            [*as_anyone, *snakemake, "--configfile", "tests/workflow/tiny.yaml"],
            cwd=self._clone.folder,
            env=environment | {"HOME": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen) -> tuple[int, str]:
        """Wait for the end; status and output."""
        try:
            output, _ = process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, output


@pytest.fixture
def read_only(clone):
    """A clone in which nobody may write, with all that it held."""
    everything = sorted(clone.folder.rglob("*"))
    for path in [clone.folder, *everything]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield clone
    for path in [clone.folder, *everything]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def test_a_user_who_may_not_write_into_the_clone_runs_into_a_folder_of_their_own(read_only, finished, tables, tmp_path):
    before = sorted(read_only.folder.rglob("*"))
    user = User(tmp_path / "home", read_only)
    status, output = user.finish(user.start())
    assert status == 0, output[-8000:]
    assert tables(user) == tables(finished)
    assert (user.folder / "results/tiny/report/report.html").is_file()
    assert sorted(read_only.folder.rglob("*")) == before


def test_two_workflows_at_the_same_time_on_one_data_folder_end_with_the_same_tables(clone, finished, tables, tmp_path):
    users = [User(tmp_path / name, clone) for name in ("one", "other")]
    for user in users:
        (user.folder / "results").mkdir()
        for data in ("resources", "results/plates"):
            (tmp_path / "data" / data).mkdir(parents=True, exist_ok=True)
            (user.folder / data).symlink_to(tmp_path / "data" / data)
    waited = []
    for user, process in [(user, user.start()) for user in users]:
        status, output = user.finish(process)
        waited.append("Another run makes files in resources/" in output)
        assert status == 0, output[-8000:]
        assert tables(user) == tables(finished)
    assert sorted(waited) == [False, True]
    assert not list((tmp_path / "data").rglob("*.tmp"))
    # Neither has made a file anew that the other one had used.
    for user in users:
        _, output = user.finish(user.start())
        assert "Nothing to be done" in output, output[-8000:]
