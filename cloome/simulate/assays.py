"""Simulated activity labels that follow the planted rule, so that probing the embeddings has something to find.

One assay per group of chemical classes (active: the drug belongs to one of them) and one per descriptor of
``structures.py`` (active: above its centre). Some labels are wrong and many are missing, as in real assays.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse

from cloome.data.files import replacing, write_csv
from cloome.data.labels import COLUMNS, MATRIX, ROWS, Labels
from cloome.simulate.structures import DESCRIPTORS, MECHANISMS, scaled_descriptors

_CLASSES_PER_ASSAY = 3  # one class alone has too few drugs for ten actives
_WRONG, _MISSING = 0.05, 0.3


def simulated_labels(drugs: pd.DataFrame, rng: np.random.Generator) -> Labels:
    """Labels of all drugs (rows in the order of `drugs`) in all simulated assays."""
    classes = list(MECHANISMS)
    starts = range(0, len(classes), _CLASSES_PER_ASSAY)
    # The last group goes on with the first classes, so that it is as large as the others.
    groups = [(classes + classes)[start : start + _CLASSES_PER_ASSAY] for start in starts]
    of_class = np.column_stack([drugs["class"].isin(group) for group in groups])
    of_descriptor = np.array([scaled_descriptors(smiles) for smiles in drugs["smiles"]]) > 0
    active = np.hstack([of_class, of_descriptor])
    active ^= rng.random(active.shape) < _WRONG
    known = rng.random(active.shape) >= _MISSING
    matrix = scipy.sparse.csr_matrix(np.where(active, 1, -1).astype(np.int8) * known)
    names = ["simulated_" + "_".join(group) for group in groups] + [f"simulated_{name}" for name in DESCRIPTORS]
    return Labels(matrix, drugs["inchikey"].to_numpy(), np.array(names))


def write_labels(labels: Labels, folder: Path) -> list[Path]:
    """Write the three label files as hti-cnn has them (FACTS 2.1); returns their paths: matrix, rows, columns."""
    with replacing(folder / MATRIX) as temporary, open(temporary, "wb") as file:
        by_assay = labels.matrix.tocsc().tocoo().astype(np.int32)
        scipy.io.mmwrite(file, by_assay, comment="simulated", field="integer", symmetry="general")
    rows = pd.DataFrame({"INDEX": range(len(labels.inchikey)), "INCHIKEY": labels.inchikey})
    write_csv(rows, folder / ROWS)
    write_csv(pd.DataFrame({"ASSAY_ID": labels.assay}), folder / COLUMNS)
    return [folder / MATRIX, folder / ROWS, folder / COLUMNS]
