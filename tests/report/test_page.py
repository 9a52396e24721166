"""The page: one self-contained file that says what was measured, on what, and what the controls say."""

import base64
import re
from xml.etree import ElementTree

import pytest

from cloome.cli import main
from cloome.data.index import read_index, write_index
from cloome.data.plates import NOT_COUNTED
from cloome.report.page import Sources, render
from cloome.report.runs import find_runs


def sources(screen) -> Sources:
    return Sources(str(screen.index), str(screen.molecules), [str(path) for path in screen.plates], str(screen.splits))


@pytest.fixture(scope="module")
def page(unchanged_screen, config) -> str:
    screen = unchanged_screen
    return render(config, find_runs(screen.runs), screen.tables(), sources(screen))


def test_command_writes_the_same_page_again(unchanged_screen, settings, page, tmp_path):
    screen = unchanged_screen
    tables = [tmp_path / f"table_{number}.csv" for number in (1, 2, 3, 4)]
    for number, path in enumerate(tables, 1):
        words = ["table", "--config", settings, "--number", number, "--runs", *screen.runs, "--out", path]
        assert main([str(word) for word in words]) == 0
    out = tmp_path / "report.html"
    assert main(["report", *screen.arguments(out, settings, tables)]) == 0
    assert out.read_text() == page


def test_page_is_one_file_that_needs_no_other(page):
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert not re.search(r"<script|@import|url\(", page)
    assert len(page) < 3e6  # noise, as here, is what PNG compresses least


def test_every_picture_has_a_text(page):
    texts = re.findall(r'<img src="[^"]*" alt="([^"]*)"', page)
    assert len(texts) == page.count("<img ") == 5 + 6 * 6 + 6 * 6
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
    page = render(config, find_runs(screen.runs), screen.tables(), sources(screen))
    assert "share of blurry and of saturated fields" in page
    assert "The index holds no measures to map" in page


def test_page_of_a_real_screen_does_not_call_it_simulated(unchanged_screen, config):
    screen = unchanged_screen
    control = find_runs(screen.runs[2:])
    real = config.model_copy(update={"simulate": None})
    page = render(real, control, screen.tables(), sources(screen))
    assert "simulated screen" not in page
    assert "The screen is not the paper's" in page
    screen_of_paper = real.screen.model_copy(update={"name": "bray2017"})
    paper = render(real.model_copy(update={"screen": screen_of_paper}), control, screen.tables(), sources(screen))
    assert "The screen is not the paper's" not in paper


def test_page_of_published_weights_shows_no_training(screen, config):
    screen.as_published()
    page = render(config, find_runs(screen.runs), screen.tables(), sources(screen))
    assert "these are the published weights" in page
    assert "Training curves" not in page
    assert "2 runs" in page


def test_an_untrained_network_has_no_training_curve_and_is_not_shown_where_a_trained_one_is(screen, config):
    screen.runs[0] = screen.runs[0].rename(screen.runs[0].with_name("random-cloob-seed0-untrained"))
    page = render(config, find_runs(screen.runs), screen.tables(), sources(screen))
    assert "inverse temperature of random-cloob-seed0-untrained" not in page
    assert "test part of <i>random-cloob-seed1</i>" in page
    assert "random split, cloob-untrained" in page


def test_page_survives_evaluations_without_rows_and_a_control_alone(screen, config):
    for run in range(3):
        for benchmark in ("retrieval", "zero_shot_molecule", "zero_shot_mechanism", "replicate_wells", "probing"):
            screen.write(run, benchmark, [])
    page = render(config, find_runs(screen.runs[2:]), screen.tables(), sources(screen))
    assert "No run has an evaluation with rows" in page
    assert "No control was run" in page
    assert "no test images to show" in page
    assert page.count("Does not apply") == 4 + 1 + 4  # tables, replicate wells, other evaluations


def test_page_of_a_run_without_probing_says_that_table_2_does_not_apply(page):
    assert "Does not apply: no assay was probed" in page
    assert "Test AUC of each assay" not in page


def test_page_shows_each_assay_beside_the_baseline(screen, config):
    tasks = [
        {"features": features, "labels": "true", "test_auc": auc, "task": task, "assay": f"A{task}"}
        for features, shift in (("cloome", 0.2), ("cell_count", 0.0))
        for task, auc in enumerate((0.5, 0.6, 0.7))
    ]
    screen.write(1, "probing", tasks)
    page = render(config, find_runs(screen.runs), screen.tables(), sources(screen))
    assert "Test AUC of each assay of random-cloob-seed1" in page
    assert "baseline: cell count" in page


def test_page_keeps_settings_that_the_paper_has_not_apart(screen, config, accuracy):
    screen.write(0, "retrieval", [accuracy(0.5), accuracy(0.25, candidates="other_plates", queries="wells_averaged")])
    page = render(config, find_runs(screen.runs[:1]), screen.tables(), sources(screen))
    main, apart = page.split("Table 1 in other settings than the paper's")
    words = "image → molecule, wells averaged, candidates from other plates only, of 8"
    assert words not in main
    assert words in apart


def test_page_calls_published_values_of_another_screen_not_comparable(page):
    assert "Published for another screen: not comparable" in page
    assert "not comparable: another screen" in page
    assert "without a counterpart here</th>" not in page


def test_every_drawing_is_well_formed_xml_with_a_title(page):
    drawings = re.findall(r"data:image/svg\+xml;base64,([^\"]*)", page)
    assert len(drawings) == 5 + 6 + 6 * 5  # figures; drawn molecules; molecules of drawn images
    for drawing in drawings:
        root = ElementTree.fromstring(base64.b64decode(drawing))
        assert root.findtext("{http://www.w3.org/2000/svg}title").strip()
