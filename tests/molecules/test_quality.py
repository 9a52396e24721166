"""Which fields are used: flags, filters, and the limit of what may be refused."""

import pandas as pd
import pytest

from cloome.cli import main
from cloome.config import Quality
from cloome.data.plates import NOT_COUNTED
from cloome.data.refused import read_refused
from cloome.errors import FormatError
from cloome.molecules.quality import check_fields, leave_out, with_flags

# The flags of plate 1: A01-1 is blurry, A02-1 saturated, A02-2 both.
JUDGED = [("a01", 1, 1, 0), ("a01", 2, 0, 0), ("a02", 1, 0, 1), ("a02", 2, 1, 1)]


def left_out(screen) -> dict[str, str]:
    """Reason by field."""
    table = read_refused(screen.folder / "fields.refused.csv")
    return dict(zip(table["item"], table["reason"], strict=True))


# Flags


def fields(*places) -> pd.DataFrame:
    return pd.DataFrame(places, columns=["plate", "well", "site"]).astype({"site": "int16"})


def judged(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["plate", "well", "site", "is_blurry", "is_saturated"])


def test_an_image_of_the_whole_well_has_the_flags_of_any_of_its_sites():
    quality = judged(("1", "A01", 1, True, False), ("1", "A01", 2, False, True), ("2", "A02", 1, True, True))
    flagged = with_flags(fields(("1", "A01", 0), ("1", "A02", 0), ("2", "A02", 0)), quality)
    assert flagged["is_blurry"].tolist() == [True, False, True]
    assert flagged["is_saturated"].tolist() == [True, False, True]


def test_the_tiles_of_a_field_have_its_flags():
    quality = judged(("1", "A01", 1, True, False), ("1", "A01", 2, False, False))
    flagged = with_flags(fields(("1", "A01", 1), ("1", "A01", 1), ("1", "A01", 2)), quality)
    assert flagged["is_blurry"].tolist() == [True, True, False]


def test_a_field_that_is_judged_twice_has_the_flags_of_both():
    quality = judged(("1", "A01", 1, True, False), ("1", "A01", 1, False, True), ("1", "A01", 1, True, False))
    flagged = with_flags(fields(("1", "A01", 1)), quality)
    assert flagged.to_dict("records") == [
        {"plate": "1", "well": "A01", "site": 1, "is_blurry": True, "is_saturated": True}
    ]


# Filters


def test_without_filters_every_field_is_used(screen):
    screen.write_quality("1", JUDGED)
    index, _, _ = screen.build()
    assert len(index) == 16
    assert left_out(screen) == {}


@pytest.mark.parametrize(
    ("filters", "reasons"),
    [
        ({"drop_blurry": True}, {"1-A01-1": "flag isBlurry", "1-A02-2": "flag isBlurry"}),
        ({"drop_saturated": True}, {"1-A02-1": "flag isSaturated", "1-A02-2": "flag isSaturated"}),
        (
            {"drop_blurry": True, "drop_saturated": True},
            {"1-A01-1": "flag isBlurry", "1-A02-1": "flag isSaturated", "1-A02-2": "flag isBlurry; flag isSaturated"},
        ),
        (
            {"minimum_cells": 1, "drop_blurry": True},
            {
                "1-A01-1": "flag isBlurry; 0 nuclei, quality.minimum_cells is 1",
                "1-A01-2": "0 nuclei, quality.minimum_cells is 1",
                "1-A02-2": "flag isBlurry",
                "2-A01-1": "0 nuclei, quality.minimum_cells is 1",
                "2-A01-2": "0 nuclei, quality.minimum_cells is 1",
            },
        ),
    ],
)
def test_a_filter_leaves_fields_out_and_names_each_with_its_reasons(screen, filters, reasons):
    screen.write_quality("1", JUDGED)
    index, _, _ = screen.build(screen.config(quality=filters))
    assert left_out(screen) == reasons
    assert len(index) == 16 - len(reasons)
    assert not set(index["sample_key"]) & set(reasons)


def test_the_smallest_number_of_nuclei_is_enough(screen):
    index, _, _ = screen.build(screen.config(quality={"minimum_cells": 3}))
    assert set(index["well"]) == {"A04"}, "the wells have 0 to 3 nuclei"


def test_filters_change_the_index_and_not_the_molecules(screen):
    _, all_molecules, _ = screen.build()
    index, molecules, refused = screen.build(screen.config(quality={"minimum_cells": 2}))
    assert set(index["compound"]) == {"BRD-3", "DMSO"}
    pd.testing.assert_frame_equal(molecules.table, all_molecules.table)
    assert refused.empty


