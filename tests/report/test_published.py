"""The published values: each equals its row of FACTS, its interval follows from its hits, and its source is named."""

import pytest
import scipy.stats

from cloome.report.page_tables import peer_rows
from cloome.report.tables import ACCURACY, read_paper, read_peers

COUNTS = [  # FACTS 1.2: direction, pool, k, hits of 2,115, percent, interval in percent
    ("image_to_molecule", 2115, 1, 64, 3.026, (2.34, 3.85)),
    ("image_to_molecule", 2115, 5, 140, 6.619, (5.60, 7.76)),
    ("image_to_molecule", 2115, 10, 178, 8.416, (7.27, 9.68)),
    ("molecule_to_image", 2115, 1, 70, 3.310, (2.59, 4.16)),
    ("molecule_to_image", 2115, 5, 132, 6.241, (5.25, 7.36)),
    ("molecule_to_image", 2115, 10, 167, 7.896, (6.78, 9.13)),
    ("image_to_molecule", 100, 1, 216, 10.21, (8.95, 11.58)),
    ("image_to_molecule", 100, 5, 454, 21.47, (19.73, 23.28)),
    ("image_to_molecule", 100, 10, 645, 30.50, (28.54, 32.51)),
    ("molecule_to_image", 100, 1, 220, 10.40, (9.13, 11.78)),
    ("molecule_to_image", 100, 5, 446, 21.09, (19.37, 22.89)),
    ("molecule_to_image", 100, 10, 622, 29.41, (27.47, 31.40)),
]
IMAGES = {  # FACTS 1.4 and 1.5: table, split: queries, and per features percent and interval for k = 1, 5, 10
    (3, "random", 43778): {
        "cloome": [(18.4, 18.1, 18.8), (41.5, 41.1, 42.0), (56.2, 55.8, 56.7)],
        "gapnet": [(0.361, 0.307, 0.422), (1.07, 0.973, 1.17), (1.78, 1.66, 1.91)],
        "cellprofiler": [(2.68, 2.53, 2.84), (8.24, 7.99, 8.51), (12.6, 12.3, 12.9)],
    },
    (3, "scaffold", 28248): {
        "cloome": [(22.3, 21.9, 22.9), (50.8, 50.2, 51.4), (67.1, 66.6, 67.7)],
        "gapnet": [(0.517, 0.437, 0.608), (1.62, 1.47, 1.77), (2.56, 2.38, 2.75)],
        "cellprofiler": [(3.64, 3.42, 3.86), (10.4, 10.0, 10.7), (15.6, 15.1, 16.0)],
    },
    (4, "random", 8826): {
        "cloome": [(13.0, 12.3, 13.7), (35.3, 34.3, 36.3), (48.0, 46.9, 49.0)],
        "gapnet": [(1.09, 0.882, 1.33), (4.68, 4.25, 5.14), (8.63, 8.06, 9.24)],
        "cellprofiler": [(2.87, 2.53, 3.24), (9.46, 8.86, 10.1), (14.9, 14.2, 15.7)],
    },
    (4, "scaffold", 4056): {
        "cloome": [(18.5, 17.3, 19.7), (47.9, 46.4, 49.5), (61.3, 59.7, 62.8)],
        "gapnet": [(1.92, 1.52, 2.39), (9.00, 8.14, 9.92), (17.2, 16.1, 18.4)],
        "cellprofiler": [(4.54, 3.92, 5.22), (15.3, 14.2, 16.4), (24.5, 23.2, 25.8)],
    },
}
CELLS = [
    (*setting, features, k, cell)
    for setting, rows in IMAGES.items()
    for features, cells in rows.items()
    for k, cell in zip((1, 5, 10), cells, strict=True)
]


@pytest.mark.parametrize(("direction", "pool", "k", "hits", "percent", "interval"), COUNTS)
def test_retrieval_counts_give_their_intervals(direction, pool, k, hits, percent, interval):
    paper = read_paper(1)
    chosen = (paper["direction"] == direction) & (paper["pool"] == pool) & (paper["k"] == k)
    cell = paper[chosen].squeeze()
    assert (cell.hits, cell.n, cell.measure) == (hits, 2115, ACCURACY)
    assert cell.value == pytest.approx(percent / 100, abs=1e-9)
    assert (cell.low, cell.high) == pytest.approx([bound / 100 for bound in interval], abs=1e-9)
    exact = scipy.stats.binomtest(hits, 2115).proportion_ci(0.95, method="exact")
    assert (exact.low, exact.high) == pytest.approx((cell.low, cell.high), abs=5.1e-5)  # FACTS gives two decimals
    assert hits / 2115 == pytest.approx(cell.value, abs=5.1e-5)


@pytest.mark.parametrize(("table", "split", "n", "features", "k", "cell"), CELLS)
def test_zero_shot_values_are_those_of_the_paper(table, split, n, features, k, cell):
    paper = read_paper(table)
    found = paper[(paper["split"] == split) & (paper["features"] == features) & (paper["k"] == k)].squeeze()
    assert (found.value, found.low, found.high) == pytest.approx([number / 100 for number in cell], abs=1e-9)
    assert (found.n, found.evidence) == (n, "P")


def test_every_value_has_a_source_an_evidence_mark_and_a_setting_of_its_own():
    for number in (1, 2, 3, 4):
        paper = read_paper(number)
        assert paper["source"].str.len().gt(5).all()
        assert paper["evidence"].isin(["P", "N", "N+D"]).all()
        bounded = paper.dropna(subset="low")
        assert ((bounded["low"] < bounded["value"]) & (bounded["value"] < bounded["high"])).all()
        setting = ["split", "features", "direction", "queries", "pool", "k", "measure"]
        assert not paper.duplicated(setting).any()


def test_no_value_of_table_2_is_given_as_the_papers():
    assert read_paper(2).empty  # known from memory only, which FACTS forbids to quote


def test_each_value_of_others_says_whether_it_compares_and_why():
    peers = read_peers()
    assert peers["comparable"].isin(["partly", "no"]).all()
    assert peers[["name", "measure", "value", "reason", "source"]].notna().all(axis=None)
    assert not peers.duplicated(["name", "measure", "direction", "k"]).any()


def test_values_of_others_are_shown_by_method_and_direction():
    rows = {(row["name"], row["direction"], row["measure"]): row for row in peer_rows(read_peers())}
    found = rows["CellCLIP", "image → molecule", "top-k accuracy, k = 1, 5, 10"]
    assert found["values"] == "1.25 ± 0.10 % / 4.82 ± 0.10 % / 7.39 ± 0.23 %"
    assert found["comparable"] == "no"
    assert rows["CSIP", "image → activity", "mean test AUC"]["values"] == "0.708"
    assert rows["CLOOME, released weights", "molecule → image", "median rank"]["values"] == "546.0"
