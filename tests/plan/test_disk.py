"""Room on the disk, by hand arithmetic."""

import shutil

import pytest

from cloome.config_files import load_config
from cloome.plan.contents import read_contents
from cloome.plan.disk import Disk, Use, compare, count_parameters, list_uses
from cloome.plan.downloads import list_files
from cloome.plan.places import Places

SMALL = {"encoder": "resnet14", "width": 4, "pool": 1, "hidden": 16, "hidden_layers": 1, "embedding": 16}
PARAMETERS = 1_000
ARCHIVE = 1_000_000  # of one channel, as in conftest.py


def uses_of(config, at_once=0):
    places = Places.of(config)
    contents = read_contents(config, places.store)
    files = list_files(config, contents, places)
    return {use.what: use for use in list_uses(config, contents, files, places, PARAMETERS, at_once)}


def test_the_store_is_its_pixels(configured):
    config = configured(images={"wells": "all"}, model=SMALL)
    assert uses_of(config)["image store"].end == pytest.approx(2 * 919_265 / 406 * 2 * 520 * 696)


def test_gzip_takes_43_percent_off(configured):
    plain, packed = (uses_of(configured(images={"compression": c}, model=SMALL)) for c in ("none", "gzip"))
    assert packed["image store"].end == pytest.approx(0.57 * plain["image store"].end)


def test_tiles_leave_out_the_edges(configured):
    whole, tiled = (uses_of(configured(images={"tiles": t}, model=SMALL)) for t in (None, {"size": 224}))
    assert tiled["image store"].end / whole["image store"].end == pytest.approx(6 * 224**2 / (520 * 696))


def test_each_run_keeps_a_model_and_an_embedding_of_each_image(configured):
    runs = {"methods": ["clip", "cloob"], "seeds": [0, 1], "shuffled_control": True}
    config = configured(simulate={"sites": 1}, runs=runs, model=SMALL)
    uses = uses_of(config)
    assert uses["embeddings"].end == 6 * (2 * 112) * 16 * 4
    assert uses["models"].end == 6 * PARAMETERS * 4


def test_published_weights_are_tables_of_the_screen_and_embed_with_both(root):
    published = uses_of(load_config([root / "config/paper.yaml", root / "config/published.yaml"]))
    trained = uses_of(load_config([root / "config/paper.yaml"]))
    assert published["models"].end == 0
    assert published["embeddings"].end == pytest.approx(trained["embeddings"].end * 2 / 16)
    assert published["tables of the screen"].end - trained["tables of the screen"].end == 352_014_131 + 352_013_623


def test_the_papers_network_has_29_million_numbers(root):
    # 29,294,785 weights (FACTS 1.7), and the means, variances and counts of its BatchNorm layers.
    assert 29_294_785 < count_parameters(load_config([root / "config/paper.yaml"])) < 1.003 * 29_294_785


@pytest.mark.parametrize(
    ("at_once", "what"), [(1, "archives of 1 plate at a time"), (2, "archives of 2 plates at a time")]
)
def test_the_archives_in_work_count_at_the_peak_only(configured, at_once, what):
    archives = uses_of(configured(model=SMALL), at_once)[what]
    assert (archives.end, archives.peak) == (0, at_once * 2 * ARCHIVE)


def test_a_stored_plate_counts_as_there(configured, store):
    config = configured(model=SMALL)
    size = store(config, "24277", images=3).stat().st_size
    assert uses_of(config)["image store"].now == size


def test_archives_that_have_arrived_need_no_more_room(configured):
    config = configured(model=SMALL)
    folder = Places.of(config).resources / "archives/24277"
    folder.mkdir(parents=True)
    (folder / "24277-Mito.zip").write_bytes(bytes(700_000))
    (folder / "24277-Hoechst.zip.part").write_bytes(bytes(100_000))
    archives = uses_of(config, 1)["archives of 1 plate at a time"]
    assert archives.peak - archives.now == 2 * ARCHIVE - 800_000


def test_one_disk_is_compared_as_a_whole(tmp_path):
    uses = [
        Use("a", tmp_path / "not/yet/there", end=100, now=30, peak=100),
        Use("b", tmp_path, end=0, now=50, peak=20),
        Use("c", tmp_path, end=5, now=0, peak=5),
    ]
    (disk,) = compare(uses)
    assert (disk.folder, disk.needed) == (tmp_path, 70 + 0 + 5)
    assert disk.free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


@pytest.mark.parametrize(("free", "missing"), [(10, 0), (9, 0), (4, 5)])
def test_what_is_free_is_enough_or_something_is_missing(tmp_path, free, missing):
    assert Disk(tmp_path, needed=9, free=free).missing == missing
