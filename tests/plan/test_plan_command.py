"""The command: what it prints, what it refuses, and that it leaves everything as it is."""

import shutil
import subprocess
import sys

import pytest

from cloome.cli import main
from cloome.config_files import load_config
from cloome.plan.places import Places
from cloome.plan.text import aligned, amount, duration

CLONED = ("Snakefile", "cloome", "config", "envs", "profiles", "workflow")


@pytest.fixture
def clone(root, tmp_path, monkeypatch):
    """A fresh clone, as far as planning needs one."""
    for name in CLONED:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        copy(root / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files_in(folder):
    """All files but what Snakemake and Python keep for themselves."""
    own = {".snakemake", "__pycache__"}
    return {path for path in folder.rglob("*") if not own & set(path.parts)}


def test_the_demo_is_planned_and_nothing_is_written(clone, capsys):
    before = files_in(clone)
    assert main(["plan", "--configfile", "config/config.yaml", "--cores", "2"]) == 0
    printed = capsys.readouterr().out
    assert files_in(clone) == before
    lines = [line.split() for line in printed.splitlines()]
    assert "672 images of 5 x 128 x 160 pixels (as they will be simulated)" in printed
    assert "none: the screen is simulated here" in printed
    assert ["image", "store", "69", "MB", "69", "MB", "0", "B"] in lines  # 672 x 5 x 128 x 160 = 68.8 MB
    assert "archives of 2 plates at a time" in printed
    assert ["train_run", "3"] in lines
    assert ["images", "2"] in lines
    assert max(map(len, printed.replace(str(clone), ".").splitlines())) <= 100


def test_times_of_past_jobs_are_told_where_there_are_any(clone, capsys):
    assert main(["plan", "--configfile", "config/config.yaml"]) == 0
    assert "past jobs" not in capsys.readouterr().out
    times = clone / "benchmarks/results/demo/embed/random-cloob-seed0.tsv"
    times.parent.mkdir(parents=True)
    times.write_text("s\th:m:s\n120.0\t0:02:00\n")
    assert main(["plan", "--configfile", "config/config.yaml"]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ["embedding", "3", "2 min", "6 min", "the longest of 1 past job"] in rows


def test_a_run_that_cannot_fit_is_told(clone, capsys):
    (clone / "large.yaml").write_text("simulate: {height: 100000, width: 100000}\n")  # 34 TB of 8-bit images
    words = ["--configfile", "config/config.yaml", "large.yaml", "--gpu-images-per-second", "1000", "--cores", "1"]
    assert main(["plan", *words]) == 0
    printed = capsys.readouterr().out
    assert "free there: it DOES NOT FIT: " in printed
    assert "archives of 1 plate at a time" in printed
    assert "training on a GPU of 1,000 images/s: 23 s" in printed  # 2 trained runs x 24 epochs x 672 x 0.7 images


def test_the_places_are_those_of_the_workflow(clone, root):
    config = "tests/workflow/tiny.yaml"
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "host", "--configfile", str(root / config)]
    planned = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    places = Places.of(load_config([root / config]))
    for path in (
        places.store / "90001.h5",
        places.resources / "archives/90001/90001-Mito.zip",
        places.resources / "plates/90001/qc.csv",
        places.resources / "site/sources.csv",
        places.results / "runs/random-cloob-seed0/model.pt",
    ):
        assert str(path) in planned.stdout + planned.stderr
    # A dry run does not print where the times will lie.
    assert str(places.times) == "benchmarks/results/tiny"
    assert 'TIMES = f"benchmarks/results/{EXPERIMENT.name}"' in (root / "workflow/rules/common.smk").read_text()
    assert 'f"{TIMES}/images/{{plate}}.tsv"' in (root / "workflow/rules/images.smk").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--configfile", "config/own_screen.yaml"], "data/load_data.csv: no such file"),
        (["--configfile", "absent.yaml"], "absent.yaml: no such configuration file"),
        (["--configfile", "config/config.yaml", "--cores", "0"], "--cores 0: give a number above 0"),
    ],
)
def test_what_is_wrong_is_one_line(root, monkeypatch, capsys, words, message):
    monkeypatch.chdir(root)
    assert main(["plan", *words]) == 1
    assert capsys.readouterr().err == f"cloome plan: {message}\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (616_716, "617 kB"),
        (68_812_800, "69 MB"),
        (4.06e9, "4.1 GB"),
        (1.353e12, "1,353 GB"),
    ],
)
def test_bytes_have_decimal_units(count, text):
    assert amount(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (8307, "2.3 h"), (1.4256e9, "396,000 h")])
def test_times_have_the_unit_that_one_reads(seconds, text):
    assert duration(seconds) == text


def test_columns_are_set_right_but_for_the_first():
    assert aligned([["a", "10"], ["bcd", "9"]]) == ["  a    10", "  bcd   9"]
