"""How many images a screen has, and of what size."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cloome.config import Images
from cloome.config_files import check_config
from cloome.errors import CloomeError, ConfigError
from cloome.plan.contents import read_contents, stored_size
from cloome.plan.places import Places


def contents_of(config):
    return read_contents(config, Places.of(config).store)


def test_a_published_plate_counts_as_the_average_of_all(configured):
    contents = contents_of(configured(images={"wells": "all"}))
    assert contents.images == pytest.approx(2 * 919_265 / 406)
    assert contents.shape == (520, 696)
    assert contents.missing == ["24277", "24278"]


def test_of_a_published_plate_only_the_wells_kept_count(configured):
    treated = contents_of(configured())
    labelled = contents_of(configured(images={"wells": "labelled"}, screen={"labels": True}))
    assert treated.images == pytest.approx(2 * 919_265 / 406 * 126_798 / 155_904)
    assert labelled.images == pytest.approx(2 * 284_000 / 406)


def test_all_wells_hold_the_same_treated_ones(configured):
    treated, all_wells = contents_of(configured()), contents_of(configured(images={"wells": "all"}))
    assert all_wells.images * all_wells.treated == pytest.approx(treated.images * treated.treated)


def test_stored_plates_are_counted_and_give_the_size(configured, store):
    config = configured(images={"wells": "all"})
    store(config, "24277", images=3)
    contents = contents_of(config)
    assert (contents.stored, contents.missing) == ({"24277": 3}, ["24278"])
    assert contents.images == pytest.approx(3 + 919_265 / 406)
    assert contents.shape == (8, 10)


@pytest.mark.parametrize(
    ("settings", "per_field", "shape"),
    [
        ({}, 1, (520, 696)),
        ({"resize": [260, 348]}, 1, (260, 348)),
        ({"tiles": {"size": 224}}, 2 * 3, (224, 224)),
        ({"tiles": {"size": 224, "stride": 100}}, 3 * 5, (224, 224)),
        ({"resize": [448, 448], "tiles": {"size": 224}}, 4, (224, 224)),
        ({"mosaic": {}}, 1 / 6, (1040, 2076)),
        ({"mosaic": {"rows": 1, "columns": 2, "skip": 0}}, 1 / 2, (520, 1392)),
    ],
)
def test_settings_decide_what_becomes_of_a_field(settings, per_field, shape):
    assert stored_size(520, 696, Images.model_validate(settings)) == (per_field, shape)


def test_tiles_larger_than_the_fields_are_refused():
    with pytest.raises(ConfigError, match=r"images.tiles.size is 600.*520 x 696; write size: 520 or less"):
        stored_size(520, 696, Images.model_validate({"tiles": {"size": 600}}))


@pytest.mark.parametrize(("wells", "images"), [("treated", 112 * 3 * 2), ("all", 120 * 3 * 2)])
def test_a_simulated_screen_is_known_beforehand(configured, wells, images):
    config = configured(simulate={"sites": 3, "height": 64, "width": 96}, images={"wells": wells})
    contents = contents_of(config)
    assert (contents.images, contents.shape) == (images, (64, 96))
    assert contents.images * contents.treated == 112 * 3 * 2
    assert contents.replicates == 0.5


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A LoadData screen: compound a on plates 1 and 2, b on 1 only, one untreated field; one image is there."""
    monkeypatch.chdir(tmp_path)
    rows = [("1", "A01", "a"), ("2", "A01", "a"), ("1", "A02", "b"), ("2", "A02", None)]
    table = pd.DataFrame(rows, columns=["Metadata_Plate", "Metadata_Well", "Metadata_id"])
    table["PathName_OrigDNA"], table["FileName_OrigDNA"] = "images", [f"{number}.png" for number in range(4)]
    table.to_csv("load_data.csv", index=False)
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "images/1.png")
    screen = {"kind": "load_data", "name": "own", "load_data": "load_data.csv", "channels": ["DNA"]}
    screen |= {"compound_column": "Metadata_id", "concentration_column": None, "compounds": {"path": "compounds.csv"}}
    values = {"screen": screen, "images": {"nuclei": None}, "model": {"normalisation": "measured"}}
    return check_config(values)


def test_an_own_screen_has_what_its_table_lists(own):
    contents = contents_of(own)
    assert contents.fields == {"1": 2, "2": 1}
    assert (contents.images, contents.shape) == (3, (40, 50))


def test_a_held_out_replicate_leaves_the_others_and_single_ones(own):
    assert contents_of(own).replicates == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)


def test_an_own_screen_without_any_image_is_told(own, tmp_path):
    (tmp_path / "images/1.png").unlink()
    with pytest.raises(CloomeError, match=r"names 'images/0.png', which is not there"):
        contents_of(own)
