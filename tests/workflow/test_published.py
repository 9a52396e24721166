"""The paper's experiment from published weights: a screen of one plate, through every stage but train."""

import pandas as pd
import pytest
import torch
import yaml

from cloome.config import PAPER_CHANNELS, Model
from cloome.config_files import check_config
from cloome.model.clip import build_model
from cloome.model.gapnet import GapNet
from cloome.simulate.site import write_site
from cloome.simulate.structures import drugs

pytestmark = pytest.mark.slow

SIDE = 224  # the smallest for the paper's pooling
TEST_MOLECULES = 30


def published_file(path, network):
    """A file with the names and shapes of published weights."""
    torch.save({"state_dict": {f"module.{name}": values for name, values in network.state_dict().items()}}, path)


def write_screen(folder):
    """A site with the tables and weights that the authors published; returns its table of sources."""
    screen = {"kind": "archives", "name": "s", "plates": ["90001"], "mechanisms": {}}
    simulate = {"sites": 1, "height": SIDE, "width": SIDE, "dmso_wells": 2}
    sources = write_site(check_config({"screen": screen, "simulate": simulate}), folder)
    inchikey = pd.DataFrame({"INCHIKEY": drugs()["inchikey"]})
    inchikey.iloc[TEST_MOLECULES:].to_csv(folder / "train.csv", index=False)
    inchikey.iloc[:TEST_MOLECULES].to_csv(folder / "test.csv", index=False)
    torch.manual_seed(0)
    published_file(folder / "weights.pt", build_model(Model(), len(PAPER_CHANNELS), 1024, 14.3, False))
    published_file(folder / "gapnet.pth.tar", GapNet())
    urls = {"split_train": "train.csv", "split_test": "test.csv"}
    urls |= {"weights_retrieval": "weights.pt", "weights_bioactivity": "weights.pt"}
    rows = pd.DataFrame([{"source": source, "url": url} for source, url in urls.items()])
    table = pd.read_csv(sources, dtype=str, keep_default_na=False)
    pd.concat([table, rows]).fillna("").to_csv(sources, index=False)
    return sources


def test_published_weights_make_all_tables_without_training(clone, tmp_path):
    over = {
        "screen": {"name": "small", "sources": str(write_screen(tmp_path / "site")), "plates": ["90001"]},
        "embed": {"height": SIDE, "width": SIDE, "batch": 16},
        "evaluate": {"pool": 10, "resamples": 20, "gapnet": str(tmp_path / "site/gapnet.pth.tar")},
        "running": {"gpu": False},
    }
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(over))
    output = clone.run(configs=["config/paper.yaml", "config/published.yaml", str(tmp_path / "over.yaml")])
    assert "train_run" not in output
    report = clone.folder / "results/paper_published/report"
    assert "these are the published weights" in (report / "report.html").read_text()
    # Table 3 asks for a second image of each molecule, and this screen has one.
    for number, method in ((1, "retrieval"), (2, "bioactivity"), (4, "retrieval")):
        table = pd.read_csv(report / f"table_{number}.csv").dropna(subset="reproduced")
        assert f"random-published_{method}-seed0" in set(table["runs"]), number
    published = table[(table["features"] == "gapnet") & table["paper"].notna()].set_index("k")
    assert published.loc[1, ["paper", "paper_n"]].tolist() == [0.0109, 8826]
