"""Seals find files that changed after they were finished, by their contents and not by their time alone."""

import os
import time

import pytest

from cloome.data.files import replacing
from cloome.data.machine import describe_machine
from cloome.data.seals import FOLDER, changed_files, machine_of


@pytest.fixture
def seals(tmp_path, monkeypatch):
    folder = tmp_path / "seals"
    monkeypatch.setenv(FOLDER, str(folder))
    return folder


@pytest.fixture
def table(tmp_path, seals):
    """A finished file."""
    path = tmp_path / "table.csv"
    with replacing(path) as temporary:
        temporary.write_text("molecule,split\nA,train\n")
    return path


def test_a_file_as_it_was_finished_is_not_changed(table, seals):
    assert changed_files(seals) == []


@pytest.mark.parametrize("content", ["molecule,split\nB,train\n", "molecule,split\nA,tr", ""])
def test_a_file_with_other_bytes_or_cut_off_or_empty_is_found_until_it_is_gone(table, seals, content):
    table.write_text(content)
    assert changed_files(seals) == changed_files(seals) == [table]
    table.unlink()
    assert changed_files(seals) == []


def test_a_file_that_only_has_another_time_is_not_changed_and_keeps_it(table, seals):
    os.utime(table, (1e9, 1e9))
    assert changed_files(seals) == []
    assert table.stat().st_mtime == 1e9
    table.write_text("damaged after the time was changed")
    assert changed_files(seals) == [table]


def test_a_time_in_the_future_is_set_back(table, seals):
    finished = table.stat().st_mtime_ns
    os.utime(table, (time.time() + 1e6,) * 2)
    assert changed_files(seals) == []
    assert table.stat().st_mtime_ns == finished


def test_a_file_that_is_finished_anew_has_a_new_seal(table, seals):
    with replacing(table) as temporary:
        temporary.write_text("other results")
    assert changed_files(seals) == []


def test_seals_of_files_that_are_gone_and_seals_that_cannot_be_read_are_dropped(table, seals):
    table.unlink()
    (seals / "half.json").write_text('{"path": ')
    assert changed_files(seals) == []
    assert not list(seals.iterdir())


def test_a_seal_names_the_kind_of_machine_and_keeps_it_when_only_the_time_changes(table, seals):
    assert machine_of(table) == describe_machine()
    os.utime(table, (1e9, 1e9))
    changed_files(seals)
    assert machine_of(table) == describe_machine()
    assert machine_of(table.with_name("other")) is None


def test_outside_a_workflow_nothing_is_sealed(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    with replacing(tmp_path / "table.csv") as temporary:
        temporary.write_text("content")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert machine_of(tmp_path / "table.csv") is None
