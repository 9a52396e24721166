"""The page: one self-contained file that says what was measured, on what, and what the controls say."""

import base64
import io
import re

import numpy as np
import pytest
import yaml
from PIL import Image

from cloome.cli import main
from cloome.data.index import read_index, write_index
from cloome.data.molecules import read_molecules
from cloome.data.plates import NOT_COUNTED
from cloome.report.gallery import retrieve
from cloome.report.held_out import read_held_out
from cloome.report.page import Sources, render
from cloome.report.pictures import channel_colours, composite, structure, thumbnail
from cloome.report.runs import find_runs
from cloome.report.scorecard import controls, scorecard
from cloome.report.tables import paper_table


def sources(screen) -> Sources:
    return Sources(str(screen.index), str(screen.molecules), [str(path) for path in screen.plates], str(screen.splits))


def tables_of(screen) -> dict:
    return {number: paper_table(number, find_runs(screen.runs)) for number in (1, 2, 3, 4)}


def held_out_of(screen):
    run = find_runs(screen.runs)[0]
    return read_held_out(run, screen.splits, read_index(screen.index), read_molecules(screen.molecules))


@pytest.fixture(scope="module")
def page(unchanged_screen, config) -> str:
    screen = unchanged_screen
    return render(config, find_runs(screen.runs), tables_of(screen), sources(screen))


def test_command_writes_the_same_page_again(unchanged_screen, config, page, tmp_path):
    screen = unchanged_screen
    settings = tmp_path / "config.yaml"
    settings.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    tables = [tmp_path / f"table_{number}.csv" for number in (1, 2, 3, 4)]
    for number, path in enumerate(tables, 1):
        assert main(["table", "--number", str(number), "--runs", *map(str, screen.runs), "--out", str(path)]) == 0
    out = tmp_path / "report.html"
    assert main(["report", *screen.arguments(out, settings, tables)]) == 0
    assert out.read_text() == page


def test_page_is_one_file_that_needs_no_other(page):
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert not re.search(r"<script|@import|url\(", page)
    assert len(page) < 3e6  # noise, as here, is what PNG compresses least


def test_every_picture_has_a_text(page):
    texts = re.findall(r'<img src="[^"]*" alt="([^"]*)"', page)
    assert len(texts) == page.count("<img ") == 4 + 8 * 5 + 6 * 4
    assert all(text.strip() for text in texts)


def test_page_says_that_the_screen_is_simulated_and_not_the_papers(page):
    assert "<b>simulated screen</b>" in page
    assert "<b>as context only</b>" in page


def test_page_counts_the_screen_names_what_was_refused_and_escapes_names(page):
    counts = {"plates": 2, "fields of view": 46, "wells": 23, "molecules": 12, "compounds refused": 1}
    counts |= {"fields or image files refused": 2, "fields left out by filters": 2}
    for what, count in counts.items():
        assert f"<b>{count}</b><span>{what}</span>" in page
    assert "truncated image" in page
    assert "no structure" in page
    assert "tubulin &lt;b&gt;binder" in page
    assert "tubulin <b>binder" not in page


def test_page_lists_the_plates_that_lack_most_fields(page):
    rows = re.findall(r"<tr><td>(9000\d)</td>(.*?)</tr>", page)
    cells = {plate: re.findall(r">([^<]+)</td>", row) for plate, row in rows}
    assert cells == {"90001": ["24", "1", "2", "12.0 %"], "90002": ["24", "1", "0", "4.0 %"]}
    assert list(cells) == ["90001", "90002"]


def test_page_without_any_measure_has_the_strip_and_no_maps(screen, config):
    write_index(read_index(screen.index).assign(cell_count=NOT_COUNTED), screen.index)
    page = render(config, find_runs(screen.runs), tables_of(screen), sources(screen))
    assert "share of blurry and of saturated fields" in page
    assert "The index holds no measures to map" in page


def test_page_of_a_real_screen_does_not_call_it_simulated(unchanged_screen, config):
    screen = unchanged_screen
    control = find_runs(screen.runs[2:])
    real = config.model_copy(update={"simulate": None})
    page = render(real, control, tables_of(screen), sources(screen))
    assert "simulated screen" not in page
    assert "The screen is not the paper's" in page
    screen_of_paper = real.screen.model_copy(update={"name": "bray2017"})
    paper = render(real.model_copy(update={"screen": screen_of_paper}), control, tables_of(screen), sources(screen))
    assert "The screen is not the paper's" not in paper


def as_published(screen) -> None:
    """The screen's first two runs become those of the published weights, which have no training log."""
    names = [f"random-published_{what}-seed0" for what in ("retrieval", "bioactivity")]
    screen.runs[:] = [run.rename(run.with_name(name)) for run, name in zip(screen.runs[:2], names, strict=True)]
    for run in screen.runs:
        (run / "train_log.csv").unlink()


