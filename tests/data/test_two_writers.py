"""Two processes that write the same file take turns."""

import subprocess
import sys

import pytest

from cloome.data.files import replacing

SLOW_WRITER = """
import sys, time
from cloome.data.files import replacing
with replacing(sys.argv[1]) as temporary, open(temporary, "w") as file:
    file.write("first half, ")
    file.flush()
    print("writing", flush=True)
    time.sleep(1)
    file.write("second half")
"""


def slow_writer(path):
    process = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def test_a_file_that_two_processes_write_is_whole_at_every_moment_and_that_of_the_last(tmp_path):
    path = tmp_path / "file"
    other = slow_writer(path)
    with replacing(path) as temporary:
        assert path.read_text() == "first half, second half", "the other process came first"
        temporary.write_text("of this process")
    assert other.wait() == 0
    assert path.read_text() == "of this process"
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_a_writer_that_is_killed_holds_nobody_up(tmp_path):
    path = tmp_path / "file"
    other = slow_writer(path)
    other.kill()
    other.wait()
    with replacing(path) as temporary:
        temporary.write_text("of this process")
    assert path.read_text() == "of this process"


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("new")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fail()
    assert path.read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["file"]
