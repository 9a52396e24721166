"""GapNet as published (hti-cnn, FACTS 1.4): its names and shapes, and the features that the described network gives.

The weights are not the published ones, but drawn with the published names and shapes. What they should give is written
out below with nothing but functions of PyTorch.
"""

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F

from cloome.errors import FormatError
from cloome.model.gapnet import load_gapnet

CHANNELS = ["Mito", "ERSyto", "ERSytoBleed", "Ph_golgi", "Hoechst"]
# Place in the block: input and output channels. Even places are convolutions of 3 x 3, odd ones SELU.
CONVOLUTIONS = {
    "block1": {0: (5, 32)},
    "block2": {0: (32, 64), 2: (64, 64), 4: (64, 64)},
    "block3": {0: (64, 128), 2: (128, 128), 4: (128, 128)},
    "block4": {0: (128, 256), 2: (256, 256), 4: (256, 256)},
}
LINEAR = {0: (480, 1024), 3: (1024, 1024), 6: (1024, 209)}
# Windows of the published average pooling, for fields of 520 x 696: each covers all of its block's output.
WINDOWS = [(130, 174), (33, 44), (16, 22), (16, 22)]


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """The published names without ``module.``, and weights that keep the size of the values."""
    rng = torch.Generator().manual_seed(0)
    values = {}
    for block, convolutions in CONVOLUTIONS.items():
        for place, (before, after) in convolutions.items():
            values[f"{block}.{place}.weight"] = torch.randn(after, before, 3, 3, generator=rng) / (9 * before) ** 0.5
            values[f"{block}.{place}.bias"] = torch.randn(after, generator=rng)
    for place, (before, after) in LINEAR.items():
        values[f"classifier.{place}.weight"] = torch.randn(after, before, generator=rng) / before**0.5
        values[f"classifier.{place}.bias"] = torch.randn(after, generator=rng)
    return values


def written(path, weights, **how):
    content = {
        "samples_seen": 28_000_000,
        "epoch": 99,
        "model": "models.GAPNet",
        "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()},
        "performance": 0.5,
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.01, "momentum": 0.9}]},
    }
    torch.save(content, path, **how)
    return path


@pytest.fixture(scope="module")
def field(real_data) -> torch.Tensor:
    """The real Bray field, cut and scaled as upstream does: uint8 (1, 5, 520, 696)."""
    channels = []
    for channel in CHANNELS:
        pixels = tifffile.imread(real_data / "bray" / "field" / f"{channel}.tif")
        brightest = np.sort(pixels, axis=None)[-10]
        channels.append(np.minimum(pixels * (256 / brightest), 255).astype(np.uint8))
    return torch.from_numpy(np.stack(channels)[None])


def described_features(weights, image: torch.Tensor) -> torch.Tensor:
    """What enters the last SELU, from one field of values 0 to 255."""

    def convolved(x, name, **how):
        return F.selu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **how))

    x = image.float()
    x1 = F.max_pool2d(convolved(x, "block1.0", stride=2, padding=1), 2)
    x = convolved(x1, "block2.0", stride=2, padding=1)
    x = convolved(convolved(x, "block2.2", padding=1), "block2.4", padding=1)
    x2 = F.max_pool2d(x, 2, padding=1)
    x = convolved(convolved(convolved(x2, "block3.0", padding=1), "block3.2", padding=1), "block3.4", padding=1)
    x3 = F.max_pool2d(x, 2)
    x = convolved(convolved(x3, "block4.0", padding=2, dilation=2), "block4.2", padding=2, dilation=2)
    x4 = convolved(x, "block4.4", padding=4, dilation=4)
    means = [F.avg_pool2d(x, window).flatten(1) for x, window in zip((x1, x2, x3, x4), WINDOWS, strict=True)]
    x = F.selu(F.linear(torch.cat(means, 1), weights["classifier.0.weight"], weights["classifier.0.bias"]))
    return F.linear(x, weights["classifier.3.weight"], weights["classifier.3.bias"])


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "the format of 2018"])
def test_a_real_field_gets_the_features_of_the_described_network(tmp_path, weights, field, zipped):
    network = load_gapnet(written(tmp_path / "gapnet.pth.tar", weights, _use_new_zipfile_serialization=zipped))
    with torch.inference_mode():
        found, expected = network.features(field), described_features(weights, field)
    assert found.shape == (1, 1024)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_a_field_of_another_size_has_features_too(tmp_path, weights):
    network = load_gapnet(written(tmp_path / "gapnet.pth.tar", weights))
    with torch.inference_mode():
        assert network.features(torch.zeros(2, 5, 128, 160, dtype=torch.uint8)).isfinite().all()


@pytest.mark.parametrize("change", ["no such file", "no weights", "cut off", "another network", "no state dict"])
def test_another_file_is_refused(tmp_path, weights, change):
    path = tmp_path / "gapnet.pth.tar"
    if change == "no weights":
        path.write_text("404 Not Found")
    if change == "cut off":
        whole = written(path, weights).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    if change == "another network":
        written(path, {**weights, "block1.0.weight": torch.zeros(32, 3, 3, 3)})
    if change == "no state dict":
        torch.save([1, 2], path)
    with pytest.raises(FormatError, match=r"gapnet\.pth\.tar: (no such file|truncated|not GapNet)"):
        load_gapnet(path)
