"""Logistic regression along a grid of strengths: Newton steps by conjugate gradients, each fit from the one before.

The model is that of scikit-learn: half the squared length of the weights plus C times the sum of the log losses, with
an intercept that costs nothing. Its lbfgs stops by default (tol 1e-4 on the mean gradient) or at the iteration limit
before the optimum when C is large, and its newton-cholesky makes a new matrix of second derivatives in each step.
Here one such matrix serves several steps and several C as a preconditioner: it is made again when it no longer helps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.special import expit

# A fit has ended when the last step is this small beside the weights, both measured by the second derivatives. The
# step itself is then still made, and leaves about a tenth of this.
TOLERANCE = 1e-3
STEPS = 100  # Newton steps for one C; the line search makes each go down, and tens are enough
INNER = 200  # conjugate gradients for one step
INNER_TOLERANCE = 0.1  # of the length of the residual
STALE = 4  # conjugate gradients in one step; more cost more than a new matrix
HALVINGS = 40
BLOCK = 512  # rows; with 512 columns a megabyte
WIDE = 8  # rows per column from which float32 is enough: fewer may be separable, where small residuals decide
CONSTANT = 1e-12  # of the mean; a column that varies less does not vary


@dataclass(frozen=True)
class Problem:
    """Samples of a table of features (N, D) whose classes are to be told apart."""

    samples: np.ndarray  # int (n,): rows of the table
    active: np.ndarray  # bool (n,): both classes occur
    strengths: Sequence[float]  # C, ascending: each fit may start where the one before ended
    start: np.ndarray | None = None  # float64 (D + 1,): weights of a similar problem, the intercept last


def logistic_path(
    features: np.ndarray,
    active: np.ndarray,
    strengths: Sequence[float],
    start: np.ndarray | None = None,
    standardise: bool = False,
) -> np.ndarray:
    """Weights of logistic regressions that differ in C only.

    Parameters
    ----------
    features : float (N, D)
        One row per sample, finite.
    active : bool (N,)
        Classes; both occur.
    strengths : sequence of float
        C, ascending: each fit starts where the one before ended.
    start : float64 (D + 1,), optional
        Weights of a similar problem to start from; default: no weights.
    standardise : bool
        Whether the weights that cost are those of columns brought to variance 1.

    Returns
    -------
    float64 (len(strengths), D + 1)
        Weights for the features as they are, and the intercept last.
    """
    # The intercept is free, so a shift of the features changes nothing but the intercept, and helps the arithmetic.
    centre = features.mean(axis=0, dtype=np.float64)
    scale = _scale(features, centre) if standardise else np.ones_like(centre)
    exact = features.dtype != np.float32 or len(features) < WIDE * features.shape[1]
    kind = np.float64 if exact else np.float32
    rows, basis = _reduced((features.astype(kind) - centre.astype(kind)) / scale.astype(kind))
    fit = _Fit(rows, active)
    if start is not None:
        inner = start[:-1] * scale
        fit.weights = np.append(inner if basis is None else basis.T @ inner, start[-1] + centre @ start[:-1])
    path = []
    for strength in strengths:
        fit.solve(strength)
        weights = (fit.weights[:-1] if basis is None else basis @ fit.weights[:-1]) / scale
        path.append(np.append(weights, fit.weights[-1] - centre.astype(kind) @ weights))
    return np.array(path)


def scores(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Log odds of being active, float64 (N,), from weights (D + 1,) of `logistic_path`."""
    return features @ weights[:-1].astype(np.result_type(features, np.float32)) + weights[-1]


