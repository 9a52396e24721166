"""Activity by the nearest known structure: no image, no fit, and what a chemist would try first.

A test molecule's score for an assay is its Tanimoto similarity to the most similar active molecule of training and
validation, less that to the most similar inactive one.
"""

import numpy as np
import pandas as pd
import scipy.sparse
from scipy.spatial.distance import cdist

from cloome.config import Evaluate
from cloome.evaluate.probing import COLUMNS, METRICS, TEST_LACKS_CLASS, TOO_FEW, judged_scores


def nearest_structures(
    fingerprint: np.ndarray,
    molecule: np.ndarray,
    labels: scipy.sparse.spmatrix,
    part: np.ndarray,
    minimum_labels: int = Evaluate().minimum_labels,
) -> pd.DataFrame:
    """Judge the nearest structures on every task, on the samples that the probes are judged on.

    Parameters
    ----------
    fingerprint : uint8 (M, B)
        Bits or counts of each molecule; a count is taken for a bit.
    molecule : int (N,)
        Row of the molecule of each sample.
    labels : int (N, T), sparse
        +1 active, -1 inactive, absent unknown; the same for all samples of a molecule.
    part : str (N,)
        train, validation or test; samples with another value take no part. No molecule stands in two parts.
    minimum_labels : int
        A task with fewer actives or fewer inactives in training is left out, as by the probes.

    Returns
    -------
    DataFrame
        Columns of `cloome.evaluate.probing.probe`, without C and AUC on the validation part. A task that lacks a class
        in the test part is missing, and the note says so.
    """
    bits, by_task = fingerprint > 0, scipy.sparse.csc_matrix(labels)
    by_task.eliminate_zeros()
    rows = [_judged(bits, molecule, by_task[:, task], part, minimum_labels) for task in range(by_task.shape[1])]
    return pd.DataFrame([{"task": task, **row} for task, row in enumerate(rows)], columns=COLUMNS)


def _judged(
    bits: np.ndarray, molecule: np.ndarray, labels: scipy.sparse.csc_matrix, part: np.ndarray, minimum_labels: int
) -> dict:
    samples, active = labels.indices, labels.data > 0
    fitted, test = np.isin(part[samples], ["train", "validation"]), part[samples] == "test"
    train = part[samples] == "train"
    row = {f"n_{name}": int((part[samples] == name).sum()) for name in ("train", "validation", "test")}
    row |= {"actives_train": int(active[train].sum()), "note": "", **dict.fromkeys(METRICS, np.nan)}
    if min(active[train].sum(), (~active[train]).sum()) < max(minimum_labels, 1):
        return row | {"note": TOO_FEW.format(minimum_labels)}
    if len(np.unique(active[test])) < 2:
        return row | {"note": TEST_LACKS_CLASS}
    asked, of = np.unique(molecule[samples[test]], return_inverse=True)
    nearest = [
        1 - cdist(bits[asked], bits[np.unique(molecule[samples[fitted & (active == kind)]])], "jaccard").min(axis=1)
        for kind in (True, False)
    ]
    return row | judged_scores(active[test], (nearest[0] - nearest[1])[of])
