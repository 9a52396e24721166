"""What an edit redoes: the stages that depend on it, and nothing else."""

import re

import pytest

pytestmark = pytest.mark.slow

REPORT = {"table", "compare", "methods", "page", "provenance"}
FROM_RUNS = {"evaluate", "probe", *REPORT}
FROM_EVALUATE = {"probe_baselines", *FROM_RUNS}


def planned(clone) -> set[str]:
    """Rules of the jobs that a dry run lists."""
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", clone.run("-n"), re.MULTILINE | re.DOTALL)
    return {line.split()[0] for line in table[1].splitlines()} - {"all"} if table else set()


def planned_after(clone, name: str, edit) -> set[str]:
    """The same, while a file is edited."""
    file = clone.folder / name
    before = file.read_text()
    file.write_text(edit(before))
    try:
        return planned(clone)
    finally:
        file.write_text(before)


def test_nothing_to_do_after_a_run(copied):
    assert planned(copied) == set()


@pytest.mark.parametrize(
    ("edited", "redone"),
    [
        ("cloome/evaluate/retrieval.py", FROM_EVALUATE),
        ("cloome/model/losses.py", {"train_run", "embed", *FROM_RUNS}),
        ("cloome/report/page.html", REPORT),
        ("cloome/config.py", set()),
        ("README.md", set()),
    ],
)
def test_an_edit_redoes_what_depends_on_it(copied, edited, redone):
    assert planned_after(copied, edited, lambda text: text + "\n") == redone


@pytest.mark.parametrize(
    ("before", "after", "redone"),
    [
        ("resamples: 20", "resamples: 21", FROM_EVALUATE),
        ("crop: 32,", "crop: 32, gradient_clip: 1.0,", {"train_run", "embed", *FROM_RUNS}),
        ("name: tiny", "name: tiny\nrunning: {processes: 1, readers: 2}", set()),
    ],
)
def test_another_setting_redoes_its_stage_and_what_follows(copied, before, after, redone):
    def edit(text):
        assert before in text
        return text.replace(before, after)

    assert planned_after(copied, "tests/workflow/tiny.yaml", edit) == redone