def test_filters_that_leave_nothing_are_an_error_with_their_reasons(screen):
    with pytest.raises(FormatError, match=r"all 16 fields: few nuclei, quality.minimum_cells is 9 \(16\); loosen"):
        screen.build(screen.config(quality={"minimum_cells": 9}))
    assert not (screen.folder / "index.parquet").exists()


def test_nuclei_that_were_not_counted_cannot_be_asked_for():
    index = pd.DataFrame({"sample_key": ["7-A01-1"], "plate": "7", "cell_count": [NOT_COUNTED]})
    index = index.assign(is_blurry=False, is_saturated=False)
    with pytest.raises(FormatError, match=r"plate 7: .* name the nuclear channel in images\.nuclei"):
        leave_out(index, Quality(minimum_cells=1))
    assert len(leave_out(index, Quality())[0]) == 1


# The refused limit


def test_as_many_fields_as_the_limit_says_may_be_refused(screen):
    screen.refuse("1", [("1-A01-3", "empty"), ("1-A01-4", "empty"), ("1-A02-3", "empty"), ("1-A02-4", "empty")])
    index, _, _ = screen.build(screen.config(quality={"refused_limit": 0.2}))
    assert len(index) == 16, "4 of 20 are a fifth"


def test_more_refused_fields_are_an_error_that_names_plates_and_reasons(screen):
    rows = [(f"1-B0{n}-1", f"x{n}.tif: truncated or not TIFF") for n in (1, 2, 3)]
    screen.refuse("1", [*rows, ("1-B04-1", "no ER image")])
    screen.refuse("2", [("2-B01-1", "no ER image")])
    with pytest.raises(FormatError) as error:
        screen.build(screen.config(quality={"refused_limit": 0.2}))
    assert str(error.value) == (
        "5 of 21 fields (23.8 %) were refused, and quality.refused_limit is 0.2; the worst plates: 1 (4 of 12), "
        "2 (1 of 9); the most frequent reasons: truncated or not TIFF (3), no ER image (2); raise "
        "quality.refused_limit, leave plates out of the screen, or repair the source"
    )
    assert not (screen.folder / "index.parquet").exists()


def test_several_problems_of_one_field_count_once(screen):
    screen.refuse("1", [("1-A01-3", reason) for reason in ("no DNA image", "no ER image", "2 ER images")])
    index, _, _ = screen.build(screen.config(quality={"refused_limit": 1 / 17}))
    assert len(index) == 16


def test_the_tiles_of_a_field_count_once():
    tiles = fields(*[("1", "A01", 1)] * 9)
    refused = pd.DataFrame({"plate": ["1"], "item": ["1-A01-2"], "reason": ["empty"]})
    with pytest.raises(FormatError, match=r"1 of 2 fields \(50\.0 %\)"):
        check_fields(tiles, refused, 0.4)


def test_the_worst_plates_are_those_with_the_highest_shares():
    stored = fields(*[(plate, f"A{well:02d}", 1) for plate in "123456" for well in range(10 if plate > "2" else 1)])
    refused = [(plate, f"{plate}-B{n:02d}-1", "empty") for plate in "1234566" for n in range(2)]
    refused = pd.DataFrame(refused, columns=["plate", "item", "reason"]).drop_duplicates()
    with pytest.raises(FormatError, match=r"worst plates: 1 \(2 of 3\), 2 \(2 of 3\), 3 \(2 of 12\);"):
        check_fields(stored, refused, 0.1)


def test_the_users_own_filters_do_not_count(screen):
    index, _, _ = screen.build(screen.config(quality={"refused_limit": 0.0, "minimum_cells": 1}))
    assert len(index) == 12


def test_more_refused_compounds_than_the_limit_are_an_error(screen):
    screen.write_compounds([*screen.compounds[1:], ("BRD-1", "C1CC", "", "")])
    with pytest.raises(FormatError) as error:
        screen.build(screen.config(quality={"refused_limit": 0.3}))
    assert str(error.value) == (
        "1 of 3 compounds (33.3 %) were refused, such as 'BRD-1', and quality.refused_limit is 0.3; the most frequent "
        "reasons: invalid SMILES: ...: wrong syntax (1); raise quality.refused_limit, or repair the compound table"
    )
    _, _, refused = screen.build(screen.config(quality={"refused_limit": 0.34}))
    assert len(refused) == 1


def test_a_plate_without_its_table_of_refusals_is_an_error(screen, capsys):
    (screen.folder / "2.refused.csv").unlink()
    words = ["molecules", "--config", screen.write_config(), "--plates", *screen.stores]
    words += ["--resources", str(screen.resources)]
    words += ["--out-index", str(screen.folder / "i.parquet"), "--out-molecules", str(screen.folder / "m.h5")]
    assert main(words) == 1
    assert "2.refused.csv: no such file" in capsys.readouterr().err
