"""``cloome labelled``: which compounds of a screen have an activity label."""

import json

import pandas as pd
import pytest
import scipy.io
import scipy.sparse

from cloome.cli import main
from cloome.data.labels import COLUMNS, MATRIX, ROWS

ETHANOL, BENZENE = "LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "UHOVQNZJYSORNB-UHFFFAOYSA-N"


@pytest.fixture
def labelled(tmp_path):
    """Runs the command for labels of given molecules; what it wrote, or None after an error."""
    compounds = pd.DataFrame({"BROAD_ID": list("abcd"), "CPD_SMILES": ["CCO", "OCC", "c1ccccc1", "not a structure"]})
    compounds.assign(CPD_NAME="").to_csv(tmp_path / "compounds.csv", index=False)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"screen": {"kind": "archives", "name": "s", "plates": ["1"]}}))

    def run(inchikeys: list[str]) -> list[str] | None:
        pd.DataFrame({"INDEX": range(len(inchikeys)), "INCHIKEY": inchikeys}).to_csv(tmp_path / ROWS, index=False)
        pd.DataFrame({"ASSAY_ID": ["1"]}).to_csv(tmp_path / COLUMNS, index=False)
        scipy.io.mmwrite(tmp_path / MATRIX, scipy.sparse.coo_matrix([[1]] * len(inchikeys)), field="integer")
        words = ["labelled", "--config", str(config), "--resources", str(tmp_path), "--labels", str(tmp_path)]
        if main([*words, "--out", str(tmp_path / "labelled.csv")]):
            return None
        return pd.read_csv(tmp_path / "labelled.csv")["compound"].tolist()

    return run


def test_compounds_are_found_by_their_structure(labelled):
    assert labelled([ETHANOL]) == ["a", "b"]
    assert labelled([BENZENE, ETHANOL]) == ["a", "b", "c"]


def test_labels_of_another_screen_are_an_error(labelled, capsys):
    assert labelled(["AAAAAAAAAAAAAA-UHFFFAOYSA-N"]) is None
    assert "names none of the screen's compounds" in capsys.readouterr().err
