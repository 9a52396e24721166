"""The activity labels of hti-cnn: MatrixMarket with an index of rows (compounds) and of columns (assays).

+1 active, -1 inactive, absent = unknown (FACTS 2.2).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse

from cloome.data.files import read_csv
from cloome.errors import FormatError

MATRIX, ROWS, COLUMNS = "label-matrix.mtx", "row-compound-index.csv", "column-assay-index.csv"


@dataclass(frozen=True)
class Labels:
    """Known activities of compounds in assays."""

    matrix: scipy.sparse.csr_matrix  # int8 (M, T) of +1, -1, absent
    inchikey: np.ndarray  # str (M,)
    assay: np.ndarray  # str (T,); an id may stand twice (thresholds differ)


def read_labels(folder: str | Path) -> Labels:
    """Read the three files of a label folder.

    Raises
    ------
    FormatError
        If a file is missing, the sizes disagree, or a value is neither +1 nor -1.
    """
    folder = Path(folder)
    try:
        matrix = scipy.sparse.csr_matrix(scipy.io.mmread(folder / MATRIX))
    except (FileNotFoundError, ValueError) as error:
        raise FormatError(f"{folder / MATRIX}: missing or not MatrixMarket: {error}") from error
    rows = read_csv(folder / ROWS, ["INCHIKEY"], dtype=str)["INCHIKEY"].to_numpy()
    assays = read_csv(folder / COLUMNS, ["ASSAY_ID"], dtype=str)["ASSAY_ID"].to_numpy()
    if matrix.shape != (len(rows), len(assays)):
        raise FormatError(f"{folder}: the matrix is {matrix.shape}, its indices name {len(rows)} x {len(assays)}")
    if not np.isin(matrix.data, (-1, 1)).all():
        raise FormatError(f"{folder / MATRIX}: values other than +1 (active) and -1 (inactive)")
    return Labels(matrix.astype(np.int8), rows, assays)
