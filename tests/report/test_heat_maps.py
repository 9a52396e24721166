"""Plate maps: which plates are shown, where each well lies, and what its colour stands for."""

import base64
import re

import numpy as np
import pandas as pd
import pytest

from cloome.data.plates import NOT_COUNTED
from cloome.report.heat_maps import (
    colour_scale,
    map_measures,
    most_unusual,
    plate_grid,
    plate_maps,
    plate_strip,
    smallest_layout,
    well_medians,
)


def index_of(plates=("P1", "P2"), wells=("A01", "B02", "H12"), sites=2, **values) -> pd.DataFrame:
    rows = [(plate, well, site) for plate in plates for well in wells for site in range(1, sites + 1)]
    index = pd.DataFrame(rows, columns=["plate", "well", "site"])
    return index.assign(**{"cell_count": 5, "is_blurry": False, "is_saturated": False, **values})


def svg(uri: str) -> str:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(content).decode()


@pytest.mark.parametrize(
    ("wells", "layout"),
    [
        (["A01", "H12"], (8, 12)),
        (["B02"], (8, 12)),
        (["I01"], (16, 24)),
        (["A13"], (16, 24)),
        (["P24"], (16, 24)),
        (["Q01"], (32, 48)),
        (["AF48"], (32, 48)),
        (["AG02", "B60"], (33, 60)),
    ],
)
def test_the_layout_is_the_smallest_plate_with_all_wells(wells, layout):
    assert smallest_layout(pd.Index(wells)) == layout


def test_a_well_lies_in_its_row_and_column():
    grid = plate_grid(pd.Series([1.0, 2.0, 3.0], index=["A01", "C02", "AF48"]), (32, 48))
    assert (grid[0, 0], grid[2, 1], grid[31, 47]) == (1.0, 2.0, 3.0)
    assert np.isfinite(grid).sum() == 3


def test_measures_are_those_of_the_nuclei_channel_or_else_of_the_first():
    index = index_of(focus_DNA=1.0, mean_DNA=2.0, focus_ER=1.0, mean_ER=2.0)
    assert list(map_measures(index, ["ER", "DNA"], "DNA")) == ["cell_count", "focus_DNA", "mean_DNA"]
    assert list(map_measures(index, ["ER", "DNA"], None)) == ["cell_count", "focus_ER", "mean_ER"]


def test_what_was_not_measured_has_no_map():
    index = index_of(focus_DNA=np.nan, mean_DNA=2.0, cell_count=NOT_COUNTED)
    assert list(map_measures(index, ["DNA"], "DNA")) == ["mean_DNA"]
    assert map_measures(index_of(cell_count=NOT_COUNTED), ["DNA"], "DNA") == {}


def medians(**plates) -> pd.DataFrame:
    """Two measures of one well per plate."""
    table = pd.DataFrame(plates, index=["cell_count", "mean_DNA"]).T
    return table.set_index(pd.MultiIndex.from_product([table.index, ["A01"]], names=["plate", "well"]))


def test_the_plates_that_deviate_most_in_any_measure_are_shown():
    usual = {f"P{n}": (10 + n % 3, 50 + n % 4) for n in range(7)}
    shown = most_unusual(medians(**usual, dim=(11, 20), few=(1, 51)))
    assert shown[:2] == ["dim", "few"]
    assert len(shown) == 6


def test_plates_that_deviate_as_much_come_by_name():
    assert most_unusual(medians(P3=(1, 1), P1=(1, 1), P2=(1, 1))) == ["P1", "P2", "P3"]
    assert most_unusual(medians(P4=(1, 1), P3=(1, 9), P2=(1, 1), P1=(1, 1))) == ["P3", "P1", "P2", "P4"]


def test_a_well_shows_the_median_over_its_sites():
    index = index_of(["P1", "P2"], ["A01", "A02"], sites=3)
    index["cell_count"] = [1, 2, 30, NOT_COUNTED, 4, 6, 7, 7, 7, *[NOT_COUNTED] * 3]
    wells = well_medians(index, ["cell_count"])["cell_count"]
    assert wells["P1"].tolist() == [2.0, 5.0]
    assert wells["P2"].iloc[0] == 7.0
    assert np.isnan(wells["P2"].iloc[1])


def test_colours_span_all_but_the_most_extreme_wells():
    assert colour_scale(pd.Series(range(101))).get_clim() == (1.0, 99.0)
    assert colour_scale(pd.Series([3.0, 3.0, np.nan])).get_clim() == (3.0, 4.0)


def test_maps_have_letters_numbers_and_the_names_of_their_plates():
    uri, plates = plate_maps(index_of(["P1", "P<2"], ["A01", "P24"]), {"cell_count": "nuclei per field"})
    drawing = svg(uri)
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", drawing)
    assert {"plate P1", "plate P&lt;2", "nuclei per field"} <= set(texts)
    assert texts.count("A") == texts.count("P") == len(plates) == 2
    assert {"1", "3", "23"} <= set(texts)
    assert drawing.count("<image") >= 2


def test_the_strip_has_one_dot_per_plate_and_panel():
    drawing = svg(plate_strip(index_of(["P1", "P2", "P3"])))
    assert drawing.count("<use ") >= 9
    assert {"P1", "P2", "P3", "median nuclei per field"} <= set(re.findall(r"<text[^>]*>([^<]+)</text>", drawing))
    assert "nuclei" not in svg(plate_strip(index_of(cell_count=NOT_COUNTED)))


def test_of_many_plates_some_are_named():
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg(plate_strip(index_of([f"P{n:03d}" for n in range(100)]))))
    assert [text for text in texts if text.startswith("P0")][:2] == ["P000", "P003"]
