"""Before a run: what only looks changes nothing, whose locks are cleared, how many cores jobs get, is there a GPU."""

import fcntl
import re

import pytest

from cloome.model.device import pick_device

pytestmark = pytest.mark.slow

TABLE = "results/tiny/report/methods.csv"  # which is made in no time


@pytest.mark.parametrize("words", [["-n"], ["--touch"], ["--summary"], ["--unlock"], ["--lint"]])
def test_commands_that_only_look_remove_nothing(copied, words):
    damaged = copied.folder / TABLE
    damaged.write_bytes(b"damaged")
    copied.run(*words)
    assert damaged.read_bytes() == b"damaged"


def test_the_lock_of_a_run_on_another_machine_stays_until_it_is_unlocked(copied):
    """That of a run on this machine is cleared: test_kill.py."""
    (copied.folder / TABLE).unlink()
    # Each lock names the files that are made, so that other runs keep away from them.
    lock = copied.folder / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(f"{TABLE}\n")
    (copied.folder / ".snakemake/living_run").write_text("another")
    for _ in range(2):
        process = copied.start()
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 1
        assert "--unlock" in output, output[-3000:]
    copied.run("--unlock")
    copied.run()
    assert (copied.folder / TABLE).is_file()


def test_of_two_runs_of_one_folder_that_wait_for_their_turn_one_goes_on(copied):
    (copied.folder / TABLE).unlink()
    turn = next(copied.folder.glob("resources/.*.turn"))
    with open(turn, "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        both = [copied.start(), copied.start()]
        for process in both:
            assert any("waiting until it has made them" in line for line in process.stdout)
    said = {process.communicate(timeout=300)[0]: process.returncode for process in both}
    assert (copied.folder / TABLE).is_file()
    # The other one came while the first was running, or after it.
    assert 0 in said.values()
    assert all("--unlock" in output for output, status in said.items() if status), said


def test_jobs_mean_cores_where_they_run_on_this_machine(copied):
    (copied.folder / TABLE).unlink()
    assert "\nProvided cores: 1 " in copied.run("--jobs", "1"), "of the two that the command gives"


def test_the_look_for_a_gpu_ends_in_a_plain_text_without_one(clone):
    if pick_device().type == "cuda":
        pytest.skip("there is a GPU")
    process = clone.start("--until", "gpu_check", configs=["tests/workflow/tiny.yaml", "tests/workflow/gpu.yaml"])
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "cloome gpu: running.gpu is true, but" in output
    assert "Traceback" not in output
    assert re.search(r"^WorkflowError:?\n?.*At least one job did not complete", output, re.MULTILINE), output[-2000:]


@pytest.mark.parametrize("build", ["", ".gpu"])
def test_stages_with_a_gpu_have_the_environment_with_its_build_of_pytorch_if_they_must(clone, root, build):
    clone.programs = root / "tests/envs/conda/bin"
    configs = ["tests/workflow/tiny.yaml", *(["tests/workflow/gpu.yaml"] if build else [])]
    image = clone.run("--containerize", configs=configs)
    found = set(re.findall(r"source: envs/(train|embed)(.*)\.yaml", image))
    assert found == {("train", build), ("embed", build)}
