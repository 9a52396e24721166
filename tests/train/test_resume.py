"""A training that is killed at any moment goes on to the very weights that it would have had."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from cloome.train import loop
from cloome.train.state import State, digest, flat

pytestmark = pytest.mark.usefixtures("on_the_cpu")

RESULTS = ["epoch", "step", "learning_rate", "inv_tau", "train_loss", "validation_loss", "top1_image_to_molecule"]

# A fork shares what was imported, so that ten lives take seconds. Each life begins like a new process: main() reads
# everything anew. It is killed at a random moment after its first state, so that each gets some way.
KILLED_TEN_TIMES = """
import os, random, signal, sys, time
from pathlib import Path
import pyarrow.dataset, torch._dynamo  # otherwise imported when first needed, by each life
from cloome.cli import main
from cloome.train import loop

state = Path(sys.argv[1]) / "state" / "state.pt"
random.seed(7)
kills = 0

def version():
    return state.stat().st_ino if state.exists() else None

def ended():
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid:
        print(kills)
        sys.exit(os.waitstatus_to_exitcode(status))

while True:
    child, before = os.fork(), version()
    if child == 0:
        loop.SAVE_SECONDS = 0.0 if kills < 10 else 300.0
        os._exit(main(sys.argv[2:]))
    while version() == before:
        ended()
        time.sleep(0.001)
    wait = time.monotonic() + random.uniform(0.0, 0.06)
    while kills == 10 or time.monotonic() < wait:
        ended()
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
"""


def run_killed(screen, folder: Path, root: Path, config) -> subprocess.CompletedProcess:
    """Run the command under `KILLED_TEN_TIMES`."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump()))
    words = ["train", "--config", folder / "config.yaml", "--plates", *screen.plates, "--index", screen.index]
    words += ["--molecules", screen.molecules, "--split", screen.split, "--method", "cloob", "--seed", "0"]
    words += ["--state", folder / "state", "--out", folder / "model.pt"]
    # One thread there as here, and no GPU: the order of additions is part of the result.
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", KILLED_TEN_TIMES, folder, *words]
    return subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True, timeout=300)


def test_ten_kills_at_random_moments_change_no_bit(screen, tmp_path, root):
    settings = {
        "epochs": 12,
        "learn_inv_tau": True,
        "gradient_clip": 1.0,
        "warmup_epochs": 0.5,
        "ema": 0.99,
        "keep": "best",
        "criterion": "loss",
        "augmentation": "crop_and_symmetry",
    }
    folder = tmp_path / "killed"
    killed = run_killed(screen, folder, root, screen.config(**settings))
    assert (killed.returncode, killed.stdout) == (0, "10\n"), killed.stderr
    assert "batches of the next" in killed.stderr  # some kills were inside an epoch
    assert sorted(file.name for file in folder.iterdir()) == ["config.yaml", "model.pt", "train_log.csv"]

    straight = screen.train(tmp_path / "straight" / "model.pt", **settings)
    assert straight.read_bytes() == (folder / "model.pt").read_bytes()
    logs = [pd.read_csv(path.parent / "train_log.csv")[RESULTS] for path in (straight, folder / "model.pt")]
    pd.testing.assert_frame_equal(*logs)


