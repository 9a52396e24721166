"""What the profiles plan: how many jobs a cluster gets, and what each job asks for."""

import importlib.util
import re
import subprocess
import sys

import pytest
import yaml

# Each plate, the tables twenty at a time and the report are one job each; the rest are jobs of their own.
SUBMISSIONS = 498
needs_slurm = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None, reason="the extra slurm is not installed"
)
needs_kubernetes = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_kubernetes") is None,
    reason="the extra kubernetes is not installed",
)


def plan(clone, profile: str, *configs: str, python: tuple[str, ...] = ("-m", "snakemake")) -> str:
    """The dry run of a configuration in a clone without results, every job shown."""
    command = [sys.executable, *python, "-n", "--profile", f"profiles/{profile}", "--configfile", *configs]
    done = subprocess.run(command, cwd=clone.folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def submissions(root, output: str) -> int:
    """Jobs that the cluster gets: groups, and jobs of rules without a group that do not run where Snakemake does."""
    profile = yaml.safe_load((root / "profiles/slurm/profile.yaml").read_text())
    apart = {word.split("=")[0] for word in profile["groups"]} | {"all", "provenance", "total"}
    rows = [line.split() for line in output.split("Job stats:")[1].splitlines()]
    jobs = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    return output.count("Group job ") + sum(count for rule, count in jobs.items() if rule not in apart)


@needs_slurm
def test_the_paper_is_at_most_1500_submissions_to_slurm(root, clone):
    output = plan(clone, "slurm", "config/paper.yaml")
    assert output.count("Group job plate") == 406
    assert output.count("Group job tables") == 21
    assert output.count("Group job report") == 1
    assert submissions(root, output) == SUBMISSIONS


def test_the_default_profile_says_nothing_that_a_cluster_profile_says(root):
    """Snakemake reads profiles/default last, and what it says there wins."""
    default = yaml.safe_load((root / "profiles/default/profile.yaml").read_text())
    for name in ("slurm", "kubernetes", "local-gpu", "local-disk"):
        other = yaml.safe_load((root / "profiles" / name / "profile.yaml").read_text())
        assert not default.keys() & other.keys(), name


def test_every_rule_that_a_profile_names_is_a_rule(root):
    command = [sys.executable, "-m", "snakemake", "--list-rules"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60).stdout
    rules = {line.split()[0] for line in listed.splitlines() if line and not line.startswith(" ")}
    for name in ("slurm", "kubernetes", "local-gpu", "local-disk"):
        profile = yaml.safe_load((root / "profiles" / name / "profile.yaml").read_text())
        named = set(profile.get("set-resources", {})) | {
            word.split("=")[0] for key in ("groups", "set-threads") for word in profile.get(key, [])
        }
        assert named <= rules, name


def test_every_rule_that_takes_a_gpu_has_a_partition_with_gpus(root):
    rules = "".join(path.read_text() for path in (root / "workflow/rules").glob("*.smk"))
    with_gpu = {text.split(":")[0] for text in rules.split("\nrule ")[1:] if "gpu=1" in text}
    asked = yaml.safe_load((root / "profiles/slurm/profile.yaml").read_text())["set-resources"]
    assert with_gpu == {rule for rule, resources in asked.items() if resources.get("slurm_partition") == "gpu"}


def test_the_demo_is_planned_for_one_machine_with_gpus(clone):
    output = plan(clone, "local-gpu", "config/config.yaml")
    assert re.search(r"^train_run +3$", output, re.MULTILINE)


# A dry run, which also says which rules have a file of this machine among those of a job: where no disk is shared,
# Snakemake runs such jobs here.
WITH_LOCAL_FILES = """
from snakemake.cli import main
from snakemake.dag import DAG
from snakemake.io import is_flagged

stats = DAG.stats

def with_local_files(dag):
    jobs = [job for job in dag.needrun_jobs() if any(is_flagged(file, "local") for file in [*job.input, *job.output])]
    print("here:", *sorted({job.rule.name for job in jobs}))
    return stats(dag)

DAG.stats = with_local_files
main()
"""


@needs_kubernetes
@pytest.mark.parametrize(
    ("configs", "here"),
    [
        # The simulated site stands for hosts on the internet, and lies on this machine.
        (["config/config.yaml"], "download_metadata download_plate download_table provenance simulate"),
        (["config/paper.yaml", "one_plate.yaml"], ""),
    ],
)
def test_on_kubernetes_all_jobs_but_those_with_files_of_this_machine_are_pods(clone, bucket, configs, here):
    (clone.folder / "one_plate.yaml").write_text("screen: {plates: ['24277']}")
    output = plan(clone, "kubernetes", *configs, python=("-c", WITH_LOCAL_FILES))
    assert re.search(r"^train_run +\d+$", output, re.MULTILINE)
    assert re.search(r"^here:(.*)$", output, re.MULTILINE)[1].strip() == here
