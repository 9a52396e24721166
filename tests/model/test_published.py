"""Published checkpoints: the names and shapes of FACTS 1.7, and the embeddings that the described network gives.

The weights are not the published ones, which are too large to ship, but filled by a rule. What they should give is
written out below with nothing but functions of PyTorch and RDKit.
"""

import math
from zlib import crc32

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from cloome import Cloome
from cloome.errors import FormatError
from cloome.model.checkpoint import load_checkpoint

CHANNELS = ["Mito", "ERSyto", "ERSytoBleed", "Ph_golgi", "Hoechst"]  # FACTS 4, row 9
MEAN = [47.1314, 40.8138, 53.7692, 46.2656, 28.7243]  # FACTS 4, row 5; divided by as well
BLOCKS = [3, 4, 6, 3]
# Its own settings are not in a published file; the two files (FACTS 5.4) differ in training alone.
FILES = ["cloome-retrieval-zero-shot.pt", "cloome-bioactivity.pt"]


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published state dict, without ``module.``."""
    shapes = {"logit_inv_tau": ()}

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    def convolution(name: str, norm_name: str, inputs: int, outputs: int, side: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, side, side)
        norm(norm_name, outputs)

    convolution("visual.conv1", "visual.bn1", 5, 64, 7)
    before = 64
    for stage, blocks in enumerate(BLOCKS):
        width = 64 * 2**stage
        for block in range(blocks):
            name = f"visual.layer{stage + 1}.{block}"
            convolution(f"{name}.conv1", f"{name}.bn1", before, width, 1)
            convolution(f"{name}.conv2", f"{name}.bn2", width, width, 3)
            convolution(f"{name}.conv3", f"{name}.bn3", width, 4 * width, 1)
            if block == 0:
                convolution(f"{name}.downsample.0", f"{name}.downsample.1", before, 4 * width, 1)
            before = 4 * width
    linear("visual.fc", 2048, 512)
    for layer in range(4):
        linear(f"transformer.layers.{layer}.0", 1024, 1024)
        norm(f"transformer.layers.{layer}.1", 1024)
    linear("transformer.layers.4.0", 1024, 512)
    return shapes


def filled(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor by its name, the same each time, of a size that keeps 50 layers finite."""
    random = np.random.default_rng(crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1000)
    if name == "logit_inv_tau":
        return torch.tensor(math.log(30.0))
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        values = random.uniform(0.5, 1.5, shape)
    elif name.endswith("weight"):
        values = random.normal(0.0, math.sqrt(2 / math.prod(shape[1:])), shape)
    else:
        values = random.normal(0.0, 0.1, shape)
    return torch.from_numpy(values).float()


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return {name: filled(name, shape) for name, shape in published_shapes().items()}


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    content = {
        "epoch": 63,
        "name": "2022-05-20_RN50",
        "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()},
        "optimizer": {"state": {0: {"step": 5, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 5e-4}]},
    }
    folder = tmp_path_factory.mktemp("published")
    for name in FILES:
        torch.save(content, folder / name)
    return folder


@pytest.fixture(scope="module")
def model(folder) -> Cloome:
    return Cloome.load(folder / FILES[0])


@pytest.fixture(scope="module")
def field(real_data) -> np.ndarray:
    """The real Bray field: uint16 (1, 5, 520, 696)."""
    return np.stack([tifffile.imread(real_data / "bray" / "field" / f"{channel}.tif") for channel in CHANNELS])[None]


def scaled(channel: np.ndarray) -> np.ndarray:
    """16 to 8 bit (FACTS 4, rows 1 and 2): the tenth-brightest of 361,920 pixels becomes 256; clipped, truncated."""
    brightest = sorted(channel.flatten().tolist())[-round(channel.size * 2.8e-5) :]
    values = channel.astype(np.float64) * (256 / brightest[0])
    return np.minimum(values, 255).astype(np.uint8)


