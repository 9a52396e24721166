"""Image encoders of timm: what is tested with timm is skipped where it cannot be loaded."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cloome.config import Model
from cloome.errors import CloomeError, ConfigError, FormatError
from cloome.model.checkpoint import load_checkpoint, save_checkpoint
from cloome.model.clip import build_model
from cloome.model.normalisation import Normalisation
from cloome.model.timm_encoder import TimmEncoder, adapt_channels, load_backbone, timm_encoder

CHANNELS = 5


class Backbone(nn.Module):
    """A convolution and a linear layer; with a classifier, as published weights have it, or without."""

    def __init__(self, channels: int, classes: int = 0, width: int = 4):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, bias=False)
        self.body = nn.Linear(width, 6)
        self.head = nn.Linear(6, classes) if classes else nn.Identity()
        self.pretrained_cfg = {"classifier": "head"}

    def forward(self, images):
        return self.head(self.body(self.stem(images).mean(dim=(2, 3))))


@pytest.fixture
def rgb():
    torch.manual_seed(1)
    return Backbone(3, classes=10).state_dict()


def saved(content, path):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("wrapped", [lambda w: w, lambda w: {"state_dict": w, "epoch": 3}, lambda w: {"model": w}])
def test_weights_of_rgb_images_fill_a_backbone_of_five_channels(rgb, tmp_path, wrapped):
    backbone = Backbone(CHANNELS)
    load_backbone(backbone, saved(wrapped(rgb), tmp_path / "weights.pt"))
    assert torch.equal(backbone.body.weight, rgb["body.weight"])
    assert torch.equal(backbone.stem.weight, adapt_channels(rgb["stem.weight"], CHANNELS))


def test_names_of_parallel_training_are_taken_too(rgb, tmp_path):
    backbone = Backbone(3)
    weights = {f"module.{name}": tensor for name, tensor in rgb.items()}
    load_backbone(backbone, saved(weights, tmp_path / "weights.pt"))
    assert torch.equal(backbone.stem.weight, rgb["stem.weight"])


def test_safetensors_are_taken_too(rgb, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(rgb, tmp_path / "weights.safetensors")
    backbone = Backbone(3)
    load_backbone(backbone, tmp_path / "weights.safetensors")
    assert torch.equal(backbone.stem.weight, rgb["stem.weight"])


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 7])
def test_the_same_picture_in_each_channel_gives_the_same_response(channels):
    weight = torch.randn(4, 3, 5, 5)
    picture = torch.randn(2, 1, 9, 9)
    expected = nn.functional.conv2d(picture.expand(-1, 3, -1, -1), weight)
    if channels in (2, 4, 5, 7):
        # Colours that come up more often than others weigh more.
        expected = sum(nn.functional.conv2d(picture, weight[:, [c % 3]]) for c in range(channels)) * 3 / channels
    adapted = adapt_channels(weight, channels)
    torch.testing.assert_close(nn.functional.conv2d(picture.expand(-1, channels, -1, -1), adapted), expected)


def lacking(weights):
    return {name: tensor for name, tensor in weights.items() if name != "body.bias"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lacking, "the file lacks body.bias"),
        (lambda w: {**w, "body2.bias": torch.zeros(1)}, "the backbone lacks body2.bias"),
        (lambda w: {**w, "body.bias": torch.zeros(7)}, r"body.bias is \(7,\), not \(6,\)"),
        (lambda w: {**w, "stem.weight": torch.zeros(4, 2, 3, 3)}, "stem.weight is"),
        (lambda w: {**w, "stem.weight": torch.zeros(4, 3, 5, 5)}, "stem.weight is"),
        (lambda w: {}, "the file lacks"),
        (lambda w: {**w, "epoch": 3}, "no dictionary of weights"),
        (lambda w: [1, 2], "no dictionary of weights"),
        (lambda w: {"state_dict": SimpleNamespace()}, "no file of plain weights"),
    ],
)
def test_a_file_of_another_backbone_is_refused(rgb, tmp_path, change, reason):
    path = saved(change(rgb), tmp_path / "weights.pt")
    with pytest.raises(FormatError, match=reason):
        load_backbone(Backbone(CHANNELS), path)


@pytest.mark.parametrize("name", ["weights.pt", "weights.bin"])
def test_a_damaged_file_is_named_as_such(rgb, tmp_path, name):
    path = saved(rgb, tmp_path / name)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FormatError, match="truncated"):
        load_backbone(Backbone(3), path)


def test_a_missing_file_is_named_as_such(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        load_backbone(Backbone(3), tmp_path / "none.pt")


def test_a_refused_file_leaves_the_backbone_as_it_was(rgb, tmp_path):
    backbone = Backbone(3)
    before = backbone.stem.weight.clone()
    with pytest.raises(FormatError):
        load_backbone(backbone, saved({**rgb, "body.bias": torch.zeros(7)}, tmp_path / "weights.pt"))
    assert torch.equal(backbone.stem.weight, before)


def test_the_output_has_the_dimension_of_the_embedding():
    encoder = TimmEncoder(Backbone(CHANNELS), features=6, embedding=9)
    assert encoder(torch.randn(2, CHANNELS, 16, 20)).shape == (2, 9)


class Blocked:
    """Makes `import timm` fail as it does where it is not installed, or where torchvision does not fit torch."""

    def __init__(self, error):
        self._error = error

    def find_spec(self, name, path=None, target=None):
        if name == "timm":
            raise self._error


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'timm'"), RuntimeError("operator torchvision::nms does not exist")]
)
def test_without_timm_one_message_says_what_to_do(monkeypatch, error):
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Blocked(error), *sys.meta_path])
    with pytest.raises(CloomeError, match=r"pip install 'cloome\[timm\]'.* torchvision that fits this torch") as raised:
        build_model(Model(encoder="timm:resnet18"), CHANNELS, 16, 14.3, False)
    assert str(error) in str(raised.value)


@pytest.fixture(scope="module")
def timm():
    try:
        import timm
    except Exception as error:
        pytest.skip(f"timm cannot be loaded here: {error}")
    return timm


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_a_backbone_takes_all_channels_and_sizes(timm, name):
    network = build_model(Model(encoder=f"timm:{name}", hidden=8, embedding=6), CHANNELS, 16, 14.3, False).eval()
    assert network.encode_image(torch.randn(2, CHANNELS, 104, 136)).shape == (2, 6)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_weights_become_what_timm_makes_of_them(timm, tmp_path, name):
    file = saved(timm.create_model(name).state_dict(), tmp_path / "weights.pt")
    found = timm_encoder(name, CHANNELS, 6, file).backbone.state_dict()
    expected = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, in_chans=CHANNELS, num_classes=0
    ).state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_model_file_needs_the_backbones_weights_no_more(timm, tmp_path):
    weights = saved(timm.create_model("resnet18").state_dict(), tmp_path / "weights.pt")
    model = Model(encoder="timm:resnet18", encoder_weights=str(weights), hidden=8, embedding=6)
    network = build_model(model, 2, 16, 14.3, False)
    settings = {"model": model.model_dump(), "images": {}, "molecules": {"bits": 16}, "train": {}}
    save_checkpoint(tmp_path / "m.pt", network, Normalisation([1.0] * 2, [1.0] * 2), ["a", "b"], settings, {})
    weights.unlink()
    loaded = load_checkpoint(tmp_path / "m.pt").network
    assert torch.equal(loaded.visual.backbone.conv1.weight, network.visual.backbone.conv1.weight)


def test_an_unknown_backbone_is_answered_with_the_nearest_names(timm):
    with pytest.raises(ConfigError, match="no backbone 'resnet5'; nearest names: resnet50"):
        timm_encoder("resnet5", CHANNELS, 6, None)


def test_an_image_that_the_backbone_does_not_take_is_refused(timm):
    encoder = timm_encoder("swin_tiny_patch4_window7_224", CHANNELS, 6, None)
    with pytest.raises(ConfigError, match=r"does not take images of 104 x 136 pixels.*train\.crop"):
        encoder(torch.randn(1, CHANNELS, 104, 136))
