"""The activity labels: the real matrix has its published size; what is no label matrix is refused."""

import shutil

import numpy as np
import pytest

from cloome.data.labels import COLUMNS, MATRIX, ROWS, read_labels
from cloome.errors import FormatError


def test_the_real_labels_are_as_published(real_data):
    labels = read_labels(real_data / "bray" / "labels")
    assert labels.matrix.shape == (10_574, 209) == (len(labels.inchikey), len(labels.assay))
    assert labels.matrix.nnz == 55_542
    assert (labels.matrix.data == 1).sum() == 19_274
    assert len(set(labels.inchikey)) == 10_574
    assert len(set(labels.assay)) == 202, "an assay stands twice where two thresholds make two tasks"
    per_assay = np.asarray((labels.matrix != 0).sum(axis=0)).ravel()
    assert (per_assay.min(), per_assay.max()) == (22, 2_790)


@pytest.fixture
def folder(tmp_path):
    """Two molecules, three assays: the first is active in the first and inactive in the third."""
    entries = "%%MatrixMarket matrix coordinate integer general\n2 3 2\n1 1 1\n1 3 -1\n"
    (tmp_path / MATRIX).write_text(entries)
    (tmp_path / ROWS).write_text("INDEX,INCHIKEY\n0,A\n1,B\n")
    (tmp_path / COLUMNS).write_text("ASSAY_ID\n10\n11\n10\n")
    return tmp_path


def test_labels_are_plus_one_minus_one_and_zero_for_unknown(folder):
    labels = read_labels(folder)
    assert labels.matrix.toarray().tolist() == [[1, 0, -1], [0, 0, 0]]
    assert labels.matrix.dtype == np.int8
    assert labels.inchikey.tolist() == ["A", "B"]
    assert labels.assay.tolist() == ["10", "11", "10"]


@pytest.mark.parametrize("value", ["2", "257", "0.5"])
def test_other_values_are_refused(folder, value):
    kind = "real" if "." in value else "integer"
    text = f"%%MatrixMarket matrix coordinate {kind} general\n2 3 1\n1 1 {value}\n"
    (folder / MATRIX).write_text(text)
    with pytest.raises(FormatError, match="values other than"):
        read_labels(folder)


def test_files_that_do_not_fit_are_refused(folder):
    (folder / ROWS).write_text("INDEX,INCHIKEY\n0,A\n")
    with pytest.raises(FormatError, match=r"the matrix is \(2, 3\), its indices name 1 x 3"):
        read_labels(folder)
    (folder / MATRIX).write_text("what")
    with pytest.raises(FormatError, match="not MatrixMarket"):
        read_labels(folder)
    shutil.rmtree(folder)
    with pytest.raises(FormatError, match="missing"):
        read_labels(folder)
