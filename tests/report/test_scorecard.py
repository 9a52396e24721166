"""The scorecard and the controls: what is compared with the paper, what is said of it, and what sits at chance."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cloome.cli import main
from cloome.report.controls import controls
from cloome.report.scorecard import COLUMNS, card_rows, is_headline, scorecard, verdict

NOTHING = np.nan


def cell(**others) -> SimpleNamespace:
    """A reproduced value [0.2, 0.4] of 1,000 queries beside a published one [0.3, 0.5] of as many."""
    values = {"method": "cloob", "reproduced": 0.3, "low": 0.2, "high": 0.4, "n": 1000}
    values |= {"paper": 0.4, "paper_low": 0.3, "paper_high": 0.5, "paper_n": 1000, "absent": "why not"}
    return SimpleNamespace(**values | others)


@pytest.mark.parametrize(
    ("others", "is_paper", "said"),
    [
        ({}, True, "agrees"),
        ({"low": 0.35, "high": 0.36}, True, "agrees"),  # within the paper's
        ({"low": 0.0, "high": 1.0}, True, "agrees"),  # around the paper's
        ({"high": 0.3}, True, "agrees"),  # touching from below
        ({"low": 0.5, "high": 0.6}, True, "agrees"),  # touching from above
        ({"high": 0.2999}, True, "differs"),
        ({"low": 0.5001, "high": 0.6}, True, "differs"),
        ({}, False, "not comparable: another screen"),
        ({"high": 0.2999}, False, "not comparable: another screen"),
        ({"reproduced": NOTHING, "low": NOTHING, "high": NOTHING}, True, "not comparable: why not"),
        ({"method": "siglip"}, True, "not comparable: a method that the paper has not"),
        ({"paper": NOTHING, "paper_low": NOTHING}, True, "not comparable: no published value"),
        ({"n": 1101}, True, "not comparable: 1101 queries, the paper has 1000"),
        ({"n": 1099}, True, "agrees"),
        ({"paper_n": NOTHING}, True, "agrees"),  # the number is not known
        ({"paper_low": NOTHING}, True, "not comparable: the published value has no interval"),
        ({"low": NOTHING, "high": NOTHING}, True, "not comparable: the reproduced value has no interval"),
    ],
)
def test_verdict(others, is_paper, said):
    assert verdict(cell(**others), is_paper) == said


def of(card: pd.DataFrame, **wanted) -> pd.Series:
    found = card[np.logical_and.reduce([(card[name] == value).fillna(False) for name, value in wanted.items()])]
    assert len(found) == 1, found
    return found.iloc[0]


def test_scorecard_holds_every_published_value_and_the_headline_numbers(screen, accuracy):
    tasks = [{"features": "cloome", "labels": "true", "test_auc": value} for value in (0.7, 0.8)]
    screen.write(0, "probing", tasks)
    screen.runs[1:] = []
    card = scorecard(screen.tables(), is_paper=True)
    assert list(card.columns) == COLUMNS
    assert len(card) == 16 + (18 + 9) + (9 + 9) + 1  # tables 1, 3 and 4, of which 18 are of the scaffold split; table 2
    assert set(card.loc[card["split"] == "scaffold", "verdict"]) == {"not comparable: no run of this split"}
    auc = of(card, table=2)
    assert (auc.metric, auc.reproduced, auc.verdict) == ("mean test AUC", 0.75, "not comparable: no published value")
    gapnet = of(card, table=3, features="gapnet", split="random", k=1)
    assert (gapnet.paper, gapnet.evidence, gapnet.verdict) == (
        0.00361,
        "P",
        "not comparable: needs GapNet's weights, evaluate.gapnet",
    )


def test_difference_is_reproduced_less_paper_and_empty_where_they_do_not_compare(screen, accuracy):
    screen.runs[1:] = []
    close = accuracy(0.03, n=2115, pool=2115, low=0.025, high=0.035, cluster_low=0.024, cluster_high=0.034)
    screen.write(0, "retrieval", [close, accuracy(0.5, direction="molecule_to_image")])
    card = scorecard(screen.tables(), is_paper=True)
    found = of(card, direction="image_to_molecule", metric="top-k accuracy", k=1, seeds=1)
    assert (found.verdict, found.difference) == ("agrees", pytest.approx(0.03 - 0.03026))
    assert (found.low, found.high) == (0.024, 0.035)  # the wider of the two
    assert (found.paper_low, found.paper_high, found.evidence) == (0.0234, 0.0385, "N")
    other = of(card, direction="molecule_to_image", metric="top-k accuracy", k=1, seeds=1)
    assert other.verdict.startswith("not comparable: 8 queries")
    assert np.isnan(other.difference)
    assert scorecard(screen.tables(), is_paper=False)["difference"].isna().all()


def test_seeds_are_one_row_with_their_spread(screen):
    found = of(scorecard(screen.tables(), is_paper=False), table=3, method="cloob", k=1)
    assert (found.reproduced, found.seeds, found.seed_min, found.seed_max) == (0.625, 2, 0.5, 0.75)


def test_settings_that_the_paper_has_not_are_no_headline(screen, accuracy):
    screen.runs[1:] = []
    screen.write(0, "retrieval", [accuracy(0.5, candidates="other_plates"), accuracy(0.5, queries="wells")])
    card = scorecard(screen.tables(), is_paper=True)
    assert card.loc[card["table"] == 1, "reproduced"].isna().all()


def test_an_untrained_network_is_no_reproduction(screen):
    screen.runs[0] = screen.runs[0].rename(screen.runs[0].with_name("random-cloob-seed0-untrained"))
    screen.runs[1:] = []
    assert screen.tables()[3]["method"].eq("cloob-untrained").any()
    assert scorecard(screen.tables(), is_paper=True)["reproduced"].isna().all()


def test_scorecard_of_evaluations_without_rows_says_that_nothing_was_reproduced(screen):
    for run in range(3):
        for benchmark in ("retrieval", "zero_shot_molecule", "zero_shot_mechanism", "probing"):
            screen.write(run, benchmark, [])
    card = scorecard(screen.tables(), is_paper=True)
    assert list(card.columns) == COLUMNS
    assert "not comparable: not reproduced here" in set(card["verdict"])
    assert not set(card["verdict"]) & {"agrees", "differs"}


def test_command_writes_the_scorecard_from_the_tables(screen, settings, tmp_path):
    paths = [tmp_path / f"table_{number}.csv" for number in (1, 2, 3, 4)]
    for path, table in zip(paths, screen.tables().values(), strict=True):
        table.to_csv(path, index=False)
    out = tmp_path / "scorecard.csv"
    words = ["scorecard", "--config", settings, "--tables", *paths, "--out", out]
    assert main([str(word) for word in words]) == 0
    written = pd.read_csv(out).fillna({"remark": ""})
    assert list(written.columns) == COLUMNS
    expected = scorecard(screen.tables(), is_paper=False)
    pd.testing.assert_frame_equal(written, expected, check_dtype=False)


def test_scorecard_takes_each_table_from_the_weights_published_for_it(screen, accuracy):
    screen.as_published()
    for run in (0, 1):
        tasks = [{"features": "cloome", "labels": "true", "test_auc": value} for value in (0.7, 0.8)]
        screen.write(run, "probing", tasks)
        screen.write(run, "zero_shot_molecule", [accuracy(0.5, direction="image_to_image", queries="all_images")])
        screen.write(run, "zero_shot_mechanism", [accuracy(0.5, direction="image_to_image", queries="all_images")])
    card = scorecard(screen.tables(), is_paper=True)
    models = {(line["number"], line["model"]) for line in card_rows(card[is_headline(card)])}
    retrieval, bioactivity = "random split, published_retrieval", "random split, published_bioactivity"
    assert models == {(1, retrieval), (2, bioactivity), (3, retrieval), (4, retrieval)}


def test_page_rows_say_how_a_value_lies_to_chance(screen, accuracy):
    screen.write(0, "retrieval", [accuracy(0.5, cluster_low=0.2, cluster_high=0.8)])
    screen.write(0, "zero_shot_molecule", [accuracy(0.2, direction="image_to_image", queries="all_images")])
    screen.runs[1:] = []
    card = scorecard(screen.tables(), is_paper=False)
    above, inside = card_rows(card[is_headline(card)])
    assert above["against_chance"] == "4.0 x chance, interval above chance"
    assert (above["reproduced"], above["interval"], above["paper"]) == ("50.0 %", "[20.0, 80.0]", "3.03 %")
    assert inside["against_chance"] == "1.6 x chance, interval includes chance"


def test_controls_say_on_which_side_of_chance_their_interval_lies(screen, accuracy):
    leak = accuracy(0.9, features="repaired", low=0.6, high=0.99, cluster_low=0.5, cluster_high=1.0)
    honest = accuracy(0.125, features="repaired", direction="molecule_to_image")
    displaced = accuracy(0.0, features="repaired", queries="all_images", high=0.1, cluster_high=0.05)
    screen.write(0, "retrieval", [leak, honest, displaced])
    screen.write(1, "retrieval", [leak, honest, displaced])
    found = controls(screen.tables())
    assert [row["place"] for row in found if "re-paired" in row["control"]] == ["above", "includes", "below"]
    shuffled = [row for row in found if "shuffled pairs" in row["control"]]
    assert [row["place"] for row in shuffled] == ["includes", "includes"]


def test_a_control_far_below_chance_is_at_chance_if_its_interval_says_so(screen, accuracy):
    far = accuracy(0.0, chance=0.3, features="repaired", low=0.0, high=0.31, cluster_low=0.0, cluster_high=0.0)
    screen.write(0, "retrieval", [far])
    found = controls(screen.tables())
    assert [row["place"] for row in found if "re-paired" in row["control"]] == ["includes"]


@pytest.mark.parametrize(("shift", "place"), [(0.0, "includes"), (0.2, "above"), (-0.2, "below")])
def test_probing_of_shuffled_labels_is_a_control(screen, shift, place):
    aucs = np.linspace(0.4, 0.6, 11) + shift
    screen.write(0, "probing", [{"features": "cloome", "labels": "shuffled", "test_auc": auc} for auc in aucs])
    (found,) = [row for row in controls(screen.tables()) if "labels" in row["control"]]
    assert (found["place"], found["setting"], found["chance"]) == (place, "mean test AUC of 11 tasks", "0.500")


def test_shuffled_labels_of_a_single_task_are_no_control(screen):
    screen.write(0, "probing", [{"features": "cloome", "labels": "shuffled", "test_auc": 0.9}])
    assert not [row for row in controls(screen.tables()) if "labels" in row["control"]]


def test_a_comparison_says_what_of_it_was_not_published(screen, accuracy):
    screen.runs[:] = [screen.runs[0].rename(screen.runs[0].with_name("scaffold-cloob-seed0"))]
    for benchmark in ("zero_shot_molecule", "zero_shot_mechanism"):
        near = accuracy(0.2, direction="image_to_image", queries="all_images", n=28248, pool=1400)
        screen.write(0, benchmark, [near | {"n": 28248 if benchmark == "zero_shot_molecule" else 4056}])
    card = scorecard(screen.tables(), is_paper=True)
    molecule, mechanism = (of(card, table=number, split="scaffold", features="cloome", k=1) for number in (3, 4))
    assert {molecule.verdict, mechanism.verdict} <= {"agrees", "differs"}
    assert "scaffold split was not published" in molecule.remark
    assert "mechanisms" not in molecule.remark
    assert "scaffold split was not published" in mechanism.remark
    assert "mechanisms" in mechanism.remark
    assert set(scorecard(screen.tables(), is_paper=False)["remark"]) == {""}
