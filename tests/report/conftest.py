"""A small screen and the folders of three runs: two seeds and the control trained on shuffled pairs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cloome.config import ArchiveScreen, Config, Model, Simulate
from cloome.data.embeddings import Embeddings, write_embeddings
from cloome.data.evaluation import AVERAGE_PRECISION_COLUMNS, BATCH_EFFECTS_COLUMNS, RANKING_COLUMNS
from cloome.data.files import write_csv
from cloome.data.index import write_index
from cloome.data.molecules import Molecules, write_molecules
from cloome.data.plates import Field, write_plate
from cloome.data.refused import beside, left_out_of, write_refused
from cloome.data.splits import write_split
from cloome.data.train_log import LOG_COLUMNS
from cloome.report.page_evaluations import COMPARISON_COLUMNS
from cloome.report.runs import PROBING_COLUMNS, find_runs
from cloome.report.tables import paper_table

CHANNELS = ["Mito", "ERSyto", "ERSytoBleed", "Ph_golgi", "Hoechst"]
OTHERS = {
    "average_precision": AVERAGE_PRECISION_COLUMNS,
    "batch_effects": BATCH_EFFECTS_COLUMNS,
    "probing_comparison": COMPARISON_COLUMNS,
}
PLATES = ["90001", "90002"]
SMILES = ["CCO", "CC(=O)O", "c1ccccc1", "CCN", "CC(C)O", "c1ccncc1", "CCCl", "CCOC", "C1CCCCC1", "CC#N", "CCS", "OCCO"]
KEYS = [f"AAAAAAAAAAAA{letter}A-UHFFFAOYSA-N" for letter in "ABCDEFGHIJKL"]
TEST = KEYS[4:]


@dataclass(frozen=True)
class Screen:
    """Paths of a small screen."""

    folder: Path
    runs: list[Path]
    plates: list[Path]
    index: Path
    molecules: Path
    splits: Path

    def write(self, run: int, benchmark: str, rows: list[dict]) -> None:
        write_evaluation(self.runs[run], benchmark, rows)

    def tables(self) -> dict[int, pd.DataFrame]:
        return {number: paper_table(number, find_runs(self.runs), 0.95) for number in (1, 2, 3, 4)}

    def as_published(self) -> None:
        """The first two runs become those of the published weights, which have no training log."""
        names = [f"random-published_{what}-seed0" for what in ("retrieval", "bioactivity")]
        self.runs[:] = [run.rename(run.with_name(name)) for run, name in zip(self.runs[:2], names, strict=True)]
        for run in self.runs:
            (run / "train_log.csv").unlink()

    def arguments(self, out: Path, config: Path, tables: list[Path]) -> list[str]:
        words = ["--config", config, "--runs", *self.runs, "--tables", *tables, "--index", self.index]
        words += ["--molecules", self.molecules, "--splits", self.splits, "--plates", *self.plates, "--out", out]
        return [str(word) for word in words]


def accuracy_row(value: float, chance: float = 0.125, **others) -> dict:
    """One row of an evaluation table; n = 8 queries of 8 molecules."""
    row = {"features": "cloome", "direction": "image_to_molecule", "queries": "one_per_molecule", "candidates": "all"}
    row |= {"pool": 8, "k": 1, "n": 8, "hits": round(8 * value), "value": value}
    row |= {"low": max(0, value - 0.2), "high": min(1, value + 0.2), "clusters": 8}
    row |= {"cluster_low": max(0, value - 0.3), "cluster_high": min(1, value + 0.3), "chance": chance}
    row |= {"mean_rank": 2.5, "mean_rank_low": 1.5, "mean_rank_high": 3.5}
    row |= {"median_rank": 2.0, "median_rank_low": 1.0, "median_rank_high": 3.0}
    return row | {"chance_within_batch": np.nan} | others


def write_evaluation(run: Path, benchmark: str, rows: list[dict]) -> None:
    columns = PROBING_COLUMNS if benchmark == "probing" else RANKING_COLUMNS
    columns = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    write_csv(pd.DataFrame(rows, columns=columns), run / "evaluation" / f"{benchmark}.csv")


def write_log(run: Path) -> None:
    rows = [
        {
            "epoch": epoch,
            "step": 9 * epoch,
            "learning_rate": 1e-3 / epoch,
            "inv_tau": 14.3 + epoch,
            "train_loss": 4.0 / epoch,
            "validation_loss": np.nan if epoch == 1 else 5.0 / epoch,
        }
        for epoch in (1, 2, 3)
    ]
    write_csv(pd.DataFrame(rows, columns=LOG_COLUMNS), run / "train_log.csv")


def _fields(plate: str) -> list[Field]:
    rng = np.random.default_rng(int(plate))
    return [
        Field(f"A{column:02d}", site, rng.integers(0, 255, (5, 40, 48), dtype=np.uint8), 12)
        for column in range(1, len(KEYS) + 1)
        for site in (1, 2)
    ]


def _index() -> pd.DataFrame:
    rows = [
        (f"{plate}-A{column:02d}-{site}", plate, f"A{column:02d}", site, f"BRD-{column}", key)
        for plate in PLATES
        for column, key in enumerate(KEYS, 1)
        for site in (1, 2)
    ]
    index = pd.DataFrame(rows, columns=["sample_key", "plate", "well", "site", "compound", "inchikey"])
    return index.assign(
        role="treated", concentration=0.01, batch="", is_blurry=False, is_saturated=False, cell_count=12
    )


def _embeddings(index: pd.DataFrame) -> Embeddings:
    """Each image points at its molecule, but the last molecule's images point at the first test molecule."""
    molecule = np.eye(len(KEYS), 16, dtype=np.float32)
    shown = [TEST[0] if key == KEYS[-1] else key for key in index["inchikey"]]
    return Embeddings(
        sample_key=index["sample_key"].to_numpy(),
        image=molecule[[KEYS.index(key) for key in shown]],
        length=np.ones(len(index), np.float32),
        inchikey=np.array(KEYS),
        molecule=molecule,
        crop=None,
        model="planted",
    )


