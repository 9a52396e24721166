"""Reading what Snakemake's dry run says."""

import pytest

from cloome.errors import CloomeError
from cloome.plan.jobs import count_jobs, parse_jobs

TABLE = """Building DAG of jobs...
Job stats:
job                  count
-----------------  -------
any_rule_at_all        406
train_run                2
all                      1
total                  409

Job stats:
job                  count
-----------------  -------
any_rule_at_all        406
Reasons:
    input files updated by another job:
        all, train_run
"""


def test_jobs_are_counted_by_rule():
    assert parse_jobs(TABLE) == {"any_rule_at_all": 406, "train_run": 2}


def test_nothing_to_do_is_no_job():
    assert parse_jobs("Building DAG of jobs...\nNothing to be done (all requested files are present).\n") == {}


def test_an_output_without_a_table_is_shown():
    with pytest.raises(CloomeError, match=r"without a table of jobs:\n  something else"):
        parse_jobs("Building DAG of jobs...\nsomething else\n")


def test_a_failed_dry_run_shows_its_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").write_text("raise WorkflowError('a sentence that explains it')\n")
    (tmp_path / "config.yaml").write_text("name: x\n")
    with pytest.raises(CloomeError, match="a sentence that explains it") as refused:
        count_jobs(["config.yaml"])
    assert f"cannot plan this run from {tmp_path}" in str(refused.value)
    assert "Assuming unrestricted" not in str(refused.value)
