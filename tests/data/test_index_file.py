"""The index file: what is written is read; another file, or a field named twice, is refused."""

import pandas as pd
import pytest

from cloome.data.index import COLUMNS, MEASURES, feature_columns, measure_columns, read_index, write_index
from cloome.errors import FormatError


@pytest.fixture
def index() -> pd.DataFrame:
    values = ["24277-A03-1", "24277", "A03", 1, "treated", "BRD-1", "KEY", 0.005, "", False, True, 31]
    table = pd.DataFrame([values, ["24277-A04-1", "24277", "A04", 1, "mock", "DMSO", "", None, "", False, False, -1]])
    return table.set_axis(COLUMNS, axis=1).assign(mean_DNA=1.5, std_DNA=0.5)


def test_what_is_written_is_read(index, tmp_path):
    write_index(index, tmp_path / "index.parquet")
    pd.testing.assert_frame_equal(read_index(tmp_path / "index.parquet"), index)


def test_features_are_mean_and_deviation_of_each_channel(index):
    assert feature_columns(index) == ["mean_DNA", "std_DNA"]


def test_measures_are_all_that_the_plate_stores_hold_of_each_channel(index):
    assert measure_columns(index) == ["mean_DNA", "std_DNA"]
    measured = [f"{measure}_{channel}" for measure in MEASURES for channel in ("DNA", "ER")]
    assert measure_columns(index.reindex(columns=[*COLUMNS, *measured])) == measured
    assert feature_columns(index.reindex(columns=[*COLUMNS, *measured])) == measured[:4]


def test_a_field_named_twice_is_refused(index, tmp_path):
    with pytest.raises(FormatError, match="24277-A03-1 twice"):
        write_index(pd.concat([index, index]), tmp_path / "index.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_index_is_refused(index, tmp_path):
    path = tmp_path / "index.parquet"
    with pytest.raises(FormatError, match="no such file"):
        read_index(path)
    index.to_parquet(path)
    with pytest.raises(FormatError, match="index version 0, expected 1"):
        read_index(path)
    write_index(index, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="truncated"):
        read_index(path)
