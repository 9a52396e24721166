"""Linear probing: one logistic regression per assay on image features (Table 2 of the paper; FACTS 4 row 25)."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, matthews_corrcoef, roc_auc_score
from threadpoolctl import threadpool_limits

from cloome.config import Evaluate
from cloome.data.splits import PARTS

# Upstream's grid: powers of ten from 1e-6 to 1e6, without 10.
GRID = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e2, 1e3, 1e4, 1e5, 1e6)
FIRST_C = 1.0
ITERATIONS = 3000
COLUMNS = [
    "task",
    "C",
    "val_auc",
    "test_auc",
    "test_f1",
    "test_mcc",
    "n_train",
    "actives_train",
    "n_validation",
    "n_test",
    "note",
]


def probe(
    features: np.ndarray,
    labels: np.ndarray | scipy.sparse.spmatrix,
    part: np.ndarray,
    minimum_labels: int = Evaluate().minimum_labels,
) -> pd.DataFrame:
    """Fit and judge one logistic regression per task, as upstream does (FACTS 4 row 25).

    The strength C is chosen by the AUC on the validation part (the smallest of equals); the model is then fitted to
    training and validation together. A task whose validation part lacks a class takes the C chosen most often by the
    tasks before it (the smallest of equals; 1 if there is none). Features are used as they are.

    Parameters
    ----------
    features : float (N, D)
        One row per sample (image).
    labels : int (N, T), dense or sparse
        +1 active, -1 inactive, 0 or absent unknown.
    part : str (N,)
        train, validation or test; samples with another value take no part.
    minimum_labels : int
        A task with fewer actives or fewer inactives in training is not fitted; its row says so.

    Returns
    -------
    DataFrame
        One row per task: task, C, val_auc, test_auc, test_f1, test_mcc, n_train, actives_train, n_validation, n_test,
        note. Where the test part lacks a class: AUC 0.5, F1 0, MCC -1. Where the task is not fitted, or the
        validation part lacks a class: NaN.
    """
    by_task = scipy.sparse.csc_matrix(labels)
    by_task.eliminate_zeros()
    part = np.asarray(part)
    rows, chosen = [], []
    # The solver's vectors are small: on a busy machine, several threads wait for each other ten times longer.
    with threadpool_limits(1):
        for task in range(by_task.shape[1]):
            data = _parts(features, by_task, part, task)
            row = {"task": task, **_counts(data), **_fitted(data, minimum_labels, chosen)}
            if np.isfinite(row["val_auc"]):
                chosen.append(row["C"])
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True)
class _Part:
    """The labelled samples of one task in one part of the split."""

    features: np.ndarray
    active: np.ndarray

    def __add__(self, other: "_Part") -> "_Part":
        return _Part(np.concatenate([self.features, other.features]), np.concatenate([self.active, other.active]))

    @property
    def has_both(self) -> bool:
        return bool(self.active.any() and not self.active.all())


def _parts(features: np.ndarray, labels: scipy.sparse.csc_matrix, part: np.ndarray, task: int) -> dict[str, _Part]:
    known = slice(labels.indptr[task], labels.indptr[task + 1])
    samples, active = labels.indices[known], labels.data[known] > 0
    here = {name: part[samples] == name for name in PARTS}
    return {name: _Part(features[samples[rows]], active[rows]) for name, rows in here.items()}


def _counts(data: dict[str, _Part]) -> dict:
    sizes = {f"n_{name}": len(data[name].active) for name in data}
    return {**sizes, "actives_train": int(data["train"].active.sum())}


def _fitted(data: dict[str, _Part], minimum_labels: int, chosen: list[float]) -> dict:
    """Choose C, fit and judge; the columns from C to test_mcc, and the note."""
    train, validation, test = data["train"], data["validation"], data["test"]
    actives = int(train.active.sum())
    if min(actives, len(train.active) - actives) < minimum_labels:
        note = f"not fitted: fewer than {minimum_labels} actives or inactives in training"
        return dict.fromkeys(["C", "val_auc", "test_auc", "test_f1", "test_mcc"], np.nan) | {"note": note}
    notes = []
    if validation.has_both:
        aucs = [_auc(_fit(train, strength), validation) for strength in GRID]
        best = int(np.argmax(aucs))
        strength, val_auc = GRID[best], aucs[best]
    else:
        strength, val_auc = _usual(chosen), np.nan
        notes.append("validation lacks a class: usual C")
    scores = {"test_auc": 0.5, "test_f1": 0.0, "test_mcc": -1.0}
    if test.has_both:
        model = _fit(train + validation, strength)
        predicted = model.predict(test.features)
        scores = {
            "test_auc": _auc(model, test),
            "test_f1": f1_score(test.active, predicted),
            "test_mcc": matthews_corrcoef(test.active, predicted),
        }
    else:
        notes.append("test lacks a class: upstream's fixed scores")
    return {"C": strength, "val_auc": val_auc, **scores, "note": "; ".join(notes)}


def _usual(chosen: list[float]) -> float:
    return float(scipy.stats.mode(chosen).mode) if chosen else FIRST_C


def _fit(part: _Part, strength: float) -> LogisticRegression:
    model = LogisticRegression(C=strength, solver="lbfgs", max_iter=ITERATIONS)
    with warnings.catch_warnings():
        # A large C on separable data has no optimum within the limit; upstream takes what it has by then.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(part.features, part.active)


def _auc(model: LogisticRegression, part: _Part) -> float:
    return float(roc_auc_score(part.active, model.decision_function(part.features)))
