"""What only a GPU can show: half precision with its scaler, the fused optimiser, and what is measured there."""

import logging

import pandas as pd
import pytest
import torch

from cloome.train import loop
from cloome.train.state import State

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

SETTINGS = {"gradient_clip": 1.0, "ema": 0.9, "learn_inv_tau": True, "batch": 12, "crop": 40, "epochs": 12}
ONE = {"processes": 1}


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_gpu_learns_in_each_precision(screen, tmp_path, precision):
    screen.train(tmp_path / "model.pt", precision=precision, running=ONE, **SETTINGS)
    log = pd.read_csv(tmp_path / "train_log.csv")
    assert log["train_loss"].iloc[-1] < log["train_loss"].iloc[0]
    assert log["waiting_share"].between(0, 1).all()
    assert log["peak_memory_mb"].between(1, 2000).all()


def test_a_stopped_training_goes_on_with_its_scaler_and_fused_optimiser(screen, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    saves, save = [], State.save

    def third_is_the_last(state, values):
        save(state, values)
        saves.append(values)
        if len(saves) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "SAVE_SECONDS", 0.0)
        patched.setattr(State, "save", third_is_the_last)
        with pytest.raises(KeyboardInterrupt):
            screen.train(tmp_path / "model.pt", precision="float16", running=ONE, **SETTINGS)
    assert saves[-1]["optimiser"]["param_groups"][0]["fused"]
    assert saves[-1]["scaler"]["scale"] > 0
    screen.train(tmp_path / "model.pt", precision="float16", running=ONE, **SETTINGS)
    assert "going on after epoch" in caplog.text
    assert len(pd.read_csv(tmp_path / "train_log.csv")) == 12
