"""Processes that do the same work take turns, and share folders with nobody else."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from cloome.data.locks import alone, own_folder
from cloome.errors import CloomeError

COUNTER = """
import sys
from pathlib import Path
from cloome.data.locks import alone

lock, count = map(Path, sys.argv[1:])
for _ in range(1000):
    with alone(lock):
        count.write_text(str(int(count.read_text()) + 1))
"""


def test_the_lock_of_some_work_is_gone_when_the_work_is_done(tmp_path):
    with alone(tmp_path / "runs/state.lock"):
        assert (tmp_path / "runs/state.lock").exists()
    assert not list((tmp_path / "runs").iterdir())


def test_no_two_processes_have_a_lock_though_each_removes_it(tmp_path):
    count = tmp_path / "count"
    count.write_text("0")
    jobs = [subprocess.Popen([sys.executable, "-c", COUNTER, tmp_path / "lock", count]) for _ in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert count.read_text() == "3000"


def test_a_folder_is_for_its_user_alone(tmp_path, monkeypatch):
    folder = own_folder(tmp_path / "disk/cloome", "take another")
    assert folder.stat().st_mode & 0o077 == 0
    assert own_folder(folder, "take another") == folder
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(CloomeError, match=f"^{folder} is not a folder of this user; take another$"):
        own_folder(folder, "take another")


@pytest.mark.parametrize("target", ["a folder", "nothing"])
def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path, target):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "cloome").symlink_to(tmp_path / target)
    with pytest.raises(CloomeError, match="not a folder of this user"):
        own_folder(tmp_path / "cloome", "take another")


@pytest.mark.parametrize("step", ["waiting", "looking"])
def test_a_lock_that_another_machine_removed_is_asked_for_again(tmp_path, monkeypatch, step):
    """On a network disk, what another machine has removed is a stale file."""
    stale = iter([OSError(errno.ESTALE, os.strerror(errno.ESTALE))])
    module, name = {"waiting": (fcntl, "flock"), "looking": (os.path, "samefile")}[step]
    real = getattr(module, name)

    def once(*arguments):
        if error := next(stale, None):
            raise error
        return real(*arguments)

    monkeypatch.setattr(module, name, once)
    with alone(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
