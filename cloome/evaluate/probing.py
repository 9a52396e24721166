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

Where the classes can be separated and C is large, lbfgs stops before the optimum, and the scores depend on where. So
upstream's protocol fits tasks with few rows of a class by scikit-learn's lbfgs, with the tolerance that upstream's
version meant; all other fits are those of `cloome.evaluate.logistic`, which end at the optimum.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
from joblib import Parallel, cpu_count, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, matthews_corrcoef, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cloome.config import Evaluate
from cloome.data.splits import PARTS
from cloome.errors import FormatError
from cloome.evaluate.logistic import logistic_path, scores

UPSTREAM, SOUND = "upstream", "sound"
# Upstream's grid: powers of ten from 1e-6 to 1e6, without 10.
GRID = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e2, 1e3, 1e4, 1e5, 1e6)
WHOLE_GRID = tuple(sorted((*GRID, 10.0)))
FIRST_C = 1.0
FOLDS = 5
ITERATIONS = 3000
SEPARABLE = 2  # rows of the rarer class per column; with fewer, the classes may be separable
TOLERANCE = 1e-4  # of the gradient of the sum of losses; since 1.4 scikit-learn compares that of their mean
METRICS = ["test_auc", "test_f1", "test_mcc", "test_accuracy", "test_average_precision"]
COLUMNS = ["task", "C", "val_auc", *METRICS, "n_train", "actives_train", "n_validation", "n_test", "note"]
TEST_LACKS_CLASS = "test lacks a class: missing (upstream's fixed scores: AUC 0.5, F1 0, MCC -1)"


def probe(
    features: np.ndarray,
    labels: np.ndarray | scipy.sparse.spmatrix,
    part: np.ndarray,
    minimum_labels: int = Evaluate().minimum_labels,
    protocol: str = UPSTREAM,
    molecule: np.ndarray | None = None,
) -> pd.DataFrame:
    """Fit and judge one logistic regression per task, tasks side by side on all cores.

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

    Returns
    -------
    DataFrame
        One row per task: task, C, val_auc (``sound``: mean over folds), test_auc, test_f1, test_mcc, test_accuracy,
        test_average_precision, n_train, actives_train, n_validation, n_test, note. Missing values are NaN, and the
        note says why.

    Raises
    ------
    FormatError
        If a feature is not a finite number, the lengths disagree, or, for ``sound``, a molecule stands in two parts.
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
        found = _side_by_side(_choose, [(features, task, minimum_labels, protocol, molecule) for task in tasks])
        if protocol == UPSTREAM:
            _fill_usual(found)
        judged = _side_by_side(_judge, [(features, *pair, protocol) for pair in zip(tasks, found, strict=True)])
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


def _side_by_side(work, arguments: list[tuple]) -> list:
    """Results in the order of the arguments; the longest work first, so that no core waits for it at the end."""
    order = sorted(range(len(arguments)), key=lambda number: -len(arguments[number][1].samples))
    results = Parallel(n_jobs=cpu_count(), prefer="threads")(delayed(work)(*arguments[number]) for number in order)
    return [result for _, result in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])]


def _choose(features: np.ndarray, task: _Task, minimum_labels: int, protocol: str, molecule: np.ndarray) -> _Choice:
    train = task.active[task.rows("train")]
    if min(train.sum(), (~train).sum()) < max(minimum_labels, 1):
        return _Choice(None, note=f"not fitted: fewer than {minimum_labels} actives or inactives in training")
    grid = GRID if protocol == UPSTREAM else WHOLE_GRID
    folds = _parts(task) if protocol == UPSTREAM else _folds(task, molecule)
    aucs = []
    for fitted, held in folds:
        if task.has_both(fitted) and task.has_both(held):
            train_features, held_features = _features(features, task, fitted, held, protocol)
            path = _path(train_features, task.active[fitted], grid, protocol)
            aucs.append([roc_auc_score(task.active[held], scores(held_features, weights)) for weights in path])
    if not aucs:
        reason = "validation lacks a class: usual C" if protocol == UPSTREAM else "not fitted: no fold has both classes"
        return _Choice(None, note=reason)
    mean = np.mean(aucs, axis=0)
    best = int(np.argmax(mean))
    return _Choice(grid[best], float(mean[best]), path[best])


def _path(
    features: np.ndarray, active: np.ndarray, grid: Sequence[float], protocol: str, start: np.ndarray | None = None
) -> np.ndarray:
    """Weights (len(grid), D + 1), the intercept last."""
    rarer = min(active.sum(), (~active).sum())
    if protocol == SOUND or rarer >= SEPARABLE * features.shape[1]:
        return logistic_path(features, active, grid, start)
    features = features.astype(np.float64)
    with warnings.catch_warnings():
        # Upstream takes what it has at the limit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [
            LogisticRegression(C=strength, max_iter=ITERATIONS, tol=TOLERANCE / len(features)).fit(features, active)
            for strength in grid
        ]
    return np.array([np.append(model.coef_[0], model.intercept_) for model in models])


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


def _features(
    features: np.ndarray, task: _Task, fitted: np.ndarray, held: np.ndarray, protocol: str
) -> tuple[np.ndarray, np.ndarray]:
    """Features to fit by and to judge by; for ``sound`` standardised to the former."""
    pair = features[task.samples[fitted]], features[task.samples[held]]
    if protocol == UPSTREAM:
        return pair
    scaler = StandardScaler().fit(pair[0])
    return scaler.transform(pair[0]), scaler.transform(pair[1])


def _fill_usual(choices: list[_Choice]) -> None:
    """Give the tasks without a validation AUC the strength chosen most often before them."""
    chosen: list[float] = []
    for choice in choices:
        if np.isfinite(choice.auc):
            chosen.append(choice.strength)
        elif choice.note.startswith("validation"):
            choice.strength = float(scipy.stats.mode(chosen).mode) if chosen else FIRST_C


def _judge(features: np.ndarray, task: _Task, choice: _Choice, protocol: str) -> dict:
    """The row of a task."""
    sizes = {f"n_{name}": len(task.rows(name)) for name in PARTS}
    row = {"C": choice.strength, "val_auc": choice.auc, **dict.fromkeys(METRICS, np.nan), "note": choice.note}
    row |= {**sizes, "actives_train": int(task.active[task.rows("train")].sum())}
    if choice.strength is None:
        return row | {"C": np.nan}
    fitted, test = task.rows("train", "validation"), task.rows("test")
    if not task.has_both(test):
        return row | {"note": "; ".join(filter(None, [choice.note, TEST_LACKS_CLASS]))}
    fit_features, test_features = _features(features, task, fitted, test, protocol)
    weights = _path(fit_features, task.active[fitted], [choice.strength], protocol, choice.weights)[0]
    return row | _metrics(task.active[test], scores(test_features, weights))


def _metrics(active: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Metrics of log odds (N,); a sample above 0 is taken for active."""
    predicted = score > 0
    values = [
        roc_auc_score(active, score),
        f1_score(active, predicted),
        matthews_corrcoef(active, predicted),
        accuracy_score(active, predicted),
        average_precision_score(active, score),
    ]
    return dict(zip(METRICS, map(float, values), strict=True))
