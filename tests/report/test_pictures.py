"""Gallery, pictures and figures: what they show, and that their look does not depend on chance."""

import base64
import io

import numpy as np
import pandas as pd
from PIL import Image

from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.report.embedding_map import most_frequent
from cloome.report.figures import accuracy_curves, assay_aucs
from cloome.report.gallery import retrieve
from cloome.report.held_out import read_held_out
from cloome.report.pictures import channel_colours, composite, structure, thumbnail
from cloome.report.runs import find_runs


def held_out_of(screen):
    run = find_runs(screen.runs)[0]
    return read_held_out(run, screen.splits, read_index(screen.index), read_molecules(screen.molecules))


def test_held_out_is_the_test_part_only(screen):
    held_out = held_out_of(screen)
    assert len(held_out.molecules) == 8
    assert len(held_out.fields) == 8 * 2 * 2
    own = held_out.molecule_of_image()
    same = (held_out.images * held_out.structures[own]).sum(axis=1) == 1
    assert (held_out.molecules["inchikey"].to_numpy()[own] == held_out.fields["inchikey"]).all()
    assert same.sum() == 7 * 4  # the last molecule's images point at another one


def test_gallery_marks_right_answers_and_those_with_the_same_mechanism(screen):
    held_out = held_out_of(screen)
    by_molecule, by_image = retrieve(held_out, seed=0)
    assert (len(by_molecule), len(by_image)) == (6, 6)
    own = held_out.molecule_of_image()
    for entry in by_molecule:
        for hit in entry["hits"]:
            assert (hit["verdict"] == "right") == (own[hit["row"]] == entry["query"])
    first = [entry["hits"][0]["verdict"] for entry in by_molecule]
    assert first[:4] == ["right"] * 4
    assert retrieve(held_out, seed=0) == (by_molecule, by_image)


def test_composite_is_an_eight_bit_colour_image():
    channels = ["Mito", "Hoechst"]
    colours = channel_colours(channels, "Hoechst")
    image = np.zeros((2, 6, 8), dtype=np.uint8)
    image[1, 2, 3] = 255
    rgb = composite(image, colours)
    assert (rgb.dtype, rgb.shape) == (np.uint8, (6, 8, 3))
    assert rgb[2, 3].argmax() == 2  # nuclei are blue
    assert rgb.sum() == rgb[2, 3].sum()
    full = composite(np.full((2, 6, 8), 255, dtype=np.uint8), colours)
    assert full.max() == 0  # a field without any contrast is all background


def test_thumbnail_is_a_small_picture_of_the_same_shape():
    content = base64.b64decode(thumbnail(np.zeros((52, 70, 3), dtype=np.uint8)).partition(",")[2])
    assert Image.open(io.BytesIO(content)).size == (148, 110)


def test_structure_is_an_svg_and_an_unreadable_one_is_none():
    drawing = structure("c1ccccc1O", "phenol & β")
    assert drawing.startswith("data:image/svg+xml;base64,")
    text = base64.b64decode(drawing.partition(",")[2]).decode()
    assert "<svg" in text
    assert "<title>phenol &amp; β</title>" in text
    assert structure("not a structure", "none") is None


def test_accuracy_curves_have_a_panel_per_direction_and_a_line_per_model(screen, accuracy):
    rows = [
        accuracy(0.2 * k, k=k, direction=direction)
        for k in (1, 2, 3)
        for direction in ("image_to_molecule", "molecule_to_image")
    ]
    screen.write(0, "retrieval", rows)
    screen.write(1, "retrieval", rows)
    text = drawing_of(accuracy_curves(screen.tables()[1]))
    for words in ("image → molecule, 8 candidates", "molecule → image, 8 candidates", "random split, cloob", "chance"):
        assert words in text
    assert "cloob-shuffled" not in text


def test_without_values_there_is_no_figure(screen):
    for run in range(3):
        screen.write(run, "retrieval", [])
    assert accuracy_curves(screen.tables()[1]) is None
    assert assay_aucs(probed([("cloome", "a", 0.5)])) is None  # no baseline
    assert assay_aucs(probed([("cloome", "a", 0.5), ("intensity", "b", 0.5)])) is None  # no common assay


def test_assays_stand_beside_the_cell_count_where_it_was_probed():
    values = [(name, assay, 0.6) for name in ("cloome", "intensity", "cell_count") for assay in "ab"]
    drawing, baseline = assay_aucs(probed(values))
    assert baseline == "baseline: cell count"
    assert "test AUC, baseline: cell count" in drawing_of(drawing)
    assert assay_aucs(probed(values[:4]))[1] == "baseline: intensity"


def test_only_the_most_frequent_names_have_colours():
    names = np.array([f"plate {number:02d}" for number in range(12) for _ in range(2)] + ["", "not known"], object)
    kept = most_frequent(names)
    assert list(kept[:20]) == list(names[:20])
    assert list(kept[20:]) == ["2 others"] * 4 + ["", "not known"]


def drawing_of(uri: str) -> str:
    return base64.b64decode(uri.partition(",")[2]).decode()


def probed(values: list[tuple[str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=["features", "assay", "test_auc"]).assign(labels="true")
