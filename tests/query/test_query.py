"""``cloome query`` and ``cloome encode``: the nearest come first, and wrong queries are told apart."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

from cloome.cli import main
from cloome.data.embeddings import read_embeddings, write_embeddings
from cloome.data.index import read_index, write_index
from cloome.data.plates import Field, write_plate
from cloome.data.refused import read_refused
from cloome.query.nearest import nearest

# Nearest neighbours


def test_nearest_are_sorted_and_of_equals_the_earlier_comes_first():
    candidates = np.array([[0, 1], [1, 0], [0.6, 0.8], [1, 0]], np.float32)
    order, similarity = nearest(np.array([[1, 0], [0, 1]], np.float32), candidates, 3)
    assert order.tolist() == [[1, 3, 2], [0, 2, 1]]
    np.testing.assert_allclose(similarity, [[1, 1, 0.6], [1, 0.8, 0]])


def test_fewer_candidates_than_asked_for_are_all_found():
    assert nearest(np.ones((1, 2)), np.ones((3, 2)), 10)[0].shape == (1, 3)


# From a structure to images, from an image to structures


@pytest.fixture
def query(screen, capsys):
    """Runs the command; returns its table, or what it says is wrong."""

    def run(*words):
        model = ["--model", "model.pt", "--embeddings", str(screen.folder / "embeddings.h5")]
        status = main(["query", *model, *map(str, words)])
        out, err = capsys.readouterr()
        return err if status else pd.read_csv(io.StringIO(out), sep="\t", dtype={"plate": str})

    return run


def write_channels(screen, number: int) -> list[str]:
    paths = [screen.folder / f"w{c}.tif" for c in range(3)]
    for path, channel in zip(paths, screen.images[number], strict=True):
        tifffile.imwrite(path, channel)
    return list(map(str, paths))


def test_a_structure_finds_the_images_nearest_to_it(screen, query):
    found = query("--smiles", *screen.smiles[:2], "--top", 4)
    assert found["rank"].tolist() == [1, 2, 3, 4] * 2
    for row, smiles in enumerate(screen.smiles[:2]):
        similarity = screen.embeddings.image @ screen.embeddings.molecule[row]
        mine = found[found["query"] == smiles]
        assert mine["sample_key"].tolist() == screen.embeddings.sample_key[np.argsort(-similarity)[:4]].tolist()
        np.testing.assert_allclose(mine["similarity"], np.sort(similarity)[::-1][:4], atol=1e-4)


def test_the_index_adds_the_well(screen, query):
    found = query("--smiles", "CCO", "--index", screen.folder / "index.parquet")
    assert len(found) == 6, "there are only six images"
    assert list(found.columns) == ["query", "rank", "similarity", "sample_key", "plate", "well", "compound"]
    assert (found["plate"] + "-" + found["well"] + "-1").tolist() == found["sample_key"].tolist()


def test_an_image_finds_the_molecules_nearest_to_it(screen, query):
    found = query("--image", *write_channels(screen, 2), "--molecules", screen.folder / "molecules.h5", "--top", 2)
    similarity = screen.embeddings.molecule @ screen.embeddings.image[2]
    assert found["inchikey"].tolist() == screen.embeddings.inchikey[np.argsort(-similarity)[:2]].tolist()
    assert found["smiles"].tolist() == [screen.smiles[i] for i in np.argsort(-similarity)[:2]]
    np.testing.assert_allclose(found["similarity"], np.sort(similarity)[::-1][:2], atol=1e-4)
    assert list(found.columns) == ["rank", "similarity", "inchikey", "smiles", "name"]


def test_an_image_is_embedded_whole_where_those_of_the_embeddings_were(screen, query, model):
    write_embeddings(replace(screen.embeddings, crop=None), screen.folder / "embeddings.h5")
    found = query("--image", *write_channels(screen, 2))
    similarity = screen.embeddings.molecule @ model.encode_images(screen.images[2:3])[0]
    np.testing.assert_allclose(found["similarity"], np.sort(similarity)[::-1], atol=1e-4)


def test_channels_may_be_named_in_any_order(screen, query):
    dna, er, mito = write_channels(screen, 1)
    in_order = query("--image", dna, er, mito)
    pd.testing.assert_frame_equal(query("--image", f"Mito={mito}", f"DNA={dna}", f"ER={er}"), in_order)


def test_wrong_images_are_told_apart(screen, query):
    dna, er, mito = write_channels(screen, 0)
    assert "2 image files, but the model has 3 channels" in query("--image", dna, er)
    assert "no file for the channel Mito" in query("--image", f"DNA={dna}", f"ER={er}")
    assert "'RNA=x': is no CHANNEL=FILE" in query("--image", "RNA=x", f"DNA={dna}")
    assert "is no CHANNEL=FILE" in query("--image", f"DNA={dna}", er, mito)
    assert "is named twice" in query("--image", f"DNA={dna}", f"DNA={er}")
    tifffile.imwrite(er, screen.images[0, 1, :20])
    assert "w1.tif: uint8 (20, 60), but" in query("--image", dna, er, mito)
    tifffile.imwrite(er, screen.images[0, 1].astype(np.uint16))
    assert "w1.tif: uint16 (40, 60), but" in query("--image", dna, er, mito)
    assert "cannot be read" in query("--image", "absent.tif", er, mito)


def test_wrong_structures_and_numbers_are_told_apart(screen, query):
    assert "invalid SMILES: 'C1CC'" in query("--smiles", "C1CC")
    assert "--top 0" in query("--smiles", "CCO", "--top", 0)


def test_embeddings_of_another_model_are_refused(screen, query):
    write_embeddings(replace(screen.embeddings, model="another"), screen.folder / "embeddings.h5")
    assert "embeddings.h5: made by another model than model.pt" in query("--smiles", "CCO")


def test_a_table_that_describes_nothing_found_is_refused(screen, query):
    index, molecules = screen.folder / "index.parquet", screen.folder / "molecules.h5"
    assert "give --molecules instead" in query("--image", *write_channels(screen, 0), "--index", index)
    assert "give --index instead" in query("--smiles", "CCO", "--molecules", molecules)


def test_tables_of_another_screen_are_refused(screen, query):
    index = read_index(screen.folder / "index.parquet")
    write_index(index.iloc[:3], screen.folder / "other.parquet")
    assert "is not in the table given" in query("--smiles", "CCO", "--index", screen.folder / "other.parquet")


# Encoding


@pytest.fixture
def encode(screen, capsys):
    """Runs the command; returns the embeddings, or what it says is wrong."""

    def run(*words):
        out = screen.folder / "own.h5"
        status = main(["encode", "--model", "model.pt", "--out", str(out), *map(str, words)])
        return capsys.readouterr().err if status else read_embeddings(out)

    return run


def test_structures_of_a_table_are_encoded_once_each(screen, encode):
    pd.DataFrame({"id": range(5), "s": ["CCO", "OCC", "C1CC", "", "CCN"]}).to_csv(screen.folder / "own.csv")
    embeddings = encode("--smiles-file", screen.folder / "own.csv", "--column", "s")
    assert embeddings.inchikey.tolist() == ["LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "QUSNBJAOOMFDIB-UHFFFAOYSA-N"]
    assert (embeddings.molecule.shape, embeddings.image.shape) == ((2, 3), (0, 3))
    refused = read_refused(screen.folder / "own.refused.csv")
    assert refused["item"].tolist() == ["C1CC", ""]


def test_plates_are_encoded_as_their_images_are(screen, encode, model):
    fields = [Field("A01", site, image, -1) for site, image in enumerate(screen.images, start=1)]
    write_plate(screen.folder / "7.h5", "7", ["DNA", "ER", "Mito"], fields, "test", {})
    embeddings = encode("--plates", screen.folder / "7.h5")
    assert embeddings.sample_key.tolist() == [f"7-A01-{site}" for site in range(1, 7)]
    np.testing.assert_array_equal(embeddings.image, model.encode_images(screen.images))
    lengths = np.linalg.norm(screen.images.mean(axis=(2, 3)) / 2, axis=1)
    np.testing.assert_allclose(embeddings.length, lengths, rtol=1e-5)
    assert (embeddings.crop, embeddings.model) == (None, "plain"), "fields are embedded whole"
    write_plate(screen.folder / "7.h5", "7", ["ER", "DNA", "Mito"], fields, "test", {})
    assert "channels ER, DNA, Mito, the model has DNA, ER, Mito" in encode("--plates", screen.folder / "7.h5")


def test_nothing_to_encode_is_said(encode):
    assert "give --smiles-file or --plates" in encode()
