"""What Snakemake plans for the configurations that the project ships, and how it refuses wrong ones."""

import subprocess
import sys

import pytest


def dry_run(root, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)


def counts(output: str) -> dict[str, int]:
    rows = [line.split() for line in output.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def test_the_paper_is_planned_whole(root):
    done = dry_run(root, "--configfile", "config/paper.yaml")
    assert done.returncode == 0, done.stderr
    jobs = counts(done.stdout + done.stderr)
    assert jobs["download_plate"] == jobs["download_metadata"] == 406
    assert jobs["images"] == 406
    assert jobs["gpu_check"] == 1
    assert jobs["train_run"] == jobs["embed"] == jobs["evaluate"] == 16, "12 models and 4 untrained networks"


def test_the_paper_is_planned_into_a_folder_of_ones_own(root, tmp_path):
    done = dry_run(root, "--directory", str(tmp_path), "--configfile", str(root / "config/paper.yaml"))
    assert done.returncode == 0, done.stderr
    assert counts(done.stdout + done.stderr)["images"] == 406


def test_published_weights_are_fetched_and_nothing_is_trained(root):
    done = dry_run(root, "--configfile", "config/paper.yaml", "config/published.yaml")
    assert done.returncode == 0, done.stderr
    jobs = counts(done.stdout + done.stderr)
    assert "train_run" not in jobs
    assert jobs["embed"] == jobs["evaluate"] == 2
    assert jobs["download_table"] == 9  # compounds, mechanisms, 3 of the labels, 2 of the split, 2 weights


def test_table_3_alone_needs_its_runs_and_neither_other_tables_nor_the_report(root, tmp_path):
    words = ["--directory", str(tmp_path), "--configfile", str(root / "config/config.yaml"), "--", "table_3"]
    done = dry_run(root, *words)
    assert done.returncode == 0, done.stderr
    jobs = counts(done.stdout + done.stderr)
    assert jobs["train_run"] == jobs["embed"] == jobs["evaluate"] == 3  # the model and its two controls
    assert (jobs["split"], jobs["table"], jobs["table_3"]) == (1, 1, 1)
    assert not {"probe", "compare", "scorecard", "page", "report", "all"} & set(jobs)


def test_table_3_alone_takes_the_weights_that_were_published_for_it(root):
    done = dry_run(root, "--configfile", "config/paper.yaml", "config/published.yaml", "--", "table_3")
    assert done.returncode == 0, done.stderr
    jobs = counts(done.stdout + done.stderr)
    assert jobs["embed"] == jobs["evaluate"] == jobs["table"] == 1
    assert "train_run" not in jobs


def test_gapnet_is_computed_once_for_all_runs_if_its_weights_are_named(root, tmp_path):
    (tmp_path / "gapnet.pth.tar").touch()
    (tmp_path / "more.yaml").write_text("evaluate: {gapnet: gapnet.pth.tar}\n")
    configs = [str(root / "config/config.yaml"), str(tmp_path / "more.yaml")]
    done = dry_run(root, "--directory", str(tmp_path), "--configfile", *configs, "--", "table_3")
    assert done.returncode == 0, done.stderr
    jobs = counts(done.stdout + done.stderr)
    assert (jobs["gapnet"], jobs["evaluate"]) == (1, 3)


def test_every_loss_is_a_run(root, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text("runs: {methods: [clip, cloob, siglip, cwcl], shuffled_control: false, untrained_control: false}\n")
    configs = [str(root / "config/config.yaml"), str(root / "config/better.yaml"), str(more)]
    done = dry_run(root, "--directory", str(tmp_path), "--configfile", *configs)
    assert counts(done.stdout + done.stderr)["train_run"] == 4, done.stderr


def test_the_demo_and_its_three_seeds_are_planned(root, tmp_path):
    # --directory: a checkout in which the demo has run has nothing left to plan.
    one = dry_run(root, "--directory", str(tmp_path), "--configfile", str(root / "config/config.yaml"))
    three = dry_run(
        root,
        "--directory",
        str(tmp_path),
        "--configfile",
        str(root / "config/config.yaml"),
        str(root / "config/three_seeds.yaml"),
    )
    assert counts(one.stdout + one.stderr)["train_run"] == 3  # the model and its two controls
    assert "gpu_check" not in one.stdout + one.stderr
    assert counts(three.stdout + three.stderr)["train_run"] == 5


def test_every_target_has_a_name_and_a_description(root):
    command = [sys.executable, "-m", "snakemake", "--list-rules"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60).stdout
    for target in (
        "demo_data",
        "plates",
        "train",
        "embeddings",
        "table_1",
        "table_2",
        "table_3",
        "table_4",
        "scorecard",
        "report",
        "all",
    ):
        assert f"\n{target} (" in f"\n{listed}", f"{target} is missing or has no description"


def test_a_wrong_key_stops_with_the_key_and_a_hint(root, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((root / "config/config.yaml").read_text().replace("epochs:", "epoch:"))
    done = dry_run(root, "--configfile", str(wrong))
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "train.epoch: unknown key; did you mean epochs?" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("load_data: {0}/load_data.csv", "load_data: {0}/absent.csv", "absent.csv: no such file"),
        ("path: {0}/compounds.csv", "path: {0}/absent.csv", "absent.csv: no such file"),
        ("compound_column: Metadata_pert_iname", "compound_column: Metadata_name", "no column Metadata_name"),
        ("channels: [DNA, Tubulin, Actin]", "channels: [DNA, Tubulin, actin]", "no column PathName_Origactin"),
    ],
)
def test_a_wrong_path_or_column_of_an_own_screen_stops_the_plan(root, real_data, tmp_path, right, wrong, message):
    folder = real_data / "bbbc021"
    text = (root / "config/bbbc021.yaml").read_text().replace("resources/bbbc021/", f"{folder}/")
    assert right.format(folder) in text
    (tmp_path / "wrong.yaml").write_text(text.replace(right.format(folder), wrong.format(folder)))
    done = dry_run(root, "--configfile", str(tmp_path / "wrong.yaml"))
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def npz_screen(folder, columns: str) -> str:
    """A configuration of two plates of npz files."""
    (folder / "dataset00.tar").touch()
    (folder / "index.csv").write_text(f"{columns}\n24277-A03-1,24277,A03,1,BRD-1,CCO,x\n24278-A03-1,24278,A03,1,,,\n")
    config = folder / "npz.yaml"
    config.write_text(
        f"screen: {{kind: npz, name: npz, images: [{folder}/dataset00.tar], index: [{folder}/index.csv]}}\n"
        "images: {intensity: none}\n"
    )
    return str(config)


def test_npz_files_are_listed_once_for_all_plates(root, tmp_path):
    config = npz_screen(tmp_path, "SAMPLE_KEY,PLATE_ID,WELL_POSITION,SITE,BROAD_ID,SMILES,CPD_NAME")
    done = dry_run(root, "--directory", str(tmp_path), "--configfile", config)
    assert done.returncode == 0, done.stderr
    jobs = counts(done.stdout + done.stderr)
    assert (jobs["listing"], jobs["images"], jobs["molecules"]) == (1, 2, 1)
    assert not [job for job in jobs if job.startswith("download")]


@pytest.mark.parametrize("column", ["WELL_POSITION", "SMILES"])
def test_a_missing_column_of_an_npz_index_stops_the_plan(root, tmp_path, column):
    columns = "SAMPLE_KEY,PLATE_ID,WELL_POSITION,SITE,BROAD_ID,SMILES,CPD_NAME".replace(column, "other")
    done = dry_run(root, "--directory", str(tmp_path), "--configfile", npz_screen(tmp_path, columns))
    assert done.returncode != 0
    assert f"index.csv: no column {column}" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