def described_image_embedding(weights: dict[str, torch.Tensor], image: np.ndarray) -> np.ndarray:
    """Embedding of one field, uint8 (5, H, W), as FACTS 4, rows 4, 5 and 13 describe it."""

    def convolved(x, name, norm, **how):
        x = F.conv2d(x, weights[f"visual.{name}.weight"], **how)
        mean, var, scale, shift = (
            weights[f"visual.{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, scale, shift)

    mean = torch.tensor(MEAN).view(1, 5, 1, 1)
    x = (torch.from_numpy(image.astype(np.float32))[None] - mean) / mean
    x = F.max_pool2d(F.relu(convolved(x, "conv1", "bn1", stride=2, padding=3)), 3, stride=2, padding=1)
    for stage, blocks in enumerate(BLOCKS):
        for block in range(blocks):
            name, stride = f"layer{stage + 1}.{block}", 2 if stage > 0 and block == 0 else 1
            inner = F.relu(convolved(x, f"{name}.conv1", f"{name}.bn1"))
            inner = F.relu(convolved(inner, f"{name}.conv2", f"{name}.bn2", padding=1))
            inner = convolved(F.avg_pool2d(inner, stride), f"{name}.conv3", f"{name}.bn3")
            if block == 0:
                x = convolved(F.avg_pool2d(x, stride), f"{name}.downsample.0", f"{name}.downsample.1")
            x = F.relu(inner + x)
    # Each cell weighs as often as it lies in a window of 7 x 7 cells.
    height, width = x.shape[2:]
    weight = torch.zeros(height, width)
    for top in range(height - 6):
        for left in range(width - 6):
            weight[top : top + 7, left : left + 7] += 1
    pooled = (x * weight).sum(dim=(2, 3)) / weight.sum()
    features = F.linear(pooled, weights["visual.fc.weight"], weights["visual.fc.bias"])
    return (features / features.norm()).numpy()


def described_molecule_embedding(weights: dict[str, torch.Tensor], smiles: str) -> np.ndarray:
    """Embedding of one structure: Morgan bits of radius 3 with chirality, four hidden layers (FACTS 1.7)."""
    generator = GetMorganGenerator(radius=3, fpSize=1024, includeChirality=True)
    x = torch.from_numpy(generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(smiles)).astype(np.float32))[None]
    for layer in range(4):
        first, norm = f"transformer.layers.{layer}.0", f"transformer.layers.{layer}.1"
        x = F.linear(x, weights[f"{first}.weight"], weights[f"{first}.bias"])
        x = (x - weights[f"{norm}.running_mean"]) / torch.sqrt(weights[f"{norm}.running_var"] + 1e-5)
        x = F.relu(x * weights[f"{norm}.weight"] + weights[f"{norm}.bias"])
    x = F.linear(x, weights["transformer.layers.4.0.weight"], weights["transformer.layers.4.0.bias"])
    return (x / x.norm()).numpy()


def test_the_names_and_shapes_have_the_published_number_of_parameters():
    trained = {n: s for n, s in published_shapes().items() if "running_" not in n and "num_batches" not in n}
    sizes = {name: math.prod(shape) for name, shape in trained.items()}
    assert sum(size for name, size in sizes.items() if name.startswith("visual.")) == 24_563_392
    assert sum(size for name, size in sizes.items() if name.startswith("transformer.")) == 4_731_392
    assert sum(sizes.values()) == 29_294_785


@pytest.mark.parametrize("name", FILES)
def test_a_published_file_loads_as_it_is(folder, weights, name):
    loaded = load_checkpoint(folder / name)
    found = loaded.network.state_dict()
    assert set(found) == set(weights)
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert loaded.network.inv_tau.item() == pytest.approx(30.0)
    assert loaded.channels == CHANNELS
    assert loaded.mean == loaded.std == MEAN
    assert loaded.settings["images"]["intensity"] == "paper"
    assert loaded.settings["molecules"] == {
        "standardise": False,
        "radius": 3,
        "bits": 1024,
        "chirality": True,
        "counts": False,
    }


@pytest.mark.parametrize("change", ["one is missing", "one is of another shape", "one is unknown"])
def test_weights_of_another_network_are_refused(weights, tmp_path, change):
    changed = {f"module.{name}": tensor for name, tensor in weights.items()}
    if change == "one is missing":
        del changed["module.visual.fc.bias"]
    if change == "one is of another shape":
        changed["module.visual.conv1.weight"] = torch.zeros(64, 3, 7, 7)
    if change == "one is unknown":
        changed["module.visual.layer3.6.conv1.weight"] = torch.zeros(1)
    torch.save({"state_dict": changed}, tmp_path / "other.pt")
    with pytest.raises(FormatError, match="not the network of the paper"):
        load_checkpoint(tmp_path / "other.pt")


@pytest.mark.parametrize("crop", [None, (520, 520), (224, 224)])
def test_a_real_field_gets_the_embedding_of_the_described_network(model, weights, field, crop):
    image = np.stack([scaled(channel) for channel in field[0]])
    height, width = crop or image.shape[1:]
    top, left = (520 - height) // 2, (696 - width) // 2
    with torch.inference_mode():
        expected = described_image_embedding(weights, image[:, top : top + height, left : left + width])
    np.testing.assert_allclose(model.encode_images(field, crop), expected, atol=1e-5)


def test_another_field_gets_another_embedding(model, field):
    # Else the agreement above would say nothing.
    found = model.encode_images(np.concatenate([field, field[:, ::-1]]), (224, 224))
    assert abs(found[0] - found[1]).max() > 1e-3


def test_a_structure_gets_the_embedding_of_the_described_network(model, weights):
    smiles = ["C[C@H](N)C(=O)O", "CC(=O)Oc1ccccc1C(=O)O"]
    with torch.inference_mode():
        expected = np.concatenate([described_molecule_embedding(weights, one) for one in smiles])
    np.testing.assert_allclose(model.encode_molecules(smiles), expected, atol=1e-5)
