"""Many logistic regressions at once by PyTorch: the problems of `cloome.evaluate.logistic` in batches, on a device.

A batch holds problems of nearly the same number of rows, each with rows of its own, filled up with rows of zeros. All
is float64: there is one matrix product for many problems, and the time goes by their rows and not by their digits. A
step solves by the second derivatives of the moment: on a device they cost little more than the products that conjugate
gradients need.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from cloome.evaluate.logistic import CONSTANT, HALVINGS, STEPS, TOLERANCE, Problem

BATCH = 2**28  # numbers in a batch; with its products a few gigabytes
RELATIVE_ROUNDING = 1e-12
SUFFICIENT = 1e-4  # of the decrease that the slope promises


def newton_paths(
    features: np.ndarray, problems: Sequence[Problem], standardise: bool, device: str | torch.device
) -> list[np.ndarray]:
    """Weights as `cloome.evaluate.logistic.logistic_path` gives them, for each problem.

    Parameters
    ----------
    features : float (N, D)
        Finite.
    problems : sequence of Problem
        All have the same number of strengths, ascending.
    standardise : bool
        Whether the weights that cost are those of standardised columns.
    device : str or torch.device
        Where PyTorch computes.

    Returns
    -------
    list of float64 (S, D + 1)
        Weights for the columns as they are, the intercept last, for each strength of a problem.
    """

    paths = [np.empty(0)] * len(problems)
    for numbers in _batches([len(problem.samples) for problem in problems], features.shape[1] + 1):
        batch = _Batch(features, [problems[number] for number in numbers], device)
        for number, path in zip(numbers, _paths(batch, standardise).cpu().numpy(), strict=True):
            paths[number] = path
    return paths


def _batches(sizes: Sequence[int], columns: int) -> Iterator[list[int]]:
    """Problems that go together, the largest first; one too large for a batch goes alone."""
    numbers: list[int] = []
    for number in np.argsort(-np.asarray(sizes), kind="stable"):
        # A problem takes its rows, filled up to the largest, and its second derivatives.
        largest = sizes[numbers[0]] if numbers else 0
        if numbers and (len(numbers) + 1) * (largest + columns) * columns > BATCH:
            yield numbers
            numbers = []
        numbers.append(int(number))
    if numbers:
        yield numbers


class _Batch:
    """Rows (B, n, D + 1) of B problems, 1 in the last column for the intercept; rows of zeros fill up."""

    def __init__(self, features: np.ndarray, problems: Sequence[Problem], device: str | torch.device):
        count, columns = len(problems), features.shape[1] + 1
        size = max(len(problem.samples) for problem in problems)
        made = {"dtype": torch.float64, "device": device}
        self.problems = problems
        self.rows = torch.zeros(count, size, columns, **made)
        self.sign = torch.ones(count, size, **made)
        for number, problem in enumerate(problems):
            rows = self.rows[number, : len(problem.samples)]
            rows[:, :-1] = torch.from_numpy(features[problem.samples]).to(device)
            rows[:, -1] = 1
            self.sign[number, : len(rows)] = torch.from_numpy(np.where(problem.active, 1.0, -1.0)).to(device)
        self.present = self.rows[..., -1].clone()
        self.strengths = torch.tensor(np.array([problem.strengths for problem in problems]), **made)
        self.penalty = torch.ones(columns, **made)
        self.penalty[-1] = 0

    def centred(self, standardise: bool) -> tuple[Tensor, Tensor]:
        """Shift the columns of each problem to mean 0, and bring them to variance 1 if asked; what they were."""
        count = self.present.sum(dim=1)[:, None]
        inner = self.rows[..., :-1]
        centre = inner.sum(dim=1) / count
        inner -= centre[:, None]
        inner *= self.present[..., None]
        if not standardise:
            return centre, torch.ones_like(centre)
        scale = (torch.linalg.vector_norm(inner, dim=1) / count.sqrt()).nan_to_num()
        scale = torch.where(scale > CONSTANT * centre.abs(), scale, 1)
        inner /= scale[:, None]
        return centre, scale

    def starts(self, centre: Tensor, scale: Tensor) -> Tensor:
        """Where the paths start, (B, D + 1), in centred columns."""
        weights = torch.zeros_like(self.rows[:, 0])
        for number, problem in enumerate(self.problems):
            if problem.start is None:
                weights[number, -1] = float(np.log(problem.active.sum() / (~problem.active).sum()))
            else:
                start = torch.from_numpy(problem.start).to(weights)
                weights[number, :-1] = start[:-1] * scale[number]
                weights[number, -1] = start[-1] + centre[number] @ start[:-1]
        return weights

    def losses(self, scores: Tensor) -> Tensor:
        """Sum of the log losses for scores (B, n, S), (B, S)."""
        return (softplus(-self.sign[..., None] * scores, threshold=50) * self.present[..., None]).sum(dim=1)

    def residuals(self, scores: Tensor) -> Tensor:
        """Derivatives of the losses by the scores, (B, n, S); written by the margin they keep their digits."""
        return -self.sign[..., None] * torch.sigmoid(-self.sign[..., None] * scores)


def _paths(batch: _Batch, standardise: bool) -> Tensor:
    """The optima (B, S, D + 1) for all strengths of the problems, each from the one before."""
    centre, scale = batch.centred(standardise)
    weights = batch.starts(centre, scale)
    path = []
    for strength in batch.strengths.T:
        weights = _newton(batch, weights, strength)
        path.append(_uncentred(weights, centre, scale))
    return torch.stack(path, dim=1)


def _uncentred(weights: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    inner = weights[:, :-1] / scale
    return torch.cat([inner, weights[:, -1:] - (centre * inner).sum(dim=1, keepdim=True)], dim=1)


def _newton(batch: _Batch, weights: Tensor, strength: Tensor) -> Tensor:
    """The optimum (B, D + 1) for one strength (B,) of each problem."""
    weights, strength = weights[..., None], strength[:, None]
    scores = batch.rows @ weights
    penalty = batch.penalty[:, None]
    running = torch.ones_like(strength)

    def objective(length: Tensor) -> Tensor:
        there = weights + length[:, None] * step
        return 0.5 * (penalty * there**2).sum(dim=1) + strength * batch.losses(scores + length[:, None] * along)

    for _ in range(STEPS):
        residual = batch.residuals(scores)
        curvature = residual.abs() * (1 - residual.abs())
        gradient = strength[:, None] * (batch.rows.mT @ residual) + penalty * weights
        step = -_solved(batch, strength[:, None] * curvature, gradient) * running[:, None]
        along = batch.rows @ step
        slope = (gradient * step).sum(dim=1)
        spread = curvature * batch.present[..., None] * (scores - weights[:, -1:]) ** 2
        size = (penalty * weights**2).sum(dim=1) + strength * spread.sum(dim=1)
        length = _line_search(objective, slope)
        weights, scores = weights + length[:, None] * step, scores + length[:, None] * along
        ended = (length == 0) | ((length == 1) & (-slope <= TOLERANCE**2 * size))
        running = running * ~ended
        if not running.any():
            break
    return weights[..., 0]


def _solved(batch: _Batch, curvature: Tensor, gradient: Tensor) -> Tensor:
    """The gradient divided by the second derivatives of the objective, (B, D + 1, 1)."""
    matrix = batch.rows.mT @ (curvature * batch.rows)
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    # Rounding in the products must not make a direction without samples negative.
    diagonal += batch.penalty + RELATIVE_ROUNDING * diagonal.amax(dim=1, keepdim=True)
    return torch.cholesky_solve(gradient, torch.linalg.cholesky(matrix))


def _line_search(objective: Callable[[Tensor], Tensor], slope: Tensor) -> Tensor:
    """For each fit the largest of 1, 1/2, 1/4 and so on that goes down; 0 if rounding hides any way down."""
    length = torch.ones_like(slope)
    now = objective(torch.zeros_like(length))
    for _ in range(HALVINGS):
        there = objective(length)
        down = there <= now + SUFFICIENT * length * slope + RELATIVE_ROUNDING * now
        if down.all():
            break
        length = torch.where(down, length, length / 2)
    return torch.where(down, length, 0)
