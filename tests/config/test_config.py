"""Settings: one source, plain errors, and generated files that do not drift from it."""

import pytest
import yaml

from cloome.config import Config
from cloome.config_files import (
    check_config,
    generated_files,
    load_config,
    running_text,
    settings_text,
    stage_settings,
    store_id,
)
from cloome.errors import ConfigError

SMALLEST = {"screen": {"kind": "archives", "name": "s", "plates": ["1"]}}


def problems_of(changes: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        check_config({**SMALLEST, **changes})
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["config/config.yaml", "config/paper.yaml", "config/own_screen.yaml", "config/npz.yaml", "config/bbbc021.yaml"],
)
def test_shipped_configurations_are_valid_and_name_the_schema(root, name):
    load_config([root / name])
    assert (root / name).read_text().startswith("# yaml-language-server: $schema=schema.json\n")


def test_the_paper_configuration_marks_the_evidence_of_every_value(root):
    lines = (root / "config/paper.yaml").read_text().splitlines()
    body = lines[lines.index("images:") :]
    values = [line for line in body if ": " in line and not line.lstrip().startswith("#")]
    unmarked = [line for line in values if "[" not in line.partition("#")[2] and "assumption" not in line]
    assert [line.split(":")[0].strip() for line in unmarked] == ["shuffled_control", "untrained_control", "gpu"]


def test_the_paper_configuration_spells_out_every_setting(root):
    written = yaml.safe_load((root / "config/paper.yaml").read_text())
    for section in ("images", "quality", "molecules", "runs", "model", "train", "embed", "evaluate"):
        assert set(written[section]) == set(Config.model_fields[section].annotation.model_fields), section


@pytest.mark.parametrize("below", ["config/config.yaml", "config/own_screen.yaml", "config/bbbc021.yaml"])
@pytest.mark.parametrize("overlay", ["config/better.yaml", "config/paper_settings.yaml"])
def test_named_settings_go_over_any_screen(root, below, overlay):
    load_config([root / below, root / overlay])


def test_better_settings_and_upstreams_are_the_same_keys_and_upstreams_are_those_of_the_paper(root):
    names = ("config/better.yaml", "config/paper_settings.yaml", "config/paper.yaml")
    better, upstream, paper = (yaml.safe_load((root / name).read_text()) for name in names)
    assert {section: set(values) for section, values in better.items()} == {
        section: set(values) for section, values in upstream.items()
    }
    assert upstream["train"] == {key: paper["train"][key] for key in upstream["train"]}
    assert all(better["train"][key] != value for key, value in upstream["train"].items())


def test_published_weights_are_runs_of_the_published_split_alone(root):
    config = load_config([root / "config/paper.yaml", root / "config/published.yaml"])
    assert config.run_names() == ["random-published_retrieval-seed0", "random-published_bioactivity-seed0"]
    assert store_id(config) == store_id(load_config([root / "config/paper.yaml"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": {"splits": {"scaffold": {"kind": "scaffold"}}}}, "write runs.splits.scaffold: null, or kind"),
        ({"runs": {"shuffled_control": True}}, "write shuffled_control: false"),
        ({"runs": {"untrained_control": True}}, "write untrained_control: false"),
        ({"screen": {"channels": ["Mito", "Hoechst"]}}, "needs screen.channels: [Mito, ERSyto, ERSytoBleed"),
        ({"images": {"intensity": "package"}}, "images.intensity: paper; write that"),
        ({"model": {"encoder": "resnet14"}}, "has model.encoder: resnet50; write that, or train"),
        ({"molecules": {"bits": 2048}}, "has molecules.bits: 1024; write that, or train"),
    ],
)
def test_published_weights_are_refused_where_they_do_not_fit(root, tmp_path, changes, message):
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(changes))
    with pytest.raises(ConfigError) as caught:
        load_config([root / "config/paper.yaml", root / "config/published.yaml", tmp_path / "over.yaml"])
    assert message in str(caught.value)


def test_null_takes_a_split_away_but_not_the_last():
    splits = {"a": {"kind": "random"}, "b": None}
    assert list(check_config({**SMALLEST, "runs": {"splits": splits}}).runs.splits) == ["a"]
    assert "runs.splits is empty; name at least one" in problems_of({"runs": {"splits": {"b": None}}})


