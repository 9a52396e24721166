"""How much is left to compute, and how long that takes."""

import re
from pathlib import Path

import pytest

from cloome.config import Model
from cloome.config_files import load_config
from cloome.plan.contents import read_contents
from cloome.plan.places import Places
from cloome.plan.rates import images_rate, network_rate
from cloome.plan.work import (
    EMBED,
    EVALUATE,
    IMAGES,
    PAST,
    PROBE,
    PUBLISHED_PAIRS,
    TRAIN,
    Past,
    list_past,
    list_work,
    training_images,
)


def contents_of(config):
    return read_contents(config, Places.of(config).store)


def work_of(config, jobs):
    return {work.stage: work for work in list_work(config, contents_of(config), jobs, Places.of(config))}


SIMULATED = {"sites": 2, "height": 128, "width": 160}  # 112 drugs x 2 sites x 2 plates = 448 images
SMALL = {"encoder": "resnet14", "width": 16, "pool": 2}


@pytest.mark.parametrize(
    ("splits", "images"),
    [
        ({"a": {"kind": "random", "validation": 0.1, "test": 0.2}}, 448 * 0.7),
        ({"a": {"kind": "scaffold", "validation": 0.0, "test": 0.5}}, 448 * 0.5),
        ({"a": {"kind": "replicate"}}, 448 * 0.5),
        ({"a": {"kind": "random"}, "b": {"kind": "replicate"}}, 448 * 0.6),
    ],
)
def test_a_split_leaves_its_share_for_training(configured, splits, images):
    config = configured(simulate=SIMULATED, runs={"splits": splits})
    assert training_images(config, contents_of(config)) == pytest.approx(images)


def test_mock_wells_are_not_trained_on(configured):
    config = configured(simulate=SIMULATED, images={"wells": "all"})
    assert training_images(config, contents_of(config)) == pytest.approx(448 * 0.7)


def test_the_published_split_has_its_published_size(root, monkeypatch):
    monkeypatch.chdir(root)
    config = load_config(["config/paper.yaml"])
    published = config.model_copy(
        update={"runs": config.runs.model_copy(update={"splits": {"random": config.runs.splits["random"]}})}
    )
    assert training_images(published, contents_of(published)) == pytest.approx(PUBLISHED_PAIRS)


def test_what_is_to_do_follows_from_the_jobs_left(configured):
    config = configured(simulate=SIMULATED, model=SMALL, train={"epochs": 10, "crop": 96})
    work = work_of(config, {IMAGES: 1, TRAIN: 3, EMBED: 2})
    assert work["images"].items == 224
    assert work["training"].items == pytest.approx(3 * 10 * 448 * 0.7)
    assert work["embedding"].items == 2 * 448
    assert work["images"].core_seconds == pytest.approx(224 / images_rate().per_core)


def test_nothing_left_takes_no_time(configured):
    work = work_of(configured(simulate=SIMULATED, model=SMALL), {})
    assert [stage.core_seconds for stage in work.values()] == [0, 0, 0]


def test_a_rate_falls_with_the_number_of_pixels():
    paper = Model()
    half, full = network_rate("training", paper, 224, 224), network_rate("training", paper, 224, 448)
    assert half.per_core == pytest.approx(2 * full.per_core)


def test_embedding_takes_fields_that_are_smaller_than_its_crop_whole(configured):
    config = configured(simulate=SIMULATED, model=SMALL, embed={"height": 520, "width": 696})
    rate = network_rate("embedding", config.model, 128, 160)
    assert work_of(config, {EMBED: 1})["embedding"].core_seconds == pytest.approx(448 / rate.per_core)


def test_a_network_that_was_not_measured_has_no_time(configured):
    config = configured(simulate=SIMULATED, model={"encoder": "resnet26", "pool": 2})
    training = work_of(config, {TRAIN: 1})["training"]
    assert training.core_seconds is None
    assert training.basis == "no rate measured: resnet26, width 64"


def test_times_of_past_plates_go_before_the_measured_rate(configured):
    config = configured(simulate=SIMULATED)
    folder = Places.of(config).times / "images"
    folder.mkdir(parents=True)
    # The second kept two cores busy; of the third, Snakemake does not know.
    for plate, seconds, cores in (("90001", 20.0, 19.0), ("90002", 20.0, 40.0), ("90003", 30.0, "NA")):
        (folder / f"{plate}.tsv").write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{seconds}\t0:00:20\t-\t{cores}\n")
    images = work_of(config, {IMAGES: 5})["images"]
    assert (images.core_seconds, images.basis) == (5 * 30.0, "from 3 plates stored before")


def test_what_is_left_of_later_stages_takes_as_long_as_the_longest_past_job(configured):
    config = configured(simulate=SIMULATED)
    places = Places.of(config)
    taken = {
        "train/random-cloob-seed0": 600.0,
        "train/random-cloob-seed1": 40.0,  # its rest, after it was killed
        "train/random-cloob-seed0-untrained": 9000.0,  # no training
        "embed/random-cloob-seed0": 30.0,
        "evaluate/random-cloob-seed0": 10.0,
        "probe/random-cloob-seed0": 20.0,
    }
    for job, seconds in taken.items():
        file = places.times / f"{job}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\th:m:s\n{seconds}\t0:00:20\n")
    assert list_past(config, {TRAIN: 3, EMBED: 0, EVALUATE: 5, PROBE: 2}, places) == [
        Past("training", 3, 2, 600.0),
        Past("evaluation", 5, 1, 10.0),
        Past("probing", 2, 1, 20.0),
    ]


def test_the_rules_that_are_counted_exist_and_write_their_times_where_they_are_read(root):
    text = "".join(path.read_text() for path in (root / "workflow/rules").glob("*.smk"))
    rules = dict(re.findall(r"^rule (\w+):(.*?)(?=^rule |\Z)", text, re.MULTILINE | re.DOTALL))
    assert IMAGES in rules
    for rule, pattern, _ in PAST.values():
        (times,) = re.findall(r'benchmark:\s+f"\{TIMES\}/(.*)"', rules[rule])
        assert Path(times.replace("{{run}}", "a").replace("{{split}}", "a")).match(pattern), rule
