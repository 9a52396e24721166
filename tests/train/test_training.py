"""The stage as a whole: what it writes, that it repeats itself, and that it survives a kill."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from cloome.data.molecules import read_molecules
from cloome.data.plates import Statistics
from cloome.data.splits import read_split, write_split
from cloome.data.train_log import LOG_COLUMNS
from cloome.errors import CloomeError, ConfigError, FormatError
from cloome.model.checkpoint import load_checkpoint
from cloome.model.losses import info_nce
from cloome.train.command import train
from cloome.train.loop import usable_precision


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    """Bit for bit the same model is a promise for the CPU; the random state of other tests stays as it was."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with torch.random.fork_rng(devices=[]):
        yield
    torch.use_deterministic_algorithms(False)


def run(screen, out: Path, method="cloob", seed=0, shuffle=False, state=None, **settings) -> Path:
    state = state or out.with_suffix(".state")
    train(screen.config(**settings), **screen.inputs(), method=method, seed=seed, shuffle=shuffle, state=state, out=out)
    return out


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["weights"]


def equal(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_writes_a_model_and_its_log(screen, tmp_path):
    model = load_checkpoint(run(screen, tmp_path / "model.pt"))
    assert model.channels == ["DNA", "ER", "AGP"]
    assert model.run == {"split": "random", "method": "cloob", "seed": 0, "shuffled": False}
    assert model.settings["train"] == screen.config().train.model_dump()
    inchikey = screen.inchikey()
    trained = inchikey.index[inchikey.isin([f"MOLECULE-{number}" for number in range(6)])]
    statistics = Statistics.of(np.stack([screen.image(key) for key in trained]))
    assert (model.mean, model.std) == (statistics.mean.tolist(), statistics.std.tolist())

    log = pd.read_csv(tmp_path / "train_log.csv")
    assert list(log.columns) == LOG_COLUMNS
    assert log["epoch"].tolist() == [1, 2, 3, 4]
    assert log["step"].tolist() == [6, 12, 18, 24]
    assert (log["inv_tau"].round(3) == 14.3).all()
    assert log[["train_loss", "validation_loss", "images_per_second", "seconds"]].gt(-10).all().all()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt", "train_log.csv"]


@pytest.mark.parametrize("method", ["clip", "cloob"])
@pytest.mark.parametrize("duplicates", ["negatives", "positives"])
def test_a_small_set_can_be_learned_by_heart(screen, tmp_path, method, duplicates):
    settings = {"epochs": 12, "batch": 12, "crop": 40, "precision": "bfloat16", "duplicates": duplicates}
    run(screen, tmp_path / "model.pt", method, **settings)
    losses = pd.read_csv(tmp_path / "train_log.csv")["train_loss"]
    assert losses.iloc[-1] < 0.9 * losses.iloc[0] if method == "clip" else losses.iloc[-1] < losses.iloc[0] - 0.01


def test_the_same_seed_gives_the_same_model(screen, tmp_path):
    first = run(screen, tmp_path / "first.pt")
    assert equal(first, run(screen, tmp_path / "again.pt"))
    assert not equal(first, run(screen, tmp_path / "other.pt", seed=1))
    assert not equal(first, run(screen, tmp_path / "control.pt", shuffle=True))
    assert not equal(first, run(screen, tmp_path / "clip.pt", method="clip"))


def test_a_learned_temperature_moves_and_stays_within_its_limits(screen, tmp_path):
    run(screen, tmp_path / "model.pt", "clip", learn_inv_tau=True, inv_tau=99.99, learning_rate=0.1, decay="weights")
    inv_tau = pd.read_csv(tmp_path / "train_log.csv")["inv_tau"]
    assert inv_tau.nunique() > 1
    assert inv_tau.between(1.0, 100.001).all()


def test_the_validation_loss_is_that_of_the_model_in_use_on_centre_crops(screen, tmp_path):
    model = load_checkpoint(run(screen, tmp_path / "model.pt", "clip", crop=40))
    molecules, inchikey = read_molecules(screen.molecules), screen.inchikey()
    keys = inchikey.index[inchikey == "MOLECULE-6"]  # four images: one batch
    images = torch.from_numpy(np.stack([screen.image(key) for key in keys])[:, :, :, 4:44])
    fingerprint = torch.from_numpy(molecules.fingerprints[6]).float().expand(len(keys), -1)
    with torch.no_grad():
        x, y = model.network.encode_image(model.normalise(images)), model.network.encode_molecule(fingerprint)
        expected = info_nce(x, y, 14.3).item()
    assert pd.read_csv(tmp_path / "train_log.csv")["validation_loss"].iloc[-1] == pytest.approx(expected, abs=1e-5)


def test_without_validation_molecules_the_log_leaves_the_loss_empty(make_screen, tmp_path):
    screen = make_screen(tmp_path)
    split = read_split(screen.split)
    write_split(split[split["part"] != "validation"], screen.split)
    run(screen, tmp_path / "run" / "model.pt", epochs=1)
    assert pd.read_csv(tmp_path / "run" / "train_log.csv")["validation_loss"].isna().all()


KILLED = """
import os, signal, sys
from cloome.cli import main
from cloome.train.state import State

save, saved = State.save, []

def save_then_die(state, values):
    save(state, values)
    saved.append(values["step"])
    if len(saved) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

State.save = save_then_die
main(sys.argv[1:])
"""


def command(screen, folder: Path, config: Path) -> list[str]:
    words = ["train", "--config", config, "--plates", *screen.plates, "--index", screen.index]
    words += ["--molecules", screen.molecules, "--split", screen.split, "--method", "cloob", "--seed", "0"]
    return [str(word) for word in [*words, "--state", folder / "state", "--out", folder / "model.pt"]]


def test_a_killed_training_goes_on_to_the_same_model(screen, tmp_path, root, caplog):
    caplog.set_level(logging.INFO)
    config, folder = tmp_path / "config.yaml", tmp_path / "killed"
    config.write_text(yaml.safe_dump(screen.config(learn_inv_tau=True).model_dump()))
    # One thread there as here, and no GPU: the order of additions is part of the result.
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, "-c", KILLED, *command(screen, folder, config)]
    assert subprocess.run(words, env=environment, capture_output=True, timeout=300).returncode == -signal.SIGKILL
    assert [file.name for file in folder.rglob("*.*")] == ["state.pt"]
    (folder / "state" / "state.pt.tmp").write_bytes(b"half written by a later kill")

    killed = run(screen, folder / "model.pt", state=folder / "state", learn_inv_tau=True)
    assert "going on after epoch 2" in caplog.text
    straight = run(screen, tmp_path / "straight" / "model.pt", learn_inv_tau=True)
    assert killed.read_bytes() == straight.read_bytes()
    results = ["epoch", "step", "learning_rate", "inv_tau", "train_loss", "validation_loss"]
    logs = [pd.read_csv(model.with_name("train_log.csv"))[results] for model in (straight, killed)]
    pd.testing.assert_frame_equal(*logs)
    assert sorted(file.name for file in folder.iterdir()) == ["model.pt", "train_log.csv"]


