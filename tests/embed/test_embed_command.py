"""Embeddings are what the network makes of each image's centre and of each fingerprint, in the order of the inputs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cloome.config import Config, Embed, Images, Model, Molecules, Train
from cloome.data.embeddings import read_embeddings
from cloome.data.index import write_index
from cloome.data.molecules import Molecules as MoleculeFile
from cloome.data.molecules import write_molecules
from cloome.data.plates import Field, open_plate, write_plate
from cloome.embed.command import embed
from cloome.embed.processes import wanted_processes
from cloome.errors import ConfigError, FormatError
from cloome.model.checkpoint import load_checkpoint, save_checkpoint
from cloome.model.clip import build_model
from cloome.model.normalisation import Normalisation

CHANNELS = ["DNA", "ER"]
SIZES = {"P1": (40, 72), "P2": (70, 64)}  # plates of one screen may differ
SETTINGS = {
    "model": Model(encoder="resnet14", width=4, pool=1, hidden=8, hidden_layers=1, embedding=6),
    "images": Images(),
    "molecules": Molecules(bits=16),
    "embed": Embed(),
    "train": Train(),
}


class SmallScreen:
    """Two plates of five images, four molecules, and an untrained model."""

    def __init__(self, folder: Path):
        random = np.random.default_rng(0)
        self.folder = folder
        self.images = {}
        for plate, size in SIZES.items():
            fields = [
                Field("A01", site, random.integers(0, 256, (2, *size), dtype=np.uint8), 1) for site in range(1, 6)
            ]
            write_plate(folder / f"{plate}.h5", plate, CHANNELS, fields, "test", {})
            self.images |= {f"{plate}-A01-{field.site}": field.image for field in fields}
        self.keys = [str(key) for key in random.permutation(sorted(self.images))]
        write_index(pd.DataFrame({"sample_key": self.keys}), folder / "index.parquet")
        self.fingerprints = self.write_molecules(bits=16)
        self.write_model(CHANNELS)

    def write_molecules(self, bits: int) -> np.ndarray:
        fingerprints = np.random.default_rng(1).integers(0, 2, (4, bits), dtype=np.uint8)
        texts = {name: [f"{name}-{row}" for row in range(4)] for name in ("inchikey", "smiles", "scaffold", "name")}
        table = pd.DataFrame({**texts, "mechanism": [""] * 4})
        write_molecules(MoleculeFile(table, fingerprints), self.folder / "molecules.h5", {})
        return fingerprints

    def write_model(self, channels: list[str], pool: int = 1) -> None:
        torch.manual_seed(0)
        settings = {**SETTINGS, "model": SETTINGS["model"].model_copy(update={"pool": pool})}
        network = build_model(settings["model"], len(channels), 16, 14.3, False)
        # Running statistics that differ from those of a batch show whether the network is in evaluation mode.
        for layer in network.modules():
            if hasattr(layer, "running_mean"):
                layer.running_mean.normal_(std=0.1)
        normalise = Normalisation([100.0] * len(channels), [50.0] * len(channels))
        plain = {name: section.model_dump() for name, section in settings.items()}
        save_checkpoint(self.folder / "model.pt", network, normalise, channels, plain, {"split": "random"})

    def run(self, processes=1, readers=4, **settings):
        screen = {"kind": "archives", "name": "small", "plates": []}
        running = {"processes": processes, "readers": readers}
        config = Config.model_validate({"stage": "embed", "screen": screen, "embed": settings, "running": running})
        names = ("index.parquet", "molecules.h5", "model.pt", "embeddings.h5")
        plates = [str(self.folder / f"{plate}.h5") for plate in SIZES]
        embed(config, plates, *(self.folder / name for name in names))
        return read_embeddings(self.folder / "embeddings.h5")


@pytest.fixture
def screen(tmp_path) -> SmallScreen:
    return SmallScreen(tmp_path)


@pytest.mark.parametrize("batch", [1, 3, 256])
def test_embeddings_are_what_the_network_makes_of_each_image_alone(screen, batch):
    found = screen.run(height=48, width=64, batch=batch)
    assert found.sample_key.tolist() == screen.keys
    assert found.inchikey.tolist() == [f"inchikey-{row}" for row in range(4)]
    network = load_checkpoint(screen.folder / "model.pt").network
    with torch.inference_mode():
        for key, embedding, length in zip(screen.keys, found.image, found.length, strict=True):
            # P1 is 40 x 72, so it is taken whole in height; P2 is 70 x 64.
            crop = screen.images[key][:, :, 4:68] if key.startswith("P1") else screen.images[key][:, 11:59]
            pixels = (torch.from_numpy(crop.astype(np.float32)) - 100) / 50
            np.testing.assert_allclose(embedding, network.encode_image(pixels[None])[0].numpy(), atol=1e-5)
            np.testing.assert_allclose(length, network.visual(pixels[None])[0].norm().item(), rtol=1e-4)
        for fingerprint, embedding in zip(screen.fingerprints, found.molecule, strict=True):
            expected = network.encode_molecule(torch.from_numpy(fingerprint[None].astype(np.float32)))[0].numpy()
            np.testing.assert_allclose(embedding, expected, atol=1e-5)


@pytest.mark.parametrize(("processes", "readers"), [(1, 1), (2, 4)])
def test_embeddings_do_not_depend_on_the_number_of_processes_and_readers(screen, processes, readers):
    alone = screen.run(height=48, width=64)
    several = screen.run(processes, readers, height=48, width=64)
    assert several.sample_key.tolist() == alone.sample_key.tolist()
    np.testing.assert_allclose(several.image, alone.image, atol=1e-5)
    np.testing.assert_allclose(several.length, alone.length, rtol=1e-5)
    np.testing.assert_array_equal(several.molecule, alone.molecule)


def test_there_are_as_many_processes_as_asked_for_but_no_more_than_images():
    assert wanted_processes(3, 10) == 3
    assert wanted_processes(30, 10) == 10
    assert wanted_processes(2, 0) == 1
    assert wanted_processes(None, 10**9) == max(1, torch.cuda.device_count())


def test_a_damaged_image_is_named_by_a_process_of_its_own_too(screen):
    fields = [Field("A01", site, screen.images[f"P1-A01-{site}"], 1) for site in range(1, 6)]
    write_plate(screen.folder / "P1.h5", "P1", CHANNELS, fields, "test", {}, "gzip")
    with open_plate(screen.folder / "P1.h5") as plate:
        place = plate.images.id.get_chunk_info(0).byte_offset
    with open(screen.folder / "P1.h5", "r+b") as file:
        file.seek(place)
        file.write(b"damage" * 20)
    with pytest.raises(FormatError, match=r"P1\.h5: an image is damaged"):
        screen.run(processes=2)


def test_embeddings_are_float32_of_unit_length_and_differ(screen):
    found = screen.run(height=40, width=64)
    for embedding in (found.image, found.molecule):
        assert embedding.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1.0, rtol=1e-5)
        assert len(np.unique(embedding.round(6), axis=0)) == len(embedding)


def test_the_file_names_the_crop_and_the_model(screen):
    found = screen.run(height=40, width=64)
    assert found.crop == (40, 64)
    assert found.model == load_checkpoint(screen.folder / "model.pt").digest


def test_a_model_for_other_channels_is_refused(screen):
    screen.write_model(["ER", "DNA"])
    with pytest.raises(FormatError, match="made for the channels ER, DNA, but the plates have DNA, ER"):
        screen.run()
    assert not (screen.folder / "embeddings.h5").exists()


def test_fingerprints_of_another_length_are_refused(screen):
    screen.write_molecules(bits=32)
    with pytest.raises(FormatError, match=r"fingerprints of 16 bits, but .* has 32"):
        screen.run()


def test_images_too_small_for_the_model_are_refused(screen):
    screen.write_model(CHANNELS, pool=2)
    with pytest.raises(ConfigError, match=r"model\.pool is 2"):
        screen.run(height=40, width=64)
    assert not (screen.folder / "embeddings.h5").exists()
