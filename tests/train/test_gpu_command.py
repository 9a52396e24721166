"""The look for a GPU: seconds, one line that says what to do, and no file where there is none."""

import pytest
import torch

from cloome.cli import main
from cloome.errors import ConfigError
from cloome.model.device import require_gpu

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@without_gpu
def test_a_machine_without_a_gpu_is_told_what_to_do(tmp_path, capsys):
    assert main(["gpu", "--out", str(tmp_path / "gpu.txt")]) == 1
    said = capsys.readouterr().err
    assert "running.gpu is true" in said
    assert "gpu: false" in said
    assert not list(tmp_path.iterdir())


@without_gpu
def test_a_build_for_the_cpu_and_a_missing_gpu_are_told_apart(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ConfigError, match=r"build for the CPU; .* envs/train\.gpu\.yaml"):
        require_gpu()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(ConfigError, match=r"sees none; .* profiles/slurm/profile\.yaml"):
        require_gpu()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_gpu_is_named(tmp_path):
    assert main(["gpu", "--out", str(tmp_path / "gpu.txt")]) == 0
    assert torch.cuda.get_device_name(0) in (tmp_path / "gpu.txt").read_text()
