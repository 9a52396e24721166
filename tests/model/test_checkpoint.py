"""Model files: own and published ones, and what is refused."""

import pytest
import torch

from cloome.config import Images, Model, Molecules, Train
from cloome.errors import FormatError
from cloome.model.checkpoint import load_checkpoint, save_checkpoint
from cloome.model.clip import build_model
from cloome.model.normalisation import Normalisation

CHANNELS = ["DNA", "ER"]
SETTINGS = {
    "model": Model(encoder="resnet14", width=4, pool=1, hidden=8, hidden_layers=1, embedding=4).model_dump(),
    "images": Images(intensity="package", nuclei="DNA").model_dump(),
    "molecules": Molecules(bits=16).model_dump(),
    "train": Train(learn_inv_tau=True).model_dump(),
}
RUN = {"split": "random", "method": "cloob", "seed": 3, "control": None}


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = build_model(Model(**SETTINGS["model"]), len(CHANNELS), 16, 14.3, True)
    network.logit_inv_tau.data.fill_(3.0)
    return network.to(memory_format=torch.channels_last)


@pytest.fixture
def model(network, tmp_path):
    path = tmp_path / "model.pt"
    save_checkpoint(path, network, Normalisation([10.0, 20.5], [1.0, 2.0]), CHANNELS, SETTINGS, RUN)
    return path


def test_a_model_comes_back_as_it_was(network, model):
    loaded = load_checkpoint(model)
    assert (loaded.channels, loaded.settings, loaded.run) == (CHANNELS, SETTINGS, RUN)
    assert (loaded.mean, loaded.std) == ([10.0, 20.5], [1.0, 2.0])
    assert set(loaded.versions) == {"cloome", "torch"}
    assert not loaded.network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor), name
    images = torch.randint(0, 256, (3, 2, 40, 40), dtype=torch.uint8)
    expected = network.eval().encode_image(
        (images.float() - torch.tensor([10.0, 20.5]).view(2, 1, 1)) / torch.tensor([1.0, 2.0]).view(2, 1, 1)
    )
    torch.testing.assert_close(loaded.network.encode_image(loaded.normalise(images)), expected)


def test_a_model_file_holds_no_code(model):
    content = torch.load(model, weights_only=True)
    assert (content["format"], content["version"]) == ("cloome", 2)


def test_equal_models_give_equal_files(network, model, tmp_path):
    again = tmp_path / "again" / "model.pt"
    save_checkpoint(again, network, Normalisation([10.0, 20.5], [1.0, 2.0]), CHANNELS, SETTINGS, RUN)
    assert again.read_bytes() == model.read_bytes()


def test_the_digest_tells_models_apart(network, model, tmp_path):
    loaded = load_checkpoint(model)
    digest = loaded.digest
    loaded.network.to(memory_format=torch.channels_last)
    assert loaded.digest == digest, "the layout in memory does not matter"
    torch.save({**torch.load(model, weights_only=True), "run": {}}, tmp_path / "same.pt")
    assert load_checkpoint(tmp_path / "same.pt").digest == digest
    network.visual.conv1.weight.data[0, 0, 0, 0] += 1e-3
    save_checkpoint(model, network, Normalisation([10.0, 20.5], [1.0, 2.0]), CHANNELS, SETTINGS, RUN)
    assert load_checkpoint(model).digest != digest


@pytest.mark.parametrize("version", [1, 3])
def test_a_model_file_of_another_version_is_refused(model, version):
    torch.save({**torch.load(model, weights_only=True), "version": version}, model)
    with pytest.raises(FormatError, match=f"version {version}, expected 2; train again"):
        load_checkpoint(model)


def test_the_bias_of_siglip_comes_back(tmp_path):
    biased = build_model(Model(**SETTINGS["model"]), len(CHANNELS), 16, 14.3, True, biased=True)
    biased.logit_bias.data.fill_(-7.5)
    run = {**RUN, "method": "siglip"}
    save_checkpoint(tmp_path / "model.pt", biased, Normalisation([1.0, 1.0], [1.0, 1.0]), CHANNELS, SETTINGS, run)
    assert load_checkpoint(tmp_path / "model.pt").network.logit_bias.item() == -7.5


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_model_is_named_as_such(model, share):
    content = model.read_bytes()
    model.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FormatError, match="truncated"):
        load_checkpoint(model)


def test_a_missing_model_is_named_as_such(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        load_checkpoint(tmp_path / "none.pt")


class Payload:
    """An object that only a loader which runs code can load."""


def test_a_pickle_is_not_loaded(tmp_path):
    torch.save({"state_dict": {"module.x": Payload()}}, tmp_path / "evil.pt")
    with pytest.raises(FormatError):
        load_checkpoint(tmp_path / "evil.pt")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"state_dict": {}},
        {"state_dict": {"conv1.weight": torch.zeros(1)}},
        {"state_dict": {"module.conv1.weight": torch.zeros(1)}},
        {"state_dict": {"module.conv1.weight": 3}},
        torch.zeros(3),
        [1, 2],
        {"format": "cloome"},
        {"format": "cloome", "version": 2},
    ],
)
def test_other_content_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(FormatError):
        load_checkpoint(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weights", {}),
        ("weights", None),
        ("channels", ["DNA"]),
        ("mean", None),
        ("std", [1.0]),
        ("settings", {**SETTINGS, "model": {**SETTINGS["model"], "width": 8}}),
        ("settings", {**SETTINGS, "train": {"rate": 1.0}}),
        ("settings", {}),
    ],
)
def test_a_model_file_that_does_not_fit_together_is_refused(model, key, value):
    content = torch.load(model, weights_only=True)
    torch.save({**content, key: value}, model)
    with pytest.raises(FormatError, match="train again"):
        load_checkpoint(model)


def test_a_failed_write_leaves_the_old_model(network, model):
    before = model.read_bytes()
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(model, network, Normalisation([1.0], [1.0]), CHANNELS, {"bad": lambda: None}, RUN)
    assert model.read_bytes() == before
    assert [file.name for file in model.parent.iterdir()] == ["model.pt"]
