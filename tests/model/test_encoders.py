"""The two encoders: their size, names, pooling and output."""

import pytest
import torch

from cloome.config import Model
from cloome.errors import ConfigError
from cloome.model.clip import build_model
from cloome.model.feature_map import feature_cells
from cloome.model.image_encoder import Bottleneck, ResNet

TINY = Model(blocks=[1, 1, 1, 1], width=4, pool=2, hidden=8, hidden_layers=2, embedding=6)


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def paper_network():
    return build_model(Model(), channels=5, bits=1024, inv_tau=14.3, learn_inv_tau=False)


def test_the_papers_network_has_the_published_size(paper_network):
    # FACTS 1.7
    assert parameters(paper_network.visual) == 24_563_392
    assert parameters(paper_network.transformer) == 4_731_392
    assert parameters(paper_network) == 29_294_785


def test_the_papers_network_has_the_published_names(paper_network):
    shapes = {name: tuple(tensor.shape) for name, tensor in paper_network.state_dict().items()}
    assert shapes["visual.conv1.weight"] == (64, 5, 7, 7)
    assert shapes["visual.layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["visual.layer1.0.downsample.1.running_mean"] == (256,)
    assert shapes["visual.layer4.2.bn3.weight"] == (2048,)
    assert shapes["visual.fc.weight"] == (512, 2048)
    assert shapes["transformer.layers.0.0.weight"] == (1024, 1024)
    assert shapes["transformer.layers.3.1.running_var"] == (1024,)
    assert shapes["transformer.layers.4.0.weight"] == (512, 1024)
    assert shapes["logit_inv_tau"] == ()


def test_embeddings_have_unit_length_also_in_half_precision():
    network = build_model(TINY, channels=3, bits=16, inv_tau=14.3, learn_inv_tau=False)
    with torch.autocast("cpu", torch.bfloat16):
        image = network.encode_image(torch.randn(4, 3, 64, 96))
        molecule = network.encode_molecule(torch.randint(0, 2, (4, 16)).float())
    for embedding in (image, molecule):
        assert embedding.shape == (4, 6)
        assert embedding.dtype == torch.float32
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))


def test_pooling_weighs_the_centre_of_the_feature_map_more():
    encoder = ResNet(channels=1, blocks=[1, 1, 1, 1], width=4, pool=3, embedding=2).eval()
    cells = torch.randn(1, 128, 4, 6)
    encoder.layer4 = torch.nn.Sequential(Constant(cells))
    windows = [cells[:, :, i : i + 3, j : j + 3].mean(dim=(2, 3)) for i in range(2) for j in range(4)]
    expected = encoder.fc(torch.stack(windows).mean(dim=0))
    torch.testing.assert_close(encoder(torch.randn(1, 1, 128, 192)), expected)

    # How often a cell lies in a window: a corner once, a cell in the middle six times.
    weight = torch.zeros(4, 6)
    for i in range(2):
        for j in range(4):
            weight[i : i + 3, j : j + 3] += 1
    weighted = (cells * weight / weight.sum()).sum(dim=(2, 3))
    torch.testing.assert_close(encoder.fc(weighted), expected)
    assert weight[0, 0] == 1
    assert weight[1, 2] == 6


class Constant(torch.nn.Module):
    """Gives the same feature map for every image."""

    def __init__(self, cells):
        super().__init__()
        self.cells = cells

    def forward(self, _):
        return self.cells


@pytest.mark.parametrize(("pixels", "cells"), [(224, 7), (520, 16), (696, 21)])
def test_size_of_the_feature_map(pixels, cells):
    # FACTS 4, row 13
    assert feature_cells(pixels) == cells


@pytest.mark.parametrize("pixels", [32, 60, 61, 97])
def test_size_of_the_feature_map_is_what_the_network_makes(pixels):
    encoder = ResNet(channels=1, blocks=[1, 1, 1, 1], width=4, pool=1, embedding=2)
    found = []
    encoder.layer4.register_forward_hook(lambda module, before, after: found.append(after.shape[-1]))
    encoder(torch.randn(2, 1, 32, pixels))
    assert found == [feature_cells(pixels)]


@pytest.mark.parametrize("size", [(32, 64), (64, 60), (10, 64)])
def test_images_too_small_for_the_pooling_are_refused(size):
    network = build_model(TINY, channels=3, bits=16, inv_tau=14.3, learn_inv_tau=False)
    with pytest.raises(ConfigError, match=r"model\.pool is 2"):
        network.encode_image(torch.zeros(2, 3, *size))


def test_a_stride_is_an_average_pooling_on_both_branches():
    block = Bottleneck(8, 4, stride=2).eval()
    image = torch.randn(2, 8, 6, 6)
    inner = block.relu(block.bn2(block.conv2(block.relu(block.bn1(block.conv1(image))))))
    pooled = torch.nn.functional.avg_pool2d(inner, 2)
    skipped = block.downsample[2](block.downsample[1](torch.nn.functional.avg_pool2d(image, 2)))
    torch.testing.assert_close(block(image), torch.relu(block.bn3(block.conv3(pooled)) + skipped))


def test_the_temperature_is_held_between_1_and_100():
    network = build_model(TINY, channels=3, bits=16, inv_tau=14.3, learn_inv_tau=True)
    assert network.inv_tau.item() == pytest.approx(14.3)
    for outside, limit in ((5.0, 100.0), (-1.0, 1.0)):
        network.logit_inv_tau.data.fill_(outside)
        network.clamp_inv_tau()
        assert network.inv_tau.item() == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("learn", [True, False])
def test_the_temperature_is_trained_only_on_request(learn):
    network = build_model(TINY, channels=3, bits=16, inv_tau=14.3, learn_inv_tau=learn)
    assert network.logit_inv_tau.requires_grad is learn