def _scale(features: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Standard deviations, float64 (D,); 1 for a column that does not vary."""
    deviation = features.std(axis=0, dtype=np.float64)
    return np.where(deviation > CONSTANT * np.abs(centre), deviation, 1.0)


def _reduced(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Coordinates (N, N) in the space that fewer rows than columns span, and its basis (D, N); penalised weights
    never leave it."""
    if len(rows) >= rows.shape[1]:
        return rows, None
    basis, coordinates = scipy.linalg.qr(rows.T, mode="economic")
    return np.ascontiguousarray(coordinates.T), basis


class _Fit:
    """Current weights of one task, the intercept last, and the matrix of second derivatives that is kept."""

    def __init__(self, rows: np.ndarray, active: np.ndarray):
        self.rows = rows
        self.sign = np.where(active, 1.0, -1.0)
        share = active.mean()
        self.weights = np.append(np.zeros(rows.shape[1]), np.log(share / (1 - share)))
        self.matrix: np.ndarray | None = None

    def solve(self, strength: float) -> None:
        """Move the weights to the optimum for this C."""
        z = self._product(self.weights)
        solver = None
        for _ in range(STEPS):
            # Written by the margin, a residual keeps its digits where it is far below 1.
            residual = -self.sign * expit(-self.sign * z)
            curvature = np.abs(residual) * (1 - np.abs(residual))
            gradient = strength * self._transposed(residual)
            gradient[:-1] += self.weights[:-1]
            if self.matrix is None:
                self.matrix, solver = self._second_derivatives(curvature), None
            solver = solver or _preconditioner(self.matrix, strength)
            step, along, count = self._newton_step(gradient, strength * curvature, solver)
            if count > STALE:
                self.matrix = None
            slope = float(gradient @ step)
            size = self.weights[:-1] @ self.weights[:-1] + strength * (curvature @ (z - self.weights[-1]) ** 2)
            length = self._line_search(strength, z, step, along, slope)
            self.weights += length * step
            z += length * along
            if length == 0 or (length == 1 and -slope <= TOLERANCE**2 * size):
                return

    def _newton_step(
        self, gradient: np.ndarray, curvature: np.ndarray, solver: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Conjugate gradients for the Newton step; the step, its scores, and how many products it took."""
        step, along = np.zeros_like(gradient), np.zeros(len(self.rows))
        left = -gradient
        direction = solved = solver(left)
        first = squared = float(left @ solved)
        count = 0
        while count < INNER and squared > INNER_TOLERANCE**2 * first:
            moved, bent = self._bend(direction, curvature)
            bent[:-1] += direction[:-1]
            pace = squared / float(direction @ bent)
            step += pace * direction
            along += pace * moved
            left -= pace * bent
            solved = solver(left)
            before, squared = squared, float(left @ solved)
            direction = solved + squared / before * direction
            count += 1
        return step, along, count

    def _line_search(self, strength: float, z: np.ndarray, step: np.ndarray, along: np.ndarray, slope: float) -> float:
        """The largest of 1, 1/2, 1/4 and so on that goes down; 0 if rounding hides any way down."""
        now = self._objective(strength, z, self.weights)
        length = 1.0
        for _ in range(HALVINGS):
            there = self._objective(strength, z + length * along, self.weights + length * step)
            if there <= now + 1e-4 * length * slope + 1e-12 * now:
                return length
            length /= 2
        return 0.0

    def _objective(self, strength: float, z: np.ndarray, weights: np.ndarray) -> float:
        return 0.5 * float(weights[:-1] @ weights[:-1]) + strength * float(np.logaddexp(0, -self.sign * z).sum())

    def _product(self, weights: np.ndarray) -> np.ndarray:
        return self.rows @ weights[:-1].astype(self.rows.dtype) + weights[-1]

    def _transposed(self, values: np.ndarray) -> np.ndarray:
        return np.append(values.astype(self.rows.dtype) @ self.rows, values.sum()).astype(np.float64)

    def _bend(self, direction: np.ndarray, curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of a direction, and the second derivatives of the losses times it."""
        moved, bent = np.empty(len(self.rows)), np.zeros(len(direction))
        inner = direction[:-1].astype(self.rows.dtype)
        # Both products of a block while it is in the cache: the rows are read from memory once.
        for begin in range(0, len(self.rows), BLOCK):
            block = slice(begin, begin + BLOCK)
            moved[block] = self.rows[block] @ inner + direction[-1]
            weighted = curvature[block] * moved[block]
            bent[:-1] += weighted.astype(self.rows.dtype) @ self.rows[block]
            bent[-1] += weighted.sum()
        return moved, bent

    def _second_derivatives(self, curvature: np.ndarray) -> np.ndarray:
        """Those of the sum of losses, float64 (D + 1, D + 1)."""
        root = np.sqrt(curvature)
        scaled = self.rows * root.astype(self.rows.dtype)[:, np.newaxis]
        matrix = np.empty(2 * (len(self.weights),))
        matrix[:-1, :-1] = scaled.T @ scaled
        matrix[-1] = matrix[:, -1] = self._transposed(curvature)
        return matrix


def _preconditioner(matrix: np.ndarray, strength: float) -> Callable[[np.ndarray], np.ndarray]:
    """Solves by the second derivatives of the whole objective, those of the losses as they were once."""
    whole = strength * matrix
    # Rounding in the products must not make a direction without samples negative.
    whole[np.diag_indices(len(whole) - 1)] += 1 + 1e-6 * np.diagonal(whole)[:-1].max(initial=0)
    factor = scipy.linalg.cho_factor(whole, lower=True, overwrite_a=True, check_finite=False)
    return lambda values: scipy.linalg.cho_solve(factor, values, check_finite=False)
