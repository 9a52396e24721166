"""Many logistic regressions: which solver fits them, and where.

Where the classes can be separated and C is large, lbfgs stops before the optimum, and the scores depend on where. So
fits as upstream's take scikit-learn's lbfgs, with the tolerance that upstream's version meant, for problems with few
rows of a class, whatever the machine; all other fits are those of `cloome.evaluate.logistic`, which end at the optimum.

The problems lie side by side on all cores. With a GPU, those that end at the optimum lie in batches on it.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from cloome.evaluate.device import gpu
from cloome.evaluate.logistic import Problem, logistic_path

ITERATIONS = 3000
SEPARABLE = 2  # rows of the rarer class per column; with fewer, the classes may be separable
TOLERANCE = 1e-4  # of the gradient of the sum of losses; since 1.4 scikit-learn compares that of their mean
# Numbers in the rows of all problems from which on a GPU is taken: a fifth of the paper's screen. Less takes minutes on
# two cores.
WORTH_A_GPU = 2**28


def fit_paths(
    features: np.ndarray, problems: Sequence[Problem], standardise: bool, early: bool, device: Any = None
) -> list[np.ndarray]:
    """Weights of all problems.

    Parameters
    ----------
    features : float (N, D)
        Finite.
    problems : sequence of Problem
        All have the same number of strengths.
    standardise : bool
        Whether the columns of each problem are brought to mean 0 and variance 1 first. Not where lbfgs stops early.
    early : bool
        Whether lbfgs may stop early where the classes may be separable.
    device : str or torch.device, optional
        Where PyTorch fits; default: a CUDA GPU if PyTorch sees one and the work repays it, else NumPy does.

    Returns
    -------
    list of float64 (S, D + 1)
        Weights for the features as they are, the intercept last, for each strength of a problem.
    """
    if device is None and sum(len(problem.samples) for problem in problems) * features.shape[1] >= WORTH_A_GPU:
        device = gpu()
    stopped = [early and _may_be_separable(problem, features.shape[1]) for problem in problems]

    def fit(problem: Problem, stops: bool) -> np.ndarray:
        rows = features[problem.samples]
        if stops:
            return _lbfgs_path(rows, problem)
        return logistic_path(rows, problem.active, problem.strengths, problem.start, standardise)

    pairs = list(zip(problems, stopped, strict=True))
    if device is None:
        return side_by_side(fit, pairs)
    from cloome.evaluate.logistic_torch import newton_paths

    on_device = iter(newton_paths(features, [problem for problem, stops in pairs if not stops], standardise, device))
    on_cores = iter(side_by_side(fit, [pair for pair in pairs if pair[1]]))
    return [next(on_cores if stops else on_device) for stops in stopped]


def side_by_side(work: Callable, arguments: Sequence[tuple]) -> list:
    """Results in the order of the arguments, whose first has samples; the longest work is done first.

    So no core waits for it at the end.
    """
    order = sorted(range(len(arguments)), key=lambda number: -len(arguments[number][0].samples))
    results = Parallel(n_jobs=cpu_count(), prefer="threads")(delayed(work)(*arguments[number]) for number in order)
    return [result for _, result in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])]


def _may_be_separable(problem: Problem, columns: int) -> bool:
    return min(problem.active.sum(), (~problem.active).sum()) < SEPARABLE * columns


def _lbfgs_path(rows: np.ndarray, problem: Problem) -> np.ndarray:
    rows = rows.astype(np.float64)
    with warnings.catch_warnings():
        # Upstream takes what it has at the limit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [
            LogisticRegression(C=strength, max_iter=ITERATIONS, tol=TOLERANCE / len(rows)).fit(rows, problem.active)
            for strength in problem.strengths
        ]
    return np.array([np.append(model.coef_[0], model.intercept_) for model in models])