def make_screen(tmp_path: Path) -> Screen:
    plates = [tmp_path / "plates" / f"{plate}.h5" for plate in PLATES]
    for name, path in zip(PLATES, plates, strict=True):
        write_plate(path, name, CHANNELS, _fields(name), "test", {})
        write_refused(beside(path), [(f"{name}-A01-3", "truncated image")])
    index = _index()
    # The stores hold two more fields than the index: the filters left them out.
    index = index.iloc[2:]
    write_index(index, tmp_path / "index.parquet")
    left_out = [("90001-A01-1", "3 nuclei, quality.minimum_cells is 10"), ("90001-A01-2", "flag isBlurry")]
    write_refused(left_out_of(tmp_path / "index.parquet"), left_out)
    table = pd.DataFrame({"inchikey": KEYS, "smiles": SMILES, "scaffold": "", "name": [f"drug {s}" for s in SMILES]})
    table["mechanism"] = ["kinase inhibitor|aldehyde", "", *["tubulin <b>binder"] * 10]
    write_molecules(Molecules(table, np.zeros((len(KEYS), 8), np.uint8)), tmp_path / "molecules.h5", {})
    write_refused(tmp_path / "molecules.refused.csv", [("BRD-99", "no structure")])
    parts = ["train"] * 3 + ["validation"] + ["test"] * len(TEST)
    write_split(pd.DataFrame({"inchikey": KEYS, "part": parts}), tmp_path / "splits" / "random.csv")
    runs = [tmp_path / "runs" / f"random-cloob-{name}" for name in ("seed0", "seed1", "seed0-shuffled")]
    for run, value in zip(runs, (0.5, 0.75, 0.125), strict=True):
        write_log(run)
        write_embeddings(_embeddings(index), run / "embeddings.h5")
        both = ("image_to_molecule", "molecule_to_image")
        write_evaluation(run, "retrieval", [accuracy_row(value, direction=direction) for direction in both])
        write_evaluation(
            run, "zero_shot_molecule", [accuracy_row(value, direction="image_to_image", queries="all_images")]
        )
        write_evaluation(run, "zero_shot_mechanism", [])
        write_evaluation(run, "probing", [])
        for name, columns in OTHERS.items():
            write_csv(pd.DataFrame(columns=columns), run / "evaluation" / f"{name}.csv")
        write_evaluation(
            run,
            "replicate_wells",
            [accuracy_row(value, direction="well_to_compound", queries="wells", chance_within_batch=0.2)],
        )
    return Screen(tmp_path, runs, plates, tmp_path / "index.parquet", tmp_path / "molecules.h5", tmp_path / "splits")


@pytest.fixture
def screen(tmp_path) -> Screen:
    """The screen and its runs on disk; a test may rewrite its evaluations."""
    return make_screen(tmp_path)


@pytest.fixture(scope="module")
def unchanged_screen(tmp_path_factory) -> Screen:
    """The same, shared by tests that only read it."""
    return make_screen(tmp_path_factory.mktemp("screen"))


@pytest.fixture(scope="module")
def config() -> Config:
    """A simulated screen."""
    return Config(
        name="tiny",
        simulate=Simulate(),
        screen=ArchiveScreen(kind="archives", name="simulated", plates=PLATES),
        model=Model(normalisation="measured"),
    )


@pytest.fixture
def settings(config, tmp_path) -> Path:
    """The file of its configuration."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


@pytest.fixture
def accuracy():
    """The function that makes one row of an evaluation table."""
    return accuracy_row