def stopped(screen, folder: Path, monkeypatch, **settings) -> Path:
    """Stop a training just before it writes its model; its state stays behind."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cloome.train.command.save_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            screen.train(folder / "model.pt", state=folder / "state", **settings)
    return folder / "state"


def test_a_training_killed_after_its_last_epoch_only_writes_its_model(
    screen, tmp_path, monkeypatch, caplog, same_weights
):
    caplog.set_level(logging.INFO)
    state = stopped(screen, tmp_path, monkeypatch)
    (state / "state.pt.tmp").write_bytes(b"half written by a later kill")
    caplog.clear()
    model = screen.train(tmp_path / "model.pt", state=state)
    assert "going on after epoch 4" in caplog.text
    assert "epoch 4 of 4" not in caplog.text
    assert same_weights(model, screen.train(tmp_path / "straight.pt"))
    assert not state.exists()


def test_a_training_that_patience_ended_is_not_taken_up_again(screen, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    settings = {"epochs": 9, "keep": "best", "criterion": "retrieval", "patience": 2}
    state = stopped(screen, tmp_path, monkeypatch, **settings)
    caplog.clear()
    screen.train(tmp_path / "model.pt", state=state, **settings)
    assert "training ends after 3" in caplog.text  # all epochs retrieve the one validation molecule
    assert "of 9: loss" not in caplog.text


def test_a_state_is_also_saved_within_an_epoch_and_says_where_it_is(screen, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    saves, save = [], State.save

    def fourth_is_the_last(state, values):
        save(state, values)
        saves.append((len(values["rows"]), len(values["losses"])))
        if len(saves) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "SAVE_SECONDS", 0.0)
        patched.setattr(State, "save", fourth_is_the_last)
        with pytest.raises(KeyboardInterrupt):
            screen.train(tmp_path / "model.pt")
    assert saves == [(0, 1), (0, 2), (0, 3), (0, 4)]
    screen.train(tmp_path / "model.pt")
    assert "going on after epoch 0 and 4 batches of the next" in caplog.text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"learning_rate": 0.02}, "train.learning_rate was 0.01, is 0.02"),
        ({"epochs": 5, "batch": 6}, "train.batch was 4, is 6; train.epochs was 4, is 5"),
        ({"ema": 0.9}, "train.ema was null, is 0.9"),
        ({"seed": 1}, "run.seed was 0, is 1"),
        ({"method": "clip"}, 'run.method was "cloob", is "clip"'),
        ({"control": "shuffled"}, 'run.control was null, is "shuffled"'),
    ],
)
def test_a_changed_setting_starts_over_and_is_named(screen, tmp_path, monkeypatch, caplog, same_weights, change, named):
    state = stopped(screen, tmp_path, monkeypatch)
    model = screen.train(tmp_path / "model.pt", state=state, **change)
    assert "belongs to other settings or inputs" in caplog.text
    assert all(part in caplog.text for part in named.split("; "))
    assert same_weights(model, screen.train(tmp_path / "fresh.pt", **change))


def test_how_a_training_runs_may_change(screen, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    state = stopped(screen, tmp_path, monkeypatch)
    screen.train(tmp_path / "model.pt", state=state, running={"readers": 1, "processes": 1})
    assert "going on after epoch 4" in caplog.text


def test_a_state_of_other_images_is_not_used(screen, make_screen, tmp_path, monkeypatch, caplog):
    state = stopped(screen, tmp_path, monkeypatch)
    (tmp_path / "other").mkdir()
    make_screen(tmp_path / "other", seed=9).train(tmp_path / "model.pt", state=state)
    assert "belongs to other settings or inputs (the plates changed)" in caplog.text


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_state_is_not_used(screen, tmp_path, monkeypatch, caplog, same_weights, share):
    state = stopped(screen, tmp_path, monkeypatch) / "state.pt"
    state.write_bytes(state.read_bytes()[: int(share * state.stat().st_size)])
    model = screen.train(tmp_path / "model.pt", state=state.parent)
    assert "cannot be read; training starts over" in caplog.text
    assert same_weights(model, screen.train(tmp_path / "fresh.pt"))


def test_many_changes_are_counted(tmp_path, caplog):
    State(tmp_path, {f"setting{number}": 1 for number in range(5)}).save({})
    assert State(tmp_path, {f"setting{number}": 2 for number in range(5)}).load() is None
    assert "setting2 was 1, is 2; and 2 more" in caplog.text


def test_of_several_processes_one_speaks(tmp_path, caplog):
    State(tmp_path, {"setting": 1}).save({})
    assert State(tmp_path, {"setting": 2}, speaks=False).load() is None
    assert caplog.text == ""


def test_a_state_holds_what_was_saved(tmp_path):
    state = State(tmp_path / "new", flat({"train": {"batch": 4}}) | {"the split": digest(b"split")})
    state.save({"step": 3, "weights": torch.arange(3)})
    assert state.load()["step"] == 3
    state.remove()
    assert not state.path.parent.exists()


def test_settings_have_dotted_names():
    nested = {"train": {"batch": 4}, "images": {"tiles": {"size": 9}, "resize": None}}
    assert flat(nested) == {"train.batch": 4, "images.tiles.size": 9, "images.resize": None}
    assert digest(b"a", b"b") != digest(b"ab") != digest(b"a")


def test_a_full_disk_is_said_and_leaves_the_state_before(tmp_path):
    # In a process of its own, whose files may not grow beyond a limit, as on a full disk.
    code = """
import resource, signal, sys, torch
from cloome.train.state import State
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
state = State(sys.argv[1], {})
state.save({"weights": torch.zeros(1000)})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    state.save({"weights": torch.ones(100_000)})
except OSError as error:
    print("said", error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("said [Errno 27] File too large")
    assert State(tmp_path, {}).load()["weights"].sum() == 0