def interrupted(screen, folder: Path, monkeypatch) -> Path:
    """Stop a training just before it writes its model; its state stays behind."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cloome.train.command.save_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            run(screen, folder / "model.pt", state=folder / "state")
    return folder / "state"


def test_a_training_killed_after_its_last_epoch_only_writes_its_model(screen, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    state = interrupted(screen, tmp_path, monkeypatch)
    caplog.clear()
    model = run(screen, tmp_path / "model.pt", state=state)
    assert "epoch 4 of 4" not in caplog.text
    assert equal(model, run(screen, tmp_path / "straight.pt"))


@pytest.mark.parametrize("change", [{"learning_rate": 0.02}, {"epochs": 5}, {"seed": 1}, {"shuffle": True}])
def test_a_state_of_other_settings_is_not_used(screen, tmp_path, monkeypatch, caplog, change):
    state = interrupted(screen, tmp_path, monkeypatch)
    model = run(screen, tmp_path / "model.pt", state=state, **change)
    assert "belongs to other settings or inputs" in caplog.text
    assert equal(model, run(screen, tmp_path / "fresh.pt", **change))


def test_a_state_of_other_images_is_not_used(screen, make_screen, tmp_path, monkeypatch, caplog):
    state = interrupted(screen, tmp_path, monkeypatch)
    (tmp_path / "other").mkdir()
    run(make_screen(tmp_path / "other", seed=9), tmp_path / "model.pt", state=state)
    assert "belongs to other settings or inputs" in caplog.text


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_state_is_not_used(screen, tmp_path, monkeypatch, caplog, share):
    state = interrupted(screen, tmp_path, monkeypatch) / "state.pt"
    state.write_bytes(state.read_bytes()[: int(share * state.stat().st_size)])
    model = run(screen, tmp_path / "model.pt", state=state.parent)
    assert "cannot be read; training starts over" in caplog.text
    assert equal(model, run(screen, tmp_path / "fresh.pt"))


def test_float16_falls_back_to_float32_without_a_gpu(caplog):
    caplog.set_level(logging.INFO)
    assert usable_precision("float16", torch.device("cpu")) is torch.float32
    assert "needs a GPU" in caplog.text
    assert usable_precision("float16", torch.device("cuda")) is torch.float16


@pytest.mark.parametrize(("capability", "precision"), [("AVX2", torch.float32), ("AVX512", torch.bfloat16)])
def test_bfloat16_is_used_where_the_processor_has_it(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert usable_precision("bfloat16", torch.device("cpu")) is precision
    assert usable_precision("bfloat16", torch.device("cuda")) is torch.bfloat16


def test_a_diverged_training_is_an_error_and_leaves_no_model(screen, tmp_path):
    with pytest.raises(CloomeError, match=r"smaller train\.learning_rate"):
        run(screen, tmp_path / "model.pt", learning_rate=1e30)
    assert not (tmp_path / "model.pt").exists()


def test_the_papers_normalisation_needs_the_papers_channels(screen, tmp_path):
    with pytest.raises(ConfigError, match="write normalisation: measured"):
        run(screen, tmp_path / "model.pt", normalisation="paper")


def test_a_split_of_another_screen_is_named(make_screen, tmp_path):
    screen = make_screen(tmp_path)
    write_split(pd.DataFrame({"inchikey": ["X", "Y"], "part": ["train", "test"]}), screen.split)
    with pytest.raises(FormatError, match="0 training images"):
        run(screen, tmp_path / "model.pt")
