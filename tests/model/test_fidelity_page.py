"""``docs/fidelity.md`` is true: the settings, the tests and the rows that it names are there."""

import re

import pytest
import yaml

from cloome.config import Config


@pytest.fixture(scope="module")
def rows(root) -> list[list[str]]:
    """Rows of the page's table, each with its seven columns."""
    text = (root / "docs" / "fidelity.md").read_text()
    table = text[text.index("<table>") : text.index("</table>")]
    rows = [row.split("<td>")[1:] for row in table.split("<tr>")[2:]]
    assert {len(row) for row in rows} == {7}
    return rows


def settings(column: str) -> list[tuple[str, str, object]]:
    """Section, key and value of the settings in a column, each written ``section.key: value``."""
    found = re.findall(r"<code>(\w+)\.(\w+): (.*?)</code>", column)
    return [(section, key, yaml.safe_load(value)) for section, key, value in found]


def test_the_settings_are_those_of_the_papers_configuration(root, rows):
    paper = yaml.safe_load((root / "config" / "paper.yaml").read_text())
    named = [setting for row in rows for setting in settings(row[4])]
    assert len(named) > 30
    assert named == [(section, key, paper[section][key]) for section, key, _ in named]


def test_what_is_better_is_a_setting_with_another_value(root, rows):
    paper = yaml.safe_load((root / "config" / "paper.yaml").read_text())
    better = [setting for row in rows for setting in settings(row[6])]
    assert len(better) > 10
    for section, key, value in better:
        assert value != paper[section][key], f"{section}.{key}"
        Config.model_validate({**paper, section: {**paper[section], key: value}})


def test_the_tests_are_there(root, rows):
    named = {name for row in rows for name in re.findall(r"<code>(tests/\S+?::\w+)</code>", row[5])}
    assert len(named) > 15
    for name in sorted(named):
        file, test = name.split("::")
        assert f"\ndef {test}(" in (root / file).read_text(), name


def test_every_fact_that_matters_for_the_published_weights_has_a_row(root, rows):
    facts = (root / "docs" / "facts.md").read_text()
    section = facts[facts.index("## 4.") : facts.index("## 5.")]
    columns = [row.split("<td>")[1:] for row in section.split("<tr>")[2:]]
    # The third column says whether it matters: "yes", "slightly", "order: yes", "with several GPUs", ...
    matter = {row[0].strip() for row in columns if re.search(r"yes|slightly|several GPUs|exact repetition", row[2])}
    assert len(matter) > 10
    assert matter <= {row[0].strip() for row in rows}