def test_page_of_published_weights_shows_no_training(screen, config):
    as_published(screen)
    page = render(config, find_runs(screen.runs), tables_of(screen), sources(screen))
    assert "these are the published weights" in page
    assert "Training curves" not in page
    assert "2 runs" in page


def test_scorecard_takes_each_table_from_the_weights_published_for_it(screen, accuracy):
    as_published(screen)
    for run in (0, 1):
        tasks = [{"features": "cloome", "labels": "true", "test_auc": value} for value in (0.7, 0.8)]
        screen.write(run, "probing", tasks)
        screen.write(run, "zero_shot_molecule", [accuracy(0.5, direction="image_to_image", queries="all_images")])
        screen.write(run, "zero_shot_mechanism", [accuracy(0.5, direction="image_to_image", queries="all_images")])
    models = {(line["number"], line["model"]) for line in scorecard(tables_of(screen), is_paper=True)}
    retrieval, bioactivity = "random split, published_retrieval", "random split, published_bioactivity"
    assert models == {(1, retrieval), (2, bioactivity), (3, retrieval), (4, retrieval)}


def test_page_survives_evaluations_without_rows_and_a_control_alone(screen, config):
    for run in range(3):
        for benchmark in ("retrieval", "zero_shot_molecule", "zero_shot_mechanism", "replicate_wells", "probing"):
            screen.write(run, benchmark, [])
    page = render(config, find_runs(screen.runs[2:]), tables_of(screen), sources(screen))
    assert "No run has an evaluation with rows" in page
    assert "No control was run" in page
    assert "no test images to show" in page


def test_scorecard_says_how_a_value_lies_to_chance(screen, accuracy):
    screen.write(0, "retrieval", [accuracy(0.5, cluster_low=0.2, cluster_high=0.8)])
    screen.write(0, "zero_shot_molecule", [accuracy(0.2, direction="image_to_image", queries="all_images")])
    screen.runs[1:] = []
    above, inside = scorecard(tables_of(screen), is_paper=False)
    assert above["verdict"] == "4.0 x chance, interval above chance"
    assert (above["reproduced"], above["interval"], above["paper"]) == ("50.0 %", "[20.0, 80.0]", "3.03 %")
    assert inside["verdict"] == "1.6 x chance, interval includes chance"


def test_scorecard_compares_with_the_paper_only_for_as_many_queries(screen, accuracy):
    screen.runs[1:] = []
    for n, words in ((2115, "interval above the paper's"), (8, "not comparable")):
        screen.write(0, "retrieval", [accuracy(0.5, n=n)])
        assert words in scorecard(tables_of(screen), is_paper=True)[0]["verdict"]
        assert words not in scorecard(tables_of(screen), is_paper=False)[0]["verdict"]


def test_controls_pass_only_where_chance_lies_in_the_interval(screen, accuracy):
    leak = accuracy(0.9, features="repaired", low=0.6, high=0.99, cluster_low=0.5, cluster_high=1.0)
    honest = accuracy(0.125, features="repaired", direction="molecule_to_image")
    displaced = accuracy(0.0, features="repaired", queries="all_images", high=0.1, cluster_high=0.05)
    screen.write(0, "retrieval", [leak, honest, displaced])
    screen.write(1, "retrieval", [leak, honest, displaced])
    found = controls(tables_of(screen), find_runs(screen.runs), confidence=0.95)
    assert [row["passed"] for row in found if "re-paired" in row["control"]] == [False, True, True]
    shuffled = [row for row in found if "shuffled pairs" in row["control"]]
    assert [row["passed"] for row in shuffled] == [True, True]


def test_probing_of_shuffled_labels_is_a_control(screen):
    aucs = np.linspace(0.4, 0.6, 11)
    for run, shift in enumerate((0.0, 0.2)):
        rows = [{"features": "cloome", "labels": "shuffled", "test_auc": auc + shift} for auc in aucs]
        screen.write(run, "probing", rows)
    found = controls(tables_of(screen), find_runs(screen.runs), confidence=0.95)
    assert [row["passed"] for row in found if "labels" in row["control"]] == [True, False]


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
    assert (len(by_molecule), len(by_image)) == (8, 6)
    own = held_out.molecule_of_image()
    for entry in by_molecule:
        for hit in entry["hits"]:
            assert (hit["verdict"] == "right") == (own[hit["row"]] == entry["query"])
    first = [entry["hits"][0]["verdict"] for entry in by_molecule]
    assert first[1:7] == ["right"] * 6
    assert first[7] == "same mechanism"
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
    drawing = structure("c1ccccc1O")
    assert drawing.startswith("data:image/svg+xml;base64,")
    assert b"<svg" in base64.b64decode(drawing.partition(",")[2])
    assert structure("not a structure") is None