def test_how_training_runs_is_no_setting_of_a_stage_and_reaches_it_as_a_file_of_its_own(tmp_path):
    config = check_config({**SMALLEST, "running": {"readers": 7}})
    assert stage_settings(config, "train") == stage_settings(check_config(SMALLEST), "train")
    (tmp_path / "settings.yaml").write_text(settings_text(config, "train"))
    (tmp_path / "running.yaml").write_text(running_text(config))
    assert load_config([tmp_path / "settings.yaml", tmp_path / "running.yaml"]).running.readers == 7


def test_generated_files_agree_with_the_models(root):
    for name, text in generated_files().items():
        assert (root / name).read_text() == text, f"{name} has drifted; run: make docs"


def test_every_setting_is_described():
    def sections(model):
        yield model
        for field in model.model_fields.values():
            if hasattr(field.annotation, "model_fields"):
                yield from sections(field.annotation)

    for model in sections(Config):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trian": {}}, "trian: unknown key; did you mean train?"),
        ({"train": {"lerning_rate": 1.0}}, "train.lerning_rate: unknown key; did you mean learning_rate?"),
        (
            {"train": {"learning_rate": "5e-4"}},
            "train.learning_rate: found the text '5e-4'; YAML takes numbers like 5.0e-04",
        ),
        ({"train": {"batch": "many"}}, "train.batch: found 'many'; input should be a valid integer"),
        ({"train": {"epochs": 0}}, "train.epochs: found 0; input should be greater than or equal to 1"),
        (
            {"images": {"intensity": "papr"}},
            "images.intensity: found 'papr'; input should be 'paper', 'package' or 'none'",
        ),
        ({"screen": {"name": "s"}}, "screen.kind: missing"),
        ({"model": {"encoder": "resnet18"}}, "model.encoder: found 'resnet18'; write resnet14, resnet26"),
        ({"name": "my screen"}, "name: found 'my screen'; write letters, digits and _ only"),
        ({"screen": {"kind": "zip", "name": "s"}}, "screen.kind: found 'zip'; write one of archives, load_data"),
        ({"screen": {"kind": "archives", "name": "s"}}, "screen.plates: missing"),
        (
            {"runs": {"splits": {"a": {"kind": "random", "tset": 0.1}}}},
            "runs.splits.a.tset: unknown key; did you mean test?",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_found_and_what_to_write(changes, message):
    assert message in problems_of(changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": {"nuclei": "DAPI"}}, "images.nuclei is 'DAPI', which is not in screen.channels"),
        ({"model": {"encoder_weights": "w.pt"}}, "model.encoder_weights is for backbones of timm"),
        ({"train": {"crop": 96}}, "train.crop gives images of 96 pixels, 3 cells of the feature map"),
        ({"runs": {"splits": {"a": {"kind": "random", "test": 0.9, "validation": 0.1}}}}, "leave nothing to train on"),
        (
            {"screen": {"kind": "load_data", "name": "s", "load_data": "l.csv", "channels": ["Hoechst"]}},
            "compounds.path",
        ),
        (
            {"screen": {"kind": "npz", "name": "s", "images": ["a.tar"], "index": ["i.csv"]}},
            "npz files hold 8 bit already; write images.intensity: none",
        ),
        (
            {"images": {"intensity": "package"}, "evaluate": {"gapnet": "gapnet.pth.tar"}},
            "evaluate.gapnet needs images as GapNet was trained on",
        ),
        ({"images": {"resize": [64, 64]}, "evaluate": {"gapnet": "gapnet.pth.tar"}}, "whole fields in their own size"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(changes, message):
    assert message in problems_of(changes)


def test_later_files_override_single_keys(tmp_path):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({**SMALLEST, "train": {"epochs": 3, "batch": 8}}))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({"train": {"epochs": 4}}))
    config = load_config([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert (config.train.epochs, config.train.batch) == (4, 8)


def test_a_missing_or_broken_file_is_named(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [")
    for name, message in (("absent.yaml", "no such configuration file"), ("broken.yaml", "not readable as YAML")):
        with pytest.raises(ConfigError, match=message):
            load_config([tmp_path / name])


def test_the_store_is_shared_by_configurations_with_the_same_image_settings():
    base = check_config(SMALLEST)
    same = check_config({**SMALLEST, "name": "other", "train": {"epochs": 1}})
    other = check_config({**SMALLEST, "images": {"intensity": "package"}})
    assert store_id(base) == store_id(same) != store_id(other)


def test_stage_settings_are_a_configuration_that_holds_nothing_of_other_stages():
    config = check_config({**SMALLEST, "train": {"epochs": 7}})
    settings = stage_settings(config, "train")
    assert check_config(settings).train.epochs == 7
    assert "evaluate" not in settings
    assert settings["screen"]["plates"] == []
