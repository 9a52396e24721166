"""A small planted screen: each molecule has a direction, its images scatter around it."""

import numpy as np
import pandas as pd
import pytest

from cloome.data.embeddings import Embeddings
from cloome.data.molecules import Molecules
from cloome.evaluate.samples import align

MOLECULES, WELLS, SITES, DIMENSIONS, MECHANISMS = 60, 2, 3, 16, 6


def _unit(values):
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


class Screen:
    """The four inputs of the stage; `noise` 0 is a perfect model, infinity a useless one."""

    def __init__(self, noise=0.0, cell_count=True, mechanisms=True, seed=0):
        rng = np.random.default_rng(seed)
        keys = [f"MOLECULE{m:03d}" for m in range(MOLECULES)]
        rows = [
            (f"P{plate}", f"{chr(65 + m // 24)}{m % 24 + 1:02d}", site, keys[m])
            for plate in range(WELLS)
            for m in range(MOLECULES)
            for site in range(1, SITES + 1)
        ]
        index = pd.DataFrame(rows, columns=["plate", "well", "site", "inchikey"])
        index.insert(0, "sample_key", index["plate"] + "-" + index["well"] + "-" + index["site"].astype(str))
        index["role"], index["compound"], index["concentration"], index["batch"] = (
            "treated",
            index["inchikey"],
            5.0,
            "B",
        )
        index["is_blurry"], index["is_saturated"] = False, False
        index["cell_count"] = rng.integers(20, 200, len(index)) if cell_count else -1
        for column in ("mean_DNA", "mean_ER", "std_DNA", "std_ER"):
            index[column] = rng.normal(50, 10, len(index))
        directions = rng.normal(size=(MOLECULES, DIMENSIONS))
        scatter = rng.normal(size=(len(index), DIMENSIONS))
        signal = directions[[keys.index(key) for key in index["inchikey"]]]
        images = scatter if np.isinf(noise) else signal + noise * scatter
        self.index = index
        self.embeddings = Embeddings(
            sample_key=index["sample_key"].to_numpy(),
            image=_unit(images),
            length=np.linalg.norm(images, axis=1).astype(np.float32),
            inchikey=np.array(keys),
            molecule=_unit(directions),
            crop=None,
            model="planted",
        )
        table = pd.DataFrame({"inchikey": keys, "smiles": "C", "scaffold": "", "name": keys, "mechanism": ""})
        if mechanisms:
            table["mechanism"] = [f"mechanism {m % MECHANISMS}" for m in range(MOLECULES)]
        self.molecules = Molecules(table, np.zeros((MOLECULES, 8), dtype=np.uint8))
        part = np.repeat(["train", "validation", "test"], [24, 12, 24])
        self.split = pd.DataFrame({"inchikey": keys, "part": part})

    def samples(self):
        return align(self.index, self.embeddings, self.molecules, self.split)


@pytest.fixture
def screen():
    """Class that makes a planted screen."""
    return Screen
