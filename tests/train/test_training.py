"""The stage as a whole: what it writes, that it repeats itself, which weights it keeps, and what it refuses."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from cloome.config import METHODS
from cloome.data.molecules import read_molecules
from cloome.data.plates import Statistics
from cloome.data.splits import read_split, write_split
from cloome.data.train_log import LOG_COLUMNS
from cloome.errors import CloomeError, ConfigError, FormatError
from cloome.model.checkpoint import load_checkpoint
from cloome.model.losses import info_nce
from cloome.train.loop import usable_precision
from cloome.train.state import State

pytestmark = pytest.mark.usefixtures("on_the_cpu")


def test_a_training_writes_a_model_and_its_log(screen, tmp_path):
    model = load_checkpoint(screen.train(tmp_path / "model.pt"))
    assert model.channels == ["DNA", "ER", "AGP"]
    assert model.run == {"split": "random", "method": "cloob", "seed": 0, "control": None}
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
    assert log[["train_loss", "validation_loss"]].gt(-10).all().all()
    assert log[["images_per_second", "peak_memory_mb", "seconds"]].gt(0).all().all()
    assert log["waiting_share"].between(0, 1).all()
    # There is one validation molecule, which nothing can be mistaken for.
    assert (log[["top1_image_to_molecule", "top1_molecule_to_image"]] == 1).all().all()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt", "train_log.csv"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("duplicates", ["negatives", "positives", "masked"])
def test_a_small_set_can_be_learned_by_heart(screen, tmp_path, method, duplicates):
    settings = {"epochs": 12, "batch": 12, "crop": 40, "precision": "bfloat16", "duplicates": duplicates}
    screen.train(tmp_path / "model.pt", method, **settings)
    losses = pd.read_csv(tmp_path / "train_log.csv")["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0] - 0.01


def test_the_same_seed_gives_the_same_model(screen, tmp_path, same_weights):
    first = screen.train(tmp_path / "first.pt")
    assert same_weights(first, screen.train(tmp_path / "again.pt"))
    assert not same_weights(first, screen.train(tmp_path / "other.pt", seed=1))
    assert not same_weights(first, screen.train(tmp_path / "control.pt", control="shuffled"))
    assert not same_weights(first, screen.train(tmp_path / "clip.pt", method="clip"))


def test_the_untrained_control_is_the_network_before_the_first_step(screen, tmp_path, same_weights):
    untrained = screen.train(tmp_path / "a.pt", control="untrained")
    assert same_weights(untrained, screen.train(tmp_path / "b.pt", control="untrained", learning_rate=0.1))
    assert load_checkpoint(untrained).run["control"] == "untrained"
    assert len(pd.read_csv(tmp_path / "train_log.csv")) == 0
    assert not same_weights(untrained, screen.train(tmp_path / "c.pt"))


def test_a_learned_temperature_moves_and_stays_within_its_limits(screen, tmp_path):
    screen.train(tmp_path / "model.pt", "clip", learn_inv_tau=True, inv_tau=99.99, learning_rate=0.1, decay="weights")
    inv_tau = pd.read_csv(tmp_path / "train_log.csv")["inv_tau"]
    assert inv_tau.nunique() > 1
    assert inv_tau.between(1.0, 100.001).all()


def test_the_validation_loss_is_that_of_the_model_in_use_on_centre_crops(screen, tmp_path):
    model = load_checkpoint(screen.train(tmp_path / "model.pt", "clip", crop=40))
    molecules, inchikey = read_molecules(screen.molecules), screen.inchikey()
    keys = inchikey.index[inchikey == "MOLECULE-6"]  # four images: one batch
    images = torch.from_numpy(np.stack([screen.image(key) for key in keys])[:, :, :, 4:44])
    fingerprint = torch.from_numpy(molecules.fingerprints[6]).float().expand(len(keys), -1)
    with torch.no_grad():
        x, y = model.network.encode_image(model.normalise(images)), model.network.encode_molecule(fingerprint)
        expected = info_nce(x, y, 14.3).item()
    assert pd.read_csv(tmp_path / "train_log.csv")["validation_loss"].iloc[-1] == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def without_validation(make_screen, tmp_path):
    screen = make_screen(tmp_path)
    split = read_split(screen.split)
    write_split(split[split["part"] != "validation"], screen.split)
    return screen


def test_without_validation_molecules_the_log_leaves_their_columns_empty(without_validation, tmp_path):
    without_validation.train(tmp_path / "run" / "model.pt", epochs=1)
    log = pd.read_csv(tmp_path / "run" / "train_log.csv")
    assert log[["validation_loss", "top1_image_to_molecule", "top1_molecule_to_image"]].isna().all().all()


def test_without_validation_molecules_no_epoch_is_the_best(without_validation, tmp_path):
    with pytest.raises(ConfigError, match="no validation part; give it one, or write keep: last"):
        without_validation.train(tmp_path / "run" / "model.pt", keep="best")


@pytest.fixture
def validated_on_three(make_screen, tmp_path):
    """A screen whose validation part has three molecules, so that there is something to be mistaken for."""
    screen = make_screen(tmp_path)
    split = read_split(screen.split)
    split.loc[split["inchikey"].isin(["MOLECULE-4", "MOLECULE-5"]), "part"] = "validation"
    write_split(split, screen.split)
    return screen


def log_of(model) -> pd.DataFrame:
    return pd.read_csv(model.with_name("train_log.csv")).set_index("epoch")


@pytest.mark.parametrize("criterion", ["loss", "retrieval"])
def test_the_best_epoch_is_the_model(validated_on_three, tmp_path, monkeypatch, criterion):
    settings = {"epochs": 6, "learning_rate": 0.05, "warmup": 0}
    best = validated_on_three.train(tmp_path / "best" / "model.pt", keep="best", criterion=criterion, **settings)
    log = log_of(best)
    top1 = log["top1_image_to_molecule"] + log["top1_molecule_to_image"]
    epoch = int(log["validation_loss"].idxmin() if criterion == "loss" else top1.idxmax())  # the first of equal ones
    assert epoch < 6, "the last epoch is the best: nothing is tested"
    kept = weights_after_each_epoch(monkeypatch, lambda: validated_on_three.train(tmp_path / "last.pt", **settings))
    weights = torch.load(best, weights_only=True)["weights"]
    assert all(torch.equal(weights[name], kept[epoch - 1][name]) for name in weights)


def weights_after_each_epoch(monkeypatch, training) -> list[dict[str, torch.Tensor]]:
    """What a training saves to go on from."""
    kept, save = [], State.save

    def note(state, values):
        kept.append({name: value.clone() for name, value in values["network"].items()})
        save(state, values)

    with monkeypatch.context() as patched:
        patched.setattr(State, "save", note)
        training()
    return kept


def test_patience_ends_a_training_that_gets_no_better(validated_on_three, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    settings = {"epochs": 40, "learning_rate": 0.05, "warmup": 0, "keep": "best", "criterion": "loss", "patience": 2}
    log = log_of(validated_on_three.train(tmp_path / "run" / "model.pt", **settings))
    assert log["validation_loss"].idxmin() == len(log) - 2 < 38
    assert f"the model is that of epoch {len(log) - 2}" in caplog.text


def test_the_moving_average_is_validated_and_is_the_model(validated_on_three, tmp_path, same_weights):
    plain = validated_on_three.train(tmp_path / "plain" / "model.pt")
    average = validated_on_three.train(tmp_path / "average" / "model.pt", ema=0.9)
    assert not same_weights(plain, average)
    # The average watches: what is learned stays the same, what is validated does not.
    assert (log_of(plain)["train_loss"] == log_of(average)["train_loss"]).all()
    assert (log_of(plain)["validation_loss"] != log_of(average)["validation_loss"]).all()


def test_gradients_are_clipped_to_a_length(screen, tmp_path, monkeypatch):
    lengths = []
    step = torch.optim.AdamW.step

    def noted(optimiser, *arguments):
        gradients = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        lengths.append(float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt()))
        return step(optimiser, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    screen.train(tmp_path / "free.pt", epochs=1)
    free = list(lengths)
    lengths.clear()
    screen.train(tmp_path / "clipped.pt", epochs=1, gradient_clip=0.01)
    assert min(free) > 0.01
    assert max(lengths) < 0.0101


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


def test_a_diverged_training_names_the_batch_and_leaves_no_model(screen, tmp_path):
    with pytest.raises(CloomeError, match=r"in epoch 1, batch \d \(images P\d-A0\d-\d, .*smaller train\.learning_rate"):
        screen.train(tmp_path / "model.pt", learning_rate=1e30)
    assert not (tmp_path / "model.pt").exists()


def test_the_papers_normalisation_needs_the_papers_channels(screen, tmp_path):
    with pytest.raises(ConfigError, match="write normalisation: measured"):
        screen.train(tmp_path / "model.pt", normalisation="paper")


def test_a_split_of_another_screen_is_named(make_screen, tmp_path):
    screen = make_screen(tmp_path)
    write_split(pd.DataFrame({"inchikey": ["X", "Y"], "part": ["train", "test"]}), screen.split)
    with pytest.raises(FormatError, match="0 training images"):
        screen.train(tmp_path / "model.pt")


def test_two_processes_train_the_model_of_one(validated_on_three, tmp_path):
    # Small steps and a large epsilon: rounding, which the processes do in another order, is not blown up by AdamW.
    settings = {"epochs": 2, "learning_rate": 1e-3, "epsilon": 0.01, "gather": "with_gradient", "sync_batchnorm": True}
    settings |= {"learn_inv_tau": True, "gradient_clip": 1.0, "ema": 0.9, "keep": "best", "patience": 2}
    one, two = (
        validated_on_three.train(tmp_path / str(number) / "model.pt", running={"processes": number}, **settings)
        for number in (1, 2)
    )
    first, second = (torch.load(path, weights_only=True)["weights"] for path in (one, two))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=1e-3, atol=1e-5, msg=name)
    columns = ["epoch", "step", "learning_rate", "inv_tau", "train_loss", "validation_loss"]
    logs = [pd.read_csv(path.with_name("train_log.csv"))[columns] for path in (one, two)]
    pd.testing.assert_frame_equal(*logs, rtol=1e-4)
    assert sorted(file.name for file in two.parent.iterdir()) == ["model.pt", "train_log.csv"]
