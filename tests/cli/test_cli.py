"""The command: what a user sees of it when something is wrong."""

import errno
import os
import subprocess
import sys

import pytest

from cloome.cli import COMMANDS, main
from cloome.errors import CloomeError


def cloome(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "cloome", *words], capture_output=True, text=True, timeout=120)


def test_help_names_every_command():
    done = cloome("--help")
    assert done.returncode == 0
    assert all(f"    {name}" in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"cloome {name}" in capsys.readouterr().out


def test_what_is_wrong_is_one_line_without_a_traceback(tmp_path):
    done = cloome("config", "--check", str(tmp_path / "absent.yaml"))
    assert done.returncode == 1
    assert done.stderr == f"cloome config: {tmp_path / 'absent.yaml'}: no such configuration file\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CloomeError("no such plate; name another"), "cloome config: no such plate; name another\n"),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space, then run the same command again\n"),
        (PermissionError(errno.EACCES, "Permission denied", "a.h5"), "Permission denied: 'a.h5'\n"),
    ],
)
def test_errors_of_the_surroundings_are_told_plainly(monkeypatch, capsys, error, line):
    def fail(arguments):
        raise error

    monkeypatch.setattr("cloome.config_command.run", fail)
    assert main(["config", "--write"]) == 1
    assert capsys.readouterr().err.endswith(line)


def test_a_library_that_the_system_lacks_is_named_with_its_package(monkeypatch, capsys):
    missing = "libXrender.so.1: cannot open shared object file: No such file or directory"

    def fail(module):
        raise ImportError(missing)

    monkeypatch.setattr("importlib.import_module", fail)
    assert main(["report", "--help"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"cloome report: {missing}; ")
    assert "apt-get install libxrender1 libxext6" in said


FULL_DISK = """
import resource, signal
import numpy as np
from cloome import cli, config_command
from cloome.data.plates import Field, write_plate

def run(arguments):
    fields = (Field("A01", site, np.zeros((5, 64, 64), np.uint8), 0) for site in range(100))
    write_plate("plate.h5", "1", list("abcde"), fields, "test", {})

# The kernel refuses to let a file grow, as it does on a full disk.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
config_command.run = run
import sys; sys.argv = ["cloome", "config", "--write"]
cli.start()
"""


def test_a_disk_that_takes_no_more_ends_in_one_line_and_leaves_nothing(tmp_path, root):
    command = [sys.executable, "-c", FULL_DISK]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "File too large" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_own_mistake_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("cloome.config_command.run", lambda arguments: [][0])
    with pytest.raises(IndexError):
        main(["config", "--write"])


def test_the_configuration_command_checks_and_writes(root, tmp_path, monkeypatch):
    assert cloome("config", "--check", str(root / "config/paper.yaml")).returncode == 0
    monkeypatch.chdir(tmp_path)
    assert main(["config", "--write"]) == 0
    for name in ("config/schema.json", "docs/configuration.md"):
        assert (tmp_path / name).read_text() == (root / name).read_text()
