"""Linear probing: one logistic regression per assay on image features (Table 2 of the paper; FACTS 4 row 25).

Two protocols:

``upstream``
    As the paper's code: features as they are, the grid without 10, C by the AUC on the validation part (the smallest
    of equals). A task whose validation part lacks a class takes the C chosen most often by the tasks before it (the
    smallest of equals; 1 if there is none).
``sound``
    Standardised features, the whole grid, C by the mean AUC over folds of training and validation that share no
    molecule. A task none of whose folds has both classes is missing.

Both fit the model to training and validation together then, and judge it on the test part. A departure from upstream:
a task whose test part lacks a class is missing, where upstream writes AUC 0.5, F1 0 and MCC -1. No published number is
known to depend on it, and the note of the row says so.

The fits are made by `cloome.evaluate.logistic_fits`, all of one kind together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, matthews_corrcoef, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from cloome.config import Evaluate
from cloome.data.splits import PARTS
from cloome.errors import FormatError
from cloome.evaluate.logistic import Problem, scores
from cloome.evaluate.logistic_fits import fit_paths, side_by_side

UPSTREAM, SOUND = "upstream", "sound"
# Upstream's grid: powers of ten from 1e-6 to 1e6, without 10.
GRID = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e2, 1e3, 1e4, 1e5, 1e6)
WHOLE_GRID = tuple(sorted((*GRID, 10.0)))
FIRST_C = 1.0
FOLDS = 5
METRICS = ["test_auc", "test_f1", "test_mcc", "test_accuracy", "test_average_precision"]
COLUMNS = ["task", "C", "val_auc", *METRICS, "n_train", "actives_train", "n_validation", "n_test", "note"]
TEST_LACKS_CLASS = "test lacks a class: missing (upstream's fixed scores: AUC 0.5, F1 0, MCC -1)"

TOO_FEW = "not fitted: fewer than {} actives or inactives in training"


def probe(
    features: np.ndarray,
    labels: np.ndarray | scipy.sparse.spmatrix,
    part: np.ndarray,
    minimum_labels: int = Evaluate().minimum_labels,
    protocol: str = UPSTREAM,
    molecule: np.ndarray | None = None,
    device: Any = None,
) -> pd.DataFrame:
    """Fit and judge one logistic regression per task, tasks side by side on all cores or a GPU.

    Parameters
    ----------
    features : float (N, D)
        One row per sample (image, well or molecule).
    labels : int (N, T), dense or sparse
        +1 active, -1 inactive, 0 or absent unknown.
    part : str (N,)
        train, validation or test; samples with another value take no part.
    minimum_labels : int
        A task with fewer actives or fewer inactives in training, or with none, is not fitted; its row says so.
    protocol : str
        ``upstream`` or ``sound``, see the module.
    molecule : (N,), optional
        Which molecule a sample shows, for the folds of ``sound``; default: each sample another.
    device : str or torch.device, optional
        Where PyTorch fits; default: a CUDA GPU if PyTorch sees one and the work repays it, else NumPy does.

    Returns
    -------
    DataFrame
        One row per task: task, C, val_auc (``sound``: mean over folds), test_auc, test_f1, test_mcc, test_accuracy,
        test_average_precision, n_train, actives_train, n_validation, n_test, note. Missing values are NaN, and the
        note says why.

    Raises
    ------
    FormatError
        If a feature is not a finite number, a label is another number than 1, -1 and 0, the lengths disagree, or, for
        ``sound``, a molecule stands in two parts.
    """
    features = np.asarray(features)
    by_task = scipy.sparse.csc_matrix(labels)
    by_task.eliminate_zeros()
    part = np.asarray(part)
    molecule = np.arange(len(part)) if molecule is None else np.unique(molecule, return_inverse=True)[1]
    _check(features, by_task, part, molecule, protocol)
    # Integers of a byte or two, such as fingerprints, are exact in float32.
    features = features.astype(np.result_type(features.dtype, np.float32), copy=False)
    tasks = [_task(by_task, part, number) for number in range(by_task.shape[1])]
    # One thread for each task in hand, and none inside: on small products, threads wait for each other.
    with threadpool_limits(1):
        choices = _choices(features, tasks, minimum_labels, protocol, molecule, device)
        if protocol == UPSTREAM:
            _fill_usual(choices)
        judged = _judged(features, tasks, choices, protocol, device)
    rows = [{"task": number, **row} for number, row in enumerate(judged)]
    return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True)
class _Task:
    """The labelled samples of one task: rows of the features, classes and parts."""

    samples: np.ndarray
    active: np.ndarray
    part: np.ndarray

    def rows(self, *parts: str) -> np.ndarray:
        return np.flatnonzero(np.isin(self.part, parts))

    def has_both(self, rows: np.ndarray) -> bool:
        return bool(self.active[rows].any() and not self.active[rows].all())


@dataclass
class _Choice:
    """The strength chosen for a task; none if it cannot be fitted, and a note why."""

    strength: float | None
    auc: float = np.nan
    weights: np.ndarray | None = None
    note: str = ""


def _check(
    features: np.ndarray, labels: scipy.sparse.csc_matrix, part: np.ndarray, molecule: np.ndarray, protocol: str
) -> None:
    if not len(features) == labels.shape[0] == len(part) == len(molecule):
        raise FormatError(
            f"probing: {len(features)} rows of features, {labels.shape[0]} of labels, {len(part)} parts and "
            f"{len(molecule)} molecules; give one of each per sample"
        )
    if not np.isfinite(features).all():
        raise FormatError("probing: some features are not finite numbers; leave these samples out")
    if not np.isin(labels.data, (-1, 1)).all():
        raise FormatError("probing: some labels are none of 1 (active), -1 (inactive) and 0 (unknown)")
    if protocol == SOUND:
        used = np.isin(part, PARTS)
        pairs = pd.DataFrame({"molecule": molecule[used], "part": part[used]}).drop_duplicates()
        if pairs["molecule"].duplicated().any():
            raise FormatError("probing: a molecule stands in two parts of the split; split by molecule")


def _task(labels: scipy.sparse.csc_matrix, part: np.ndarray, number: int) -> _Task:
    known = slice(labels.indptr[number], labels.indptr[number + 1])
    samples, active = labels.indices[known], labels.data[known] > 0
    order = np.argsort(samples)
    return _Task(samples[order], active[order], part[samples[order]])


def _choices(
    features: np.ndarray, tasks: Sequence[_Task], minimum_labels: int, protocol: str, molecule: np.ndarray, device: Any
) -> list[_Choice]:
    grid = GRID if protocol == UPSTREAM else WHOLE_GRID
    enough = [_enough(task, minimum_labels) for task in tasks]
    folds = side_by_side(
        _folds_with_both, [(task, protocol, molecule, has) for task, has in zip(tasks, enough, strict=True)]
    )
    problems = [
        Problem(task.samples[rows], task.active[rows], grid)
        for task, pairs in zip(tasks, folds, strict=True)
        for rows, _ in pairs
    ]
    paths = iter(fit_paths(features, problems, protocol == SOUND, protocol == UPSTREAM, device))
    of_tasks = [[next(paths) for _ in pairs] for pairs in folds]
    found = side_by_side(
        _chosen,
        [(task, features, pairs, found, grid) for task, pairs, found in zip(tasks, folds, of_tasks, strict=True)],
    )
    few = _Choice(None, note=TOO_FEW.format(minimum_labels))
    reason = "validation lacks a class: usual C" if protocol == UPSTREAM else "not fitted: no fold has both classes"
    return [few if not has else choice or _Choice(None, note=reason) for has, choice in zip(enough, found, strict=True)]


def _enough(task: _Task, minimum_labels: int) -> bool:
    train = task.active[task.rows("train")]
    return min(train.sum(), (~train).sum()) >= max(minimum_labels, 1)


def _folds_with_both(
    task: _Task, protocol: str, molecule: np.ndarray, enough: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit and rows to judge by, both with both classes; none without enough labels."""
    if not enough:
        return []
    folds = _parts(task) if protocol == UPSTREAM else _folds(task, molecule)
    return [pair for pair in folds if all(map(task.has_both, pair))]


