"""Before a run: what a command that only looks leaves alone, whose locks are cleared, how many cores jobs get."""

import re
import socket

import pytest

pytestmark = pytest.mark.slow

TABLE = "results/tiny/runs/random-cloob-seed0/evaluation/retrieval.csv"


@pytest.fixture
def locked(copied):
    """A folder of results with a lock as a killed run leaves it, and the name of the machine that it ran on."""

    def by(machine: str):
        folder = copied.folder / ".snakemake"
        (folder / "living_run").write_text(machine)
        # Each lock names the files that are made, so that other runs keep away from them.
        (folder / "locks").mkdir(exist_ok=True)
        (folder / "locks/0.output.lock").write_text(f"{TABLE}\n")
        (copied.folder / TABLE).unlink()
        return copied

    return by


@pytest.mark.parametrize("words", [["-n"], ["--touch"], ["--summary"], ["--unlock"], ["--lint"]])
def test_commands_that_only_look_remove_nothing(copied, words):
    damaged = copied.folder / TABLE
    damaged.write_bytes(b"damaged")
    copied.run(*words)
    assert damaged.read_bytes() == b"damaged"


def test_the_lock_of_a_run_that_was_killed_on_this_machine_is_cleared(locked):
    locked(socket.gethostname()).run()


def test_the_lock_of_a_run_on_another_machine_stays_until_it_is_unlocked(locked):
    clone = locked("another")
    for _ in range(2):
        process = clone.start()
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 1
        assert "--unlock" in output, output[-3000:]
    clone.run("--unlock")
    clone.run()


@pytest.mark.parametrize(("words", "cores"), [(["-j", "1"], 1), (["--jobs", "1", "--cores", "2"], 1), ([], 2)])
def test_jobs_mean_cores_where_they_run_on_this_machine(copied, words, cores):
    (copied.folder / TABLE).unlink()
    output = copied.run(*words)
    assert re.search(rf"^Provided cores: {cores}\b", output, re.MULTILINE), output[-3000:]
