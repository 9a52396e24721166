"""Someone's own screen: any channels, TIFF or PNG, 8 or 16 bit, as a LoadData table lists them."""

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from PIL import Image

from cloome.cli import main
from cloome.config import Config
from cloome.data.plates import open_plate
from cloome.data.refused import read_refused
from cloome.errors import FormatError
from cloome.images.command import Inputs, store_plate
from cloome.images.intensity import to_uint8

CHANNELS = ["DNA", "Actin"]


class OwnScreen:
    """Plate P1, wells B02 and B03 with a compound and B04 without, one site each."""

    def __init__(self, folder):
        self.folder, self.out = folder, folder / "P1.h5"
        self.rows = [self.row(well, 1, compound) for well, compound in (("B2", "x"), ("B03", "y"), ("B04", ""))]
        self.pixels = {}

    def row(self, well: str, site, compound: str = "x", plate: str = "P1", ending: str = "tif") -> dict:
        files = {f"FileName_Orig{channel}": f"{well}_{site}_{channel}.{ending}" for channel in CHANNELS}
        paths = {f"PathName_Orig{channel}": "images" for channel in CHANNELS}
        well_columns = {"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": site, "compound": compound}
        return {**files, **paths, **well_columns}

    def write(self, dtype=np.uint16) -> None:
        (self.folder / "images").mkdir()
        rng = np.random.default_rng(0)
        for row in self.rows:
            for channel in CHANNELS:
                name = row[f"FileName_Orig{channel}"]
                pixels = rng.integers(1, np.iinfo(dtype).max, (30, 40), dtype=dtype)
                self.pixels[name] = pixels
                path = self.folder / "images" / name
                tifffile.imwrite(path, pixels) if name.endswith("tif") else Image.fromarray(pixels).save(path)

    def store(self, plate: str = "P1", **images) -> dict[str, str]:
        pd.DataFrame(self.rows).to_csv(self.folder / "load_data.csv", index=False)
        screen = {"kind": "load_data", "name": "own", "load_data": "elsewhere.csv", "channels": CHANNELS}
        screen |= {"compound_column": "compound", "concentration_column": None, "compounds": {"path": "compounds.csv"}}
        config = Config.model_validate(
            {"screen": screen, "images": {"nuclei": "DNA", **images}, "model": {"normalisation": "measured"}}
        )
        store_plate(config, plate, Inputs(self.folder / "load_data.csv"), self.out)
        table = read_refused(self.out.with_suffix(".refused.csv"))
        return dict(zip(table["item"], table["reason"], strict=True))

    def stored(self) -> tuple[list[str], np.ndarray]:
        with open_plate(self.out) as plate:
            assert plate.channels == CHANNELS
            return plate.fields()["sample_key"].tolist(), plate.images[()]


@pytest.fixture
def own(tmp_path) -> OwnScreen:
    return OwnScreen(tmp_path)


def test_a_real_plate_of_png_goes_through_the_command(real_data, tmp_path):
    folder = real_data / "bbbc021"
    screen = {
        "kind": "load_data",
        "name": "bbbc021",
        "load_data": "elsewhere.csv",
        "channels": ["DNA", "Tubulin", "Actin"],
        "compound_column": "Metadata_pert_iname",
        "batch_column": "Metadata_Batch",
        "compounds": {"path": "compounds.csv"},
    }
    settings = {"screen": screen, "images": {"intensity": "none", "nuclei": "DNA"}}
    config, out = tmp_path / "config.yaml", tmp_path / "plate.h5"
    config.write_text(yaml.safe_dump(settings | {"model": {"normalisation": "measured"}}))
    words = ["images", "--config", str(config), "--plate", "Week3_25681", "--in", str(folder / "load_data.csv")]
    assert main([*words, "--out", str(out)]) == 0
    assert read_refused(out.with_suffix(".refused.csv")).empty
    with open_plate(out) as plate:
        fields, images = plate.fields(), plate.images[()]
    assert images.shape == (20, 3, 256, 256)
    assert fields["cell_count"].between(5, 250).all()
    for image, key in zip(images, fields["sample_key"], strict=True):
        plate_name, well, site = key.split("-")
        for number, channel in enumerate(("DNA", "Tubulin", "Actin")):
            file = Image.open(folder / "images" / f"{plate_name}_{well}_s{site}_{channel}.png")
            np.testing.assert_array_equal(image[number], np.asarray(file))


@pytest.mark.parametrize("ending", ["tif", "png"])
@pytest.mark.parametrize(("dtype", "intensity"), [(np.uint8, "none"), (np.uint16, "paper")])
def test_each_kind_of_file_is_stored(own, ending, dtype, intensity):
    own.rows = [own.row("B2", 1, ending=ending)]
    own.write(dtype)
    assert own.store(intensity=intensity) == {}
    keys, images = own.stored()
    assert keys == ["P1-B02-1"]
    for number, channel in enumerate(CHANNELS):
        pixels = own.pixels[f"B2_1_{channel}.{ending}"]
        np.testing.assert_array_equal(images[0, number], pixels if intensity == "none" else to_uint8(pixels))


def test_wells_without_a_compound_are_kept_if_asked(own):
    own.write()
    assert own.store() == {}
    assert own.stored()[0] == ["P1-B02-1", "P1-B03-1"]
    assert own.store(wells="all") == {}
    assert own.stored()[0] == ["P1-B02-1", "P1-B03-1", "P1-B04-1"]


def test_what_cannot_be_used_is_refused(own):
    own.rows += [own.row("C01", 1), own.row("C01", 1), own.row("C02", 1), own.row("C03", ""), own.row("C04", 1.5)]
    own.write()
    own.rows[5]["FileName_OrigDNA"] = ""
    (own.folder / "images/B03_1_Actin.tif").unlink()
    refused = own.store()
    assert refused["P1-C01-1"] == "listed 2 times"
    assert refused["P1-C02-1"] == "no DNA image"
    assert "Metadata_Site is no whole number" in refused["P1-C03-nan"]
    assert "Metadata_Site is no whole number" in refused["P1-C04-1.5"]
    assert "B03_1_Actin.tif: cannot be read: No such file" in refused["P1-B03-1"]
    assert len(refused) == 5
    assert own.stored()[0] == ["P1-B02-1"]


def test_a_plate_without_a_compound_says_so(own):
    own.rows = own.rows[2:]
    own.write()
    with pytest.raises(FormatError, match="plate P1: no treated well among its 1 fields"):
        own.store()


def test_ready_images_need_the_setting_none(own):
    own.write(np.uint8)
    with pytest.raises(FormatError, match=r"images of 8 bit need images\.intensity: none"):
        own.store()


def test_an_unknown_plate_is_named(own):
    own.write()
    with pytest.raises(FormatError, match="no row of plate P2"):
        own.store(plate="P2")