def _chosen(
    task: _Task,
    features: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    paths: Sequence[np.ndarray],
    grid: Sequence[float],
) -> _Choice | None:
    """The strength with the best mean AUC over the folds; None without folds."""
    if not folds:
        return None
    aucs = []
    for (_, held), path in zip(folds, paths, strict=True):
        rows = features[task.samples[held]]
        aucs.append([roc_auc_score(task.active[held], scores(rows, weights)) for weights in path])
    mean = np.mean(aucs, axis=0)
    best = int(np.argmax(mean))
    return _Choice(grid[best], float(mean[best]), paths[-1][best])


def _parts(task: _Task) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield task.rows("train"), task.rows("validation")


def _folds(task: _Task, molecule: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Folds of training and validation, with the classes spread evenly and each molecule in one fold."""
    rows = task.rows("train", "validation")
    molecules, active = molecule[task.samples[rows]], task.active[rows]
    count = min(FOLDS, len(np.unique(molecules[active])), len(np.unique(molecules[~active])))
    if count < 2:
        return
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    for fitted, held in splitter.split(rows, active, molecules):
        yield rows[fitted], rows[held]


def _fill_usual(choices: list[_Choice]) -> None:
    """Give the tasks without a validation AUC the strength chosen most often before them."""
    chosen: list[float] = []
    for choice in choices:
        if np.isfinite(choice.auc):
            chosen.append(choice.strength)
        elif choice.note.startswith("validation"):
            choice.strength = float(scipy.stats.mode(chosen).mode) if chosen else FIRST_C


def _judged(
    features: np.ndarray, tasks: Sequence[_Task], choices: Sequence[_Choice], protocol: str, device: Any
) -> list[dict]:
    """The rows of all tasks: models of training and validation, judged on the test part."""
    problems = {}
    for number, (task, choice) in enumerate(zip(tasks, choices, strict=True)):
        if choice.strength is not None and task.has_both(task.rows("test")):
            rows = task.rows("train", "validation")
            problems[number] = Problem(task.samples[rows], task.active[rows], [choice.strength], choice.weights)
    paths = fit_paths(features, list(problems.values()), protocol == SOUND, protocol == UPSTREAM, device)
    weights = {number: path[0] for number, path in zip(problems, paths, strict=True)}
    pairs = zip(tasks, choices, strict=True)
    return side_by_side(
        _judge, [(task, features, choice, weights.get(number)) for number, (task, choice) in enumerate(pairs)]
    )


def _judge(task: _Task, features: np.ndarray, choice: _Choice, weights: np.ndarray | None) -> dict:
    """The row of a task."""
    sizes = {f"n_{name}": len(task.rows(name)) for name in PARTS}
    row = {"C": choice.strength, "val_auc": choice.auc, **dict.fromkeys(METRICS, np.nan), "note": choice.note}
    row |= {**sizes, "actives_train": int(task.active[task.rows("train")].sum())}
    if choice.strength is None:
        return row | {"C": np.nan}
    if weights is None:
        return row | {"note": "; ".join(filter(None, [choice.note, TEST_LACKS_CLASS]))}
    test = task.rows("test")
    return row | judged_scores(task.active[test], scores(features[task.samples[test]], weights))


def judged_scores(active: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """`METRICS` of scores (N,), such as log odds; a sample above 0 is taken for active. Both classes occur."""
    predicted = score > 0
    values = [
        roc_auc_score(active, score),
        f1_score(active, predicted),
        matthews_corrcoef(active, predicted),
        accuracy_score(active, predicted),
        average_precision_score(active, score),
    ]
    return dict(zip(METRICS, map(float, values), strict=True))
