"""A small screen: two plates, eight molecules in one well per plate, two sites, three channels of 40 x 48 pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cloome.config import Config
from cloome.data.index import read_index, write_index
from cloome.data.molecules import Molecules, write_molecules
from cloome.data.plates import Field, open_plate, write_plate
from cloome.data.splits import write_split
from cloome.train.command import train

CHANNELS = ["DNA", "ER", "AGP"]
MOLECULES = [f"MOLECULE-{number}" for number in range(8)]
SETTINGS = {
    "screen": {"kind": "archives", "name": "small", "plates": [], "channels": CHANNELS},
    "images": {"nuclei": "DNA"},
    "molecules": {"bits": 32},
    "model": {
        "encoder": "resnet14",
        "width": 4,
        "pool": 1,
        "hidden": 16,
        "hidden_layers": 1,
        "embedding": 8,
    },
    "train": {"epochs": 4, "batch": 4, "crop": 32, "warmup": 2, "precision": "float32", "learning_rate": 0.01},
    "embed": {"height": 32, "width": 32},
}


@dataclass
class SmallScreen:
    """The inputs of a training."""

    folder: Path
    plates: list[str]
    names: tuple[str, ...] = tuple(MOLECULES)

    @property
    def index(self) -> Path:
        return self.folder / "index.parquet"

    @property
    def molecules(self) -> Path:
        return self.folder / "molecules.h5"

    @property
    def split(self) -> Path:
        return self.folder / "random.csv"

    def config(self, normalisation: str = "measured", running: dict | None = None, **train) -> Config:
        """The configuration of the stage, with some settings of the section train changed."""
        model, training = {**SETTINGS["model"], "normalisation": normalisation}, {**SETTINGS["train"], **train}
        sections = {"model": model, "train": training, "running": running or {}}
        return Config.model_validate({"stage": "train", **SETTINGS, **sections})

    def inputs(self) -> dict:
        """The inputs as the stage's functions name them."""
        return {"plates": self.plates, "index": self.index, "molecules": self.molecules, "split": self.split}

    def train(self, out: Path, method="cloob", seed=0, control=None, state=None, **settings) -> Path:
        """Train with some settings changed; returns the model's path."""
        state = state or out.with_suffix(".state")
        train(self.config(**settings), **self.inputs(), method=method, seed=seed, control=control, state=state, out=out)
        return out

    def image(self, sample_key: str) -> np.ndarray:
        """One image, read the plain way."""
        for path in self.plates:
            with open_plate(path) as plate:
                keys = plate.fields()["sample_key"].tolist()
                if sample_key in keys:
                    return plate.images[keys.index(sample_key)]
        raise KeyError(sample_key)

    def inchikey(self) -> pd.Series:
        """The molecule of each image."""
        return read_index(self.index).set_index("sample_key")["inchikey"]


def write_screen(folder: Path, size=(40, 48), seed=0) -> SmallScreen:
    """Molecules 0 to 5 train, 6 is for validation and 7 for the test."""
    random = np.random.default_rng(seed)
    screen = SmallScreen(folder, [str(folder / f"{plate}.h5") for plate in ("P1", "P2")])
    tables = []
    for path in screen.plates:
        fields = [
            Field(f"A{well:02d}", site, random.integers(0, 256, (len(CHANNELS), *size), dtype=np.uint8), 5)
            for well in range(1, len(MOLECULES) + 1)
            for site in (1, 2)
        ]
        write_plate(path, Path(path).stem, CHANNELS, fields, "test", {})
        with open_plate(path) as plate:
            tables.append(plate.fields())
    index = pd.concat(tables).sample(frac=1.0, random_state=3)
    inchikey = index["well"].str[1:].astype(int).map(lambda well: MOLECULES[well - 1])
    write_index(index.assign(inchikey=inchikey), screen.index)
    texts = {name: [""] * len(MOLECULES) for name in ("smiles", "scaffold", "name", "mechanism")}
    bits = np.random.default_rng(1).integers(0, 2, (len(MOLECULES), 32), dtype=np.uint8)
    write_molecules(Molecules(pd.DataFrame({"inchikey": MOLECULES, **texts}), bits), screen.molecules, {})
    part = ["train"] * 6 + ["validation", "test"]
    write_split(pd.DataFrame({"inchikey": MOLECULES, "part": part}), screen.split)
    return screen


@pytest.fixture(scope="session")
def screen(tmp_path_factory) -> SmallScreen:
    return write_screen(tmp_path_factory.mktemp("screen"))


@pytest.fixture
def make_screen():
    """`write_screen`, for tests that need a screen of their own."""
    return write_screen


@pytest.fixture
def same_weights():
    """Whether two model files hold the same weights, bit for bit."""

    def same(a: Path, b: Path) -> bool:
        first, second = (torch.load(path, weights_only=True)["weights"] for path in (a, b))
        return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)

    return same


@pytest.fixture
def on_the_cpu(monkeypatch):
    """Bit for bit the same model is a promise for the CPU; the random state of other tests stays as it was."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with torch.random.fork_rng(devices=[]):
        yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny networks are faster on one thread, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
