"""Ranks of right candidates, in memory linear in the number of candidates.

Vectors (N, D) are compared by their product, scalars (N,) by their distance. Every rank is pessimistic: a wrong
candidate that scores the same as the right one, or whose score is not a number, counts against.
"""

from collections.abc import Callable, Iterator

import numpy as np

# Scores held at a time: 64 MB in float32, large enough for the matrix product to run at full rate.
BLOCK = 2**24

Masks = Callable[[slice], tuple[np.ndarray, np.ndarray]]


def ranks(queries: np.ndarray, candidates: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Rank of each query's one right candidate among all candidates.

    Parameters
    ----------
    queries : float32 (Q, D) or (Q,)
        Features of the queries.
    candidates : float32 (M, D) or (M,)
        Features of the candidates.
    positive : int (Q,)
        Row of the right candidate of each query.

    Returns
    -------
    int64 (Q,)
        1 is best, M is worst. Any other candidate with the same score counts against; so it is in upstream's pools of
        100 (FACTS 1.2).
    """
    positive = np.asarray(positive)
    found = np.empty(len(queries), dtype=np.int64)
    for rows, scores in _scores(queries, candidates):
        # The positive's own score comes from the same product: a second computation may round differently.
        own = np.take_along_axis(scores, positive[rows, None], axis=1)
        found[rows] = scores.shape[1] - np.count_nonzero(scores < own, axis=1)
    return found


def ranks_of_any(queries: np.ndarray, candidates: np.ndarray, masks: Masks) -> np.ndarray:
    """Rank of each query's best right candidate among the wrong ones, where several may be right.

    Parameters
    ----------
    queries, candidates : float32 (Q, D), (M, D) or (Q,), (M,)
        Features.
    masks : callable
        Gives for a slice of q queries two bool arrays (q, M): which candidates are right, and which are ranked at
        all; every right one is ranked.

    Returns
    -------
    int64 (Q,)
        1 is best. Right candidates do not count against each other. Without a right candidate, all others lie before.
    """
    found = np.empty(len(queries), dtype=np.int64)
    for rows, scores in _scores(queries, candidates):
        right, ranked = masks(rows)
        best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
        found[rows] = 1 + np.count_nonzero(ranked & ~right & ~(scores < best), axis=1)
    return found


def blocks(queries: int, candidates: int) -> Iterator[slice]:
    """Slices of the queries such that one block of scores stays small."""
    step = max(1, BLOCK // max(1, candidates))
    for start in range(0, queries, step):
        yield slice(start, min(start + step, queries))


def _scores(queries: np.ndarray, candidates: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices of the queries with their similarity to all candidates, (q, M)."""
    if queries.ndim == 1:
        for rows in blocks(len(queries), len(candidates)):
            yield rows, -np.abs(queries[rows, None] - candidates[None, :])
        return
    distinct, copy_of = _distinct_rows(candidates)
    for rows in blocks(len(queries), len(candidates)):
        # Equal candidates get one score: a matrix product may round equal columns differently at its edges.
        yield rows, (queries[rows] @ distinct.T)[:, copy_of]


def _distinct_rows(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | slice]:
    """The distinct rows of a matrix, and an index that makes all rows of them again."""
    values = np.ascontiguousarray(values)
    as_bytes = values.view(np.dtype((np.void, values.dtype.itemsize * values.shape[1])))[:, 0]
    _, first, copy_of = np.unique(as_bytes, return_index=True, return_inverse=True)
    # Without copies, the slice spares a rearranged copy of every block of scores.
    return (values[first], copy_of) if len(first) < len(values) else (values, slice(None))
