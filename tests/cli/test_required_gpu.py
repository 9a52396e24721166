"""With `running.gpu`, no command computes on the CPU for want of a GPU: it ends before it reads anything."""

import pytest
import torch

from cloome.cli import main

COMMANDS = {
    "train": "--molecules none.h5 --split none.csv --method cloob --seed 0 --state state",
    "embed": "--molecules none.h5 --model none.pt",
    "gapnet": "--weights none.tar",
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_must_have_a_gpu_ends_without_one(command, root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files = "--plates none.h5 --index none.parquet --out out"
    assert main([command, "--config", str(root / "config/paper.yaml"), *files.split(), *COMMANDS[command].split()]) == 1
    assert "running.gpu is true" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
