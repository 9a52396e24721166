"""The command: every table, the same bytes every time, and clear errors for files that do not belong together."""

import argparse

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse

from cloome.data.embeddings import write_embeddings
from cloome.data.index import write_index
from cloome.data.molecules import write_molecules
from cloome.data.splits import write_split
from cloome.errors import ConfigError, FormatError
from cloome.evaluate import command

TABLES = [
    "average_precision.csv",
    "batch_effects.csv",
    "probing.csv",
    "probing_comparison.csv",
    "replicate_wells.csv",
    "retrieval.csv",
    "zero_shot_mechanism.csv",
    "zero_shot_molecule.csv",
]
CONFIG = """
screen: {kind: load_data, name: planted, load_data: x.csv, channels: [DNA, ER], compounds: {path: x.csv}}
images: {nuclei: DNA}
model: {normalisation: measured}
evaluate: {pool: 10, resamples: 50, null_size: 500}
"""


@pytest.fixture
def files(screen, tmp_path):
    """A planted screen on disk, and the command's words for it."""
    made = screen(noise=1.0)
    write_index(made.index, tmp_path / "index.parquet")
    write_embeddings(made.embeddings, tmp_path / "embeddings.h5")
    write_molecules(made.molecules, tmp_path / "molecules.h5", {})
    write_split(made.split, tmp_path / "split.csv")
    (tmp_path / "config.yaml").write_text(CONFIG)
    labels = tmp_path / "labels"
    labels.mkdir()
    matrix = np.random.default_rng(0).choice([-1, 1], (60, 3))
    scipy.io.mmwrite(labels / "label-matrix.mtx", scipy.sparse.coo_matrix(matrix))
    pd.DataFrame({"INDEX": range(60), "INCHIKEY": made.embeddings.inchikey}).to_csv(labels / "row-compound-index.csv")
    pd.DataFrame({"ASSAY_ID": ["007", "8", "8"]}).to_csv(labels / "column-assay-index.csv", index=False)
    names = {"embeddings": "embeddings.h5", "index": "index.parquet", "molecules": "molecules.h5", "split": "split.csv"}
    words = ["--config", str(tmp_path / "config.yaml")]
    for option, name in names.items():
        words += [f"--{option}", str(tmp_path / name)]
    return made, tmp_path, words


def call(words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(words))


def test_every_table_with_the_same_bytes_every_time(files):
    _, folder, words = files
    for out in ("first", "second"):
        call([*words, "--labels", str(folder / "labels"), "--out", str(folder / out)])
    assert sorted(path.name for path in (folder / "first").iterdir()) == TABLES
    for name in TABLES:
        first = (folder / "first" / name).read_bytes()
        assert first == (folder / "second" / name).read_bytes()
        assert len(first.splitlines()) > 1


def test_the_order_of_the_index_does_not_matter(files):
    made, folder, words = files
    call([*words, "--out", str(folder / "first")])
    write_index(made.index.sample(frac=1, random_state=0), folder / "index.parquet")
    call([*words, "--out", str(folder / "second")])
    for name in TABLES:
        assert (folder / "first" / name).read_bytes() == (folder / "second" / name).read_bytes()


def test_without_labels_probing_has_a_header_only(files):
    _, folder, words = files
    call([*words, "--out", str(folder / "out")])
    assert pd.read_csv(folder / "out" / "probing.csv").empty
    assert pd.read_csv(folder / "out" / "probing_comparison.csv").empty


def test_mock_wells_take_no_part(files):
    made, _, _ = files
    made.index.loc[:5, ["inchikey", "role"]] = ["", "mock"]
    samples = made.samples()
    assert len(samples.table) == len(made.index) - 6
    assert (samples.inchikey[samples.molecule_of] == samples.table["inchikey"]).all()


def test_a_split_by_wells_holds_out_wells(screen):
    made = screen()
    wells = made.index[["plate", "well"]].drop_duplicates(ignore_index=True)
    made.split = wells.assign(part=np.where(wells["plate"] == "P1", "test", "train"))
    samples = made.samples()
    assert set(samples.table["plate"].iloc[samples.rows("test")]) == {"P1"}


def test_an_image_without_embedding_is_an_error(files):
    made, _, _ = files
    made.embeddings.sample_key[0] = "another"
    with pytest.raises(FormatError, match=r"1 images of the index have no embedding.*run the stage embed"):
        made.samples()


def test_a_molecule_without_embedding_is_an_error(files):
    made, _, _ = files
    made.embeddings.inchikey[:2] = ["another", "one more"]
    with pytest.raises(FormatError, match="2 molecules of the index have no embedding"):
        made.samples()


def test_two_embeddings_of_one_image_are_an_error(files):
    made, _, _ = files
    made.embeddings.sample_key[0] = made.embeddings.sample_key[1]
    with pytest.raises(FormatError, match="twice"):
        made.samples()


def test_embeddings_that_are_not_finite_are_an_error(files):
    made, _, _ = files
    made.embeddings.image[3, 2] = np.nan
    with pytest.raises(FormatError, match="not finite"):
        made.samples()


def test_a_split_of_another_screen_is_an_error(files):
    made, _, _ = files
    made.split["inchikey"] += "X"
    with pytest.raises(FormatError, match="no image of the index is in the part 'train'"):
        made.samples()


def test_baselines_that_are_made_already_give_the_same_tables(files):
    _, folder, words = files
    labels = ["--labels", str(folder / "labels"), "--benchmarks"]
    without = [word for word in words if word not in ("--embeddings", words[words.index("--embeddings") + 1])]
    call([*without, *labels, "probing_baselines", "--out", str(folder / "split")])
    call([*words, *labels, "probing", "--out", str(folder / "alone")])
    made = ["--baselines", str(folder / "split/probing_baselines.csv")]
    call([*words, *labels, "probing", *made, "--out", str(folder / "with")])
    assert "cloome" not in set(pd.read_csv(folder / "split/probing_baselines.csv")["features"])
    for name in ("probing.csv", "probing_comparison.csv"):
        assert (folder / "alone" / name).read_bytes() == (folder / "with" / name).read_bytes()
    with pytest.raises(ConfigError, match="--embeddings is missing"):
        call([*without, *labels, "probing", "--out", str(folder / "out")])
