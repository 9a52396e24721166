"""The two encoders: their size, names, pooling and output."""

import pytest
import torch

from cloome.config import Model
from cloome.errors import ConfigError
from cloome.model.clip import build_model
from cloome.model.feature_map import feature_cells
from cloome.model.image_encoder import BLOCKS, Bottleneck, ResNet

TINY = Model(encoder="resnet14", width=4, pool=2, hidden=8, hidden_layers=2, embedding=6)


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


@pytest.mark.parametrize(
    ("encoder", "convolutions"),
    [("resnet14", 14), ("resnet26", 26), ("resnet50", 50), ("resnet101", 101), ("resnet152", 152)],
)
def test_an_encoder_has_as_many_layers_as_its_name_says(encoder, convolutions):
    visual = build_model(Model(encoder=encoder, width=4, hidden=8), 2, 16, 14.3, False).visual
    layers = [
        name
        for name, module in visual.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and "downsample" not in name
    ]
    assert len(layers) == convolutions
    assert [len(stage) for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4)] == BLOCKS[encoder]


def test_the_sizes_of_the_encoders_are_settings():
    settings = Model(encoder="resnet14", width=8, pool=3, hidden=12, hidden_layers=3, embedding=10)
    network = build_model(settings, 3, 32, 14.3, False)
    assert network.visual.conv1.weight.shape == (8, 3, 7, 7)
    assert network.visual.avgpool.kernel_size == 3
    assert [tuple(layer[0].weight.shape) for layer in network.transformer.layers] == [
        (12, 32),
        (12, 12),
        (12, 12),
        (10, 12),
    ]


def test_a_resnet_takes_no_file_of_weights(tmp_path):
    with pytest.raises(ConfigError, match="encoder_weights: null"):
        build_model(Model(encoder="resnet14", encoder_weights=str(tmp_path / "none.pt")), 3, 16, 14.3, False)


def test_images_and_molecules_pass_the_network_together():
    network = build_model(TINY, channels=3, bits=16, inv_tau=14.3, learn_inv_tau=False).eval()
    images, fingerprints = torch.randn(4, 3, 64, 96), torch.randint(0, 2, (4, 16)).float()
    x, y = network(images, fingerprints)
    assert torch.equal(x, network.encode_image(images))
    assert torch.equal(y, network.encode_molecule(fingerprints))


def test_the_molecule_encoder_takes_counts():
    network = build_model(TINY, channels=3, bits=16, inv_tau=14.3, learn_inv_tau=False).eval()
    counts = torch.randint(0, 256, (4, 16)).float()
    assert not torch.allclose(network.encode_molecule(counts), network.encode_molecule(counts.clamp(max=1)))


@pytest.mark.parametrize(("pixels", "cells"), [((224, 224), (7, 7)), ((520, 520), (16, 16)), ((520, 696), (16, 21))])
def test_pooling_weighs_the_centre_of_the_feature_map_more(pixels, cells):
    # FACTS 4, row 13: a mean over all windows of 7 x 7 cells, with one window at 224 pixels, where cells weigh alike.
    encoder = ResNet(channels=1, blocks=[1, 1, 1, 1], width=4, pool=7, embedding=2).eval()
    height, width = cells
    features = torch.randn(1, 128, height, width)
    encoder.layer4.register_forward_hook(lambda module, before, after: constant(features, after))
    weight = [[0] * width for _ in range(height)]
    for top in range(height - 7 + 1):
        for left in range(width - 7 + 1):
            for i in range(top, top + 7):
                for j in range(left, left + 7):
                    weight[i][j] += 1
    weight = torch.tensor(weight)
    expected = encoder.fc((features * weight / weight.sum()).sum(dim=(2, 3)))
    torch.testing.assert_close(encoder(torch.randn(1, 1, *pixels)), expected)
    assert weight[0, 0] == 1
    assert weight[height // 2, width // 2] == min(7, height - 6) * min(7, width - 6)


def constant(features, found):
    """Gives these features in place of those found, which have the same shape."""
    assert found.shape == features.shape
    return features


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


def test_only_siglip_has_a_bias():
    assert build_model(TINY, 3, 16, 14.3, False).logit_bias is None
    biased = build_model(TINY, 3, 16, 14.3, False, biased=True)
    assert biased.logit_bias.item() == -10.0
    assert biased.logit_bias.requires_grad
