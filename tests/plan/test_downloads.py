"""What is still to be fetched."""

from pathlib import Path

import pytest

from cloome.config_files import load_config
from cloome.errors import CloomeError
from cloome.plan.contents import read_contents
from cloome.plan.downloads import archive_bytes, list_files
from cloome.plan.places import Places

ARCHIVE, METADATA, COMPOUNDS = 1_000_000, 30_000, 2_000  # as in conftest.py


def files_of(config):
    places = Places.of(config)
    return list_files(config, read_contents(config, places.store), places)


def left(files, source):
    return [file.left for file in files if file.source == source]


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def test_every_plate_and_channel_is_a_file(configured):
    files = files_of(configured())
    assert left(files, "plate_archive") == [ARCHIVE] * 4
    assert left(files, "compounds") == [COMPOUNDS]
    assert archive_bytes(files) == 2 * ARCHIVE


def test_the_row_that_names_a_plate_goes_before_the_template(configured):
    files = files_of(configured())
    assert left(files, "plate_metadata") == [None, METADATA]
    assert [file.hosts for file in files if file.source == "plate_metadata"] == [("b.org", "c.org"), ("b.org",)]


def test_a_path_is_on_this_machine(configured):
    assert next(file.hosts for file in files_of(configured()) if file.source == "compounds") == ("this machine",)


def test_a_size_says_whether_it_is_exact(configured):
    about = {file.source: file.about for file in files_of(configured()) if file.bytes}
    assert about == {"plate_archive": True, "plate_metadata": False, "compounds": False}


def test_what_is_there_is_not_fetched_and_what_was_cut_goes_on(configured):
    config = configured()
    archives = Places.of(config).resources / "archives/24277"
    write(archives / "24277-Mito.zip", 10)
    write(archives / "24277-Hoechst.zip.part", 400_000)
    files = files_of(config)
    assert left(files, "plate_archive") == [0, 600_000, ARCHIVE, ARCHIVE]
    assert [file.finished for file in files[:2]] == [True, False]


def test_a_rough_size_that_was_too_small_leaves_nothing(configured):
    config = configured()
    write(Places.of(config).resources / "archives/24277/24277-Mito.zip.part", 2 * ARCHIVE)
    assert left(files_of(config), "plate_archive") == [0, ARCHIVE, ARCHIVE, ARCHIVE]


def test_the_archives_of_a_stored_plate_are_needed_no_more(configured, store):
    config = configured()
    store(config, "24278", images=1)
    files = files_of(config)
    assert left(files, "plate_archive") == [ARCHIVE, ARCHIVE, 0, 0]
    assert left(files, "plate_metadata") == [None, METADATA]


def test_well_tables_are_there_when_both_are(configured):
    config = configured()
    folder = Places.of(config).resources / "plates/24278"
    write(folder / "qc.csv", 1)
    assert left(files_of(config), "plate_metadata") == [None, METADATA]
    write(folder / "mean_well_profiles.csv", 1)
    assert left(files_of(config), "plate_metadata") == [None, 0]


def test_illumination_functions_are_a_second_look_into_the_same_archive(configured):
    uses = [file.use for file in files_of(configured(images={"illumination": True}))]
    assert uses.count("plate_metadata") == uses.count("plate_metadata, illumination") == 2


@pytest.mark.parametrize(
    ("sections", "row"),
    [
        ({"screen": {"mechanisms": {}}}, "mechanisms"),
        ({"screen": {"labels": True}}, "labels_matrix"),
        ({"runs": {"splits": {"paper": {"kind": "published"}}}}, "split_train"),
    ],
)
def test_a_file_without_a_row_is_named(configured, sections, row):
    with pytest.raises(CloomeError, match=f"sources.csv: no row for {row}; add one"):
        files_of(configured(**sections))


def test_a_simulated_screen_is_not_fetched(configured):
    assert files_of(configured(simulate={})) == []


def test_published_weights_are_two_files_and_no_training(root):
    config = load_config([root / "config/paper.yaml", root / "config/published.yaml"])
    weights = [file for file in files_of(config) if file.source.startswith("weights")]
    assert [file.outputs[0].name for file in weights] == ["published_retrieval.pt", "published_bioactivity.pt"]
    assert [file.bytes for file in weights] == [352_014_131, 352_013_623]
    assert not [file for file in files_of(load_config([root / "config/paper.yaml"])) if "weights" in file.source]
