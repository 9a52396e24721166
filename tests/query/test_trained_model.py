"""The stable interface with real model files: an own one, and one in the published form."""

import json

import numpy as np
import pytest
import torch

from cloome import Cloome
from cloome.cli import main
from cloome.config import PAPER_CHANNELS, Embed, Images, Model, Molecules, Train
from cloome.data.embeddings import Embeddings, write_embeddings
from cloome.data.pixels import read_pixels
from cloome.errors import FormatError
from cloome.model.checkpoint import save_checkpoint
from cloome.model.clip import build_model
from cloome.model.normalisation import paper

TINY = Model(encoder="resnet14", width=4, pool=1, hidden=16, hidden_layers=1, embedding=8)


def network(settings: Model, bits: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(settings, len(PAPER_CHANNELS), bits, inv_tau=14.3, learn_inv_tau=False).eval()


@pytest.fixture
def own_file(tmp_path):
    sections = {"model": TINY, "images": Images(), "molecules": Molecules(bits=128), "embed": Embed(), "train": Train()}
    settings = json.loads(json.dumps({name: section.model_dump() for name, section in sections.items()}))
    path = tmp_path / "model.pt"
    save_checkpoint(path, network(TINY, 128), paper(PAPER_CHANNELS), PAPER_CHANNELS, settings, {"split": "random"})
    return path


def check_embeddings(embeddings: np.ndarray, shape: tuple[int, int]) -> None:
    assert embeddings.shape == shape
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


def test_an_own_model_encodes_both_sides(own_file):
    model = Cloome.load(own_file)
    images = np.random.default_rng(0).integers(0, 4096, (3, 5, 64, 80), dtype=np.uint16)
    check_embeddings(model.encode_images(images), (3, 8))
    check_embeddings(model.encode_molecules(["CCO", "c1ccccc1"]), (2, 8))
    assert model.channels == PAPER_CHANNELS
    np.testing.assert_array_equal(model.encode_images(images), Cloome.load(own_file).encode_images(images))


def test_a_published_model_encodes_both_sides(tmp_path):
    weights = {f"module.{name}": tensor for name, tensor in network(Model(), 1024).state_dict().items()}
    torch.save({"epoch": 1, "state_dict": weights}, tmp_path / "published.pt")
    model = Cloome.load(tmp_path / "published.pt")
    images = np.random.default_rng(0).integers(0, 4096, (1, 5, 224, 224), dtype=np.uint16)
    check_embeddings(model.encode_images(images), (1, 512))
    check_embeddings(model.encode_molecules(["CCO"]), (1, 512))


def test_another_file_is_no_model(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"weights")
    with pytest.raises(FormatError, match="not a file of PyTorch weights"):
        Cloome.load(tmp_path / "model.pt")


def test_a_real_field_finds_the_molecule_it_was_given(own_file, real_data, tmp_path, capsys):
    files = {channel: real_data / "bray" / "field" / f"{channel}.tif" for channel in sorted(PAPER_CHANNELS)}
    model = Cloome.load(own_file)
    field = np.stack([read_pixels(files[channel]) for channel in PAPER_CHANNELS])
    image = model.encode_images(field[np.newaxis], (64, 96))
    # Its own embedding and the opposite one stand for two molecules.
    molecules = Embeddings(
        sample_key=np.array(["f"], object),
        image=image,
        length=np.ones(1, np.float32),
        inchikey=np.array(["SAME", "OPPOSITE"], object),
        molecule=np.vstack([image, -image]),
        crop=(64, 96),
        model=model.digest,
    )
    write_embeddings(molecules, tmp_path / "embeddings.h5")
    words = ["query", "--model", str(own_file), "--embeddings", str(tmp_path / "embeddings.h5"), "--image"]
    assert main([*words, *(f"{channel}={file}" for channel, file in files.items())]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rank\tsimilarity\tinchikey",
        "1\t1.0000\tSAME",
        "2\t-1.0000\tOPPOSITE",
    ]
