"""The simulated archive site looks, byte for byte where it matters, like the real one."""

import gzip
import hashlib
import io
import re
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
import tifffile

from cloome.cli import main
from cloome.data.labels import read_labels
from cloome.data.sources import COLUMNS
from cloome.data.wells import normal_well, read_profiles, read_quality
from cloome.errors import ConfigError
from cloome.simulate.site import write_site
from cloome.simulate.structures import drugs

PLATES = ["90001", "90002"]
CHANNELS = {"Hoechst": 1, "ERSyto": 2, "ERSytoBleed": 3, "Ph_golgi": 4, "Mito": 5}
MEMBER = re.compile(
    r"(?P<plate>\d{5})-(?P<channel>\w+)/cdp2bioactives_(?P<well>[a-p]\d\d)_s(?P<site>\d)_w(?P<number>[1-5])"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.tif"
)


def sources(folder):
    return pd.read_csv(folder / "sources.csv", dtype=str, keep_default_na=False)


def archive(folder, plate, channel):
    return zipfile.ZipFile(folder / f"images/plate_{plate}/{plate}-{channel}.zip")


@pytest.fixture
def metadata(site, tmp_path):
    with tarfile.open(site / "metadata/Plate_90001.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "gigascience_upload/Plate_90001"


def test_each_plate_and_channel_has_one_archive_with_every_well_and_site(site):
    wells = len(drugs()) + 4
    for plate in PLATES:
        for channel, number in CHANNELS.items():
            with archive(site, plate, channel) as packed:
                members = [MEMBER.fullmatch(name) for name in packed.namelist()]
            assert all(m and m["plate"] == plate and m["channel"] == channel for m in members)
            assert {m["number"] for m in members} == {str(number)}
            assert len({(m["well"], m["site"]) for m in members}) == len(members) == wells


def test_real_file_names_have_the_same_form(real_data):
    names = gzip.decompress((real_data / "bray/file_names_24278.txt.gz").read_bytes()).decode().split()
    matches = [MEMBER.fullmatch(name) for name in names]
    assert all(matches)
    assert {(m["channel"], int(m["number"])) for m in matches} == set(CHANNELS.items())


def test_images_are_stored_as_the_microscope_stored_them(site, real_data):
    with archive(site, "90001", "Mito") as packed:
        info = packed.infolist()[0]
        simulated = tifffile.TiffFile(io.BytesIO(packed.read(info)))
    real = tifffile.TiffFile(real_data / "bray/field/Mito.tif")
    assert info.compress_type == zipfile.ZIP_DEFLATED
    assert simulated.byteorder == real.byteorder
    pages = [file.pages[0] for file in (simulated, real)]
    for tag in ("BitsPerSample", "Compression", "PhotometricInterpretation", "SamplesPerPixel", "ResolutionUnit"):
        assert pages[0].tags[tag].value == pages[1].tags[tag].value, tag
    for page in pages:
        assert page.dtype == np.uint16
        assert page.rowsperstrip == 8192 // (2 * page.imagewidth)
        assert len(page.dataoffsets) == -(-page.imagelength // page.rowsperstrip) > 1
    assert pages[0].shape == (64, 72)
    assert "SIMULATED" in pages[0].description


def test_values_have_twelve_bits_and_use_them(site):
    for channel in CHANNELS:
        with archive(site, "90001", channel) as packed:
            images = np.stack([tifffile.imread(io.BytesIO(packed.read(name))) for name in packed.namelist()])
        assert images.max() <= 4095
        assert images.max() > 1000
        assert images.min() > 0


def test_well_profiles_say_what_each_well_holds(metadata):
    wells = read_profiles(metadata / "profiles/mean_well_profiles.csv")
    treated = wells[wells["role"] == "treated"]
    assert set(wells["plate"]) == {"90001"}
    assert sorted(treated["compound"]) == sorted(drugs()["broad_id"])
    assert wells.loc[wells["role"] == "mock", "compound"].tolist() == ["DMSO"] * 4
    assert wells["well"].is_unique
    assert (treated["concentration"] > 0).all()


def test_flagged_fields_are_blurred_or_saturated(metadata, site):
    quality = read_quality(metadata / "quality_control/qc.csv")
    with archive(site, "90001", "Hoechst") as packed:
        images = {
            normal_well(MEMBER.fullmatch(name)["well"]): tifffile.imread(io.BytesIO(packed.read(name))).astype(float)
            for name in packed.namelist()
        }
    assert len(quality) == len(images)
    sharpness = quality["well"].map(lambda well: np.abs(np.diff(images[well])).max() / np.ptp(images[well]))
    brightest = quality["well"].map(lambda well: images[well].max())
    fine = ~(quality["is_blurry"] | quality["is_saturated"])
    assert quality["is_blurry"].any()
    assert quality["is_saturated"].any()
    assert sharpness[quality["is_blurry"]].max() < sharpness[fine].median() / 2
    assert (brightest[quality["is_saturated"]] == 4095).all()
    assert (brightest[fine] < 4095).mean() > 0.95


def test_compound_tables_have_the_real_columns_and_name_every_drug(site):
    compounds = pd.read_csv(site / "tables/chemical_annotations.csv")
    assert list(compounds.columns) == [
        "BROAD_ID", "CPD_NAME", "CPD_NAME_TYPE", "CPD_SAMPLE_ID", "DOS_LIBRARY", "SOURCE_NAME", "CHEMIST_NAME",
        "VENDOR_CATALOG_ID", "CPD_SMILES", "USERCOMMENT",
    ]  # fmt: skip
    mechanisms = pd.read_csv(site / "tables/mechanisms.csv")
    assert list(mechanisms.columns) == ["BROAD_ID", "MOA"]
    assert mechanisms["BROAD_ID"].tolist() == compounds["BROAD_ID"].tolist() == drugs()["broad_id"].tolist()
    assert mechanisms["MOA"].notna().all()


def test_labels_are_readable_and_hold_enough_of_both_kinds(site):
    labels = read_labels(site / "labels")
    matrix = labels.matrix.toarray()
    assert sorted(labels.inchikey) == sorted(drugs()["inchikey"])
    assert len(labels.assay) >= 12
    assert ((matrix == 1).sum(axis=0) >= 10).all()
    assert ((matrix == -1).sum(axis=0) >= 10).all()
    assert 0.2 < (matrix == 0).mean() < 0.4


def test_table_of_sources_names_every_file_with_its_size_and_checksum(site):
    table = sources(site)
    assert list(table.columns) == COLUMNS
    for row in table.itertuples():
        content = (site / row.url).read_bytes()
        assert len(content) == int(row.bytes)
        assert hashlib.sha256(content).hexdigest() == row.sha256
    written = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert written == {*table["url"], "sources.csv"}
    assert table["source"].value_counts().to_dict() == {
        "plate_archive": 10, "plate_metadata": 2, "compounds": 1, "mechanisms": 1,
        "labels_matrix": 1, "labels_rows": 1, "labels_columns": 1,
    }  # fmt: skip


def test_same_seed_gives_the_same_bytes_however_many_plates(site, tiny, tmp_path):
    write_site(tiny(plates=["90001"]), tmp_path)
    columns = ["source", "plate", "channel", "url", "sha256"]
    of_two = sources(site)[columns]
    assert sources(tmp_path)[columns].values.tolist() == of_two[of_two["plate"] != "90002"].values.tolist()


def test_another_seed_gives_other_images(site, tiny, tmp_path):
    write_site(tiny(plates=["90001"], channels=["Hoechst"], seed=1), tmp_path)
    one, other = (archive(folder, "90001", "Hoechst") for folder in (site, tmp_path))
    assert not set(one.namelist()) & set(other.namelist())


@pytest.mark.parametrize(
    ("plates", "settings", "says"),
    [
        (["90001", "9x"], {}, "five digits"),
        (["90001", "90001"], {}, "different ids"),
        (["90001"], {"dmso_wells": 300}, "has room for 272"),
        (["90001"], {"channels": ["Hoechst", "Tubulin"]}, "Tubulin"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tiny, tmp_path, plates, settings, says):
    with pytest.raises(ConfigError, match=says):
        write_site(tiny(plates=plates, **settings), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_plate_list_in_a_file_or_no_section_simulate_is_refused(tiny, tmp_path):
    config = tiny()
    in_a_file = config.model_copy(update={"screen": config.screen.model_copy(update={"plates": "plates.txt"})})
    with pytest.raises(ConfigError, match=r"plates\.txt"):
        write_site(in_a_file, tmp_path)
    with pytest.raises(ConfigError, match="simulate is null"):
        write_site(config.model_copy(update={"simulate": None}), tmp_path)


def test_command_writes_the_site(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "stage: simulate\n"
        "simulate: {sites: 1, height: 32, width: 32, dmso_wells: 1}\n"
        "screen: {kind: archives, name: simulated, plates: ['90001'], channels: [Hoechst]}\n"
    )
    assert main(["simulate", "--config", str(config), "--out", str(tmp_path / "site")]) == 0
    assert (tmp_path / "site/sources.csv").is_file()
