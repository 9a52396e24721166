"""Ranks of right candidates, in memory linear in the number of rows.

Vectors (N, D) are compared by their product, scalars (N,) by their distance. Ranks are pessimistic: a wrong candidate
that scores the same as the right one counts against, unless a source of chance is given, by which equals are ordered.
Numbers that are not finite are refused.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloome.errors import FormatError
from cloome.evaluate.device import gpu

# Scores held at a time where all candidates are needed at once: 64 MB in float32.
BLOCK = 2**24
# Queries and candidates of one product: large enough for its full rate, small enough for a cache to hold the scores.
TILE = (2048, 2048)
TILE_ON_GPU = (8192, 8192)
# Multiplications from which on a GPU repays its start and the way to its memory; a processor takes about a second.
WORTH_A_GPU = 2**36

Masks = Callable[[slice], tuple[np.ndarray, np.ndarray]]


def ranks(queries: np.ndarray, candidates: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Rank of each query's one right candidate among all candidates.

    Large inputs are ranked on a CUDA GPU if PyTorch is installed and sees one. Scores are float32: candidates that
    differ, and whose scores for a query agree within rounding, may come in either order.

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
        100 (FACTS 1.2). Equal candidates have the same score.

    Raises
    ------
    FormatError
        If a query or a candidate holds NaN or infinity, or a query's right candidate is none of the candidates.
    """
    refuse_what_is_not_finite(queries, candidates)
    positive = np.asarray(positive)
    if ((positive < 0) | (positive >= len(candidates))).any():
        raise FormatError(f"a right candidate is none of the {len(candidates)} rows; give one row for each query")
    kind = np.result_type(queries, candidates)
    queries, candidates = queries.astype(kind, copy=False), candidates.astype(kind, copy=False)
    work = len(queries) * candidates.size
    return _ranks(queries, candidates, positive, gpu() if work >= WORTH_A_GPU else None)


def ranks_of_any(
    queries: np.ndarray, candidates: np.ndarray, masks: Masks, ties: np.random.Generator | None = None
) -> np.ndarray:
    """Rank of each query's best right candidate among the wrong ones, where several may be right.

    Parameters
    ----------
    queries, candidates : float32 (Q, D), (M, D) or (Q,), (M,)
        Features.
    masks : callable
        Gives for a slice of q queries two bool arrays (q, M): which candidates are right, and which are ranked at
        all; every right one is ranked.
    ties : Generator, optional
        Orders equal scores at random. Default: wrong candidates that score the same as the best right one count
        against.

    Returns
    -------
    int64 (Q,)
        1 is best. Right candidates do not count against each other. Without a right candidate, all others lie before.

    Raises
    ------
    FormatError
        If a query or a candidate holds NaN or infinity.
    """
    found = np.empty(len(queries), dtype=np.int64)
    for rows, scores in score_blocks(queries, candidates):
        found[rows] = ranks_of_best(scores, *masks(rows), ties)
    return found


def ranks_of_best(
    scores: np.ndarray, right: np.ndarray, ranked: np.ndarray, ties: np.random.Generator | None = None
) -> np.ndarray:
    """Ranks as `ranks_of_any` gives them, from scores (q, M) and its masks."""
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    wrong = ranked & ~right
    above, tied = np.count_nonzero(wrong & (scores > best), axis=1), np.count_nonzero(wrong & (scores == best), axis=1)
    if ties is not None:
        # In a random order of equals, each wrong one lies before the first of r right ones if its place is below the
        # least of r places.
        equal = np.maximum(np.count_nonzero(right & (scores == best), axis=1), 1)
        tied = ties.binomial(tied, ties.beta(1, equal))
    return 1 + above + tied


def score_blocks(queries: np.ndarray, candidates: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices of the queries with their scores for all candidates, (q, M), larger is more alike; errors as `ranks`."""
    refuse_what_is_not_finite(queries, candidates)
    device = gpu() if len(queries) * candidates.size >= WORTH_A_GPU else None
    distinct = _distinct(candidates)
    chosen = _placed(candidates if distinct is None else candidates[distinct.first], device)
    for rows in blocks(len(queries), len(candidates)):
        scores = _similarity(_placed(queries[rows], device), chosen)
        scores = scores if device is None else scores.cpu().numpy()
        yield rows, scores if distinct is None else scores[:, distinct.copy_of]


def refuse_what_is_not_finite(queries: np.ndarray, candidates: np.ndarray) -> None:
    """Raise FormatError if a row of either holds NaN or infinity, and say which rows do."""
    for what, values in (("queries", queries), ("candidates", candidates)):
        bad = [rows.start + np.flatnonzero(~np.isfinite(values[rows]).reshape(rows.stop - rows.start, -1).all(axis=1))
               for rows in _slices(len(values), max(1, BLOCK // max(1, values[:1].size)))]  # fmt: skip
        bad = np.concatenate([np.empty(0, dtype=np.int64), *bad])
        if len(bad):
            named = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
            raise FormatError(
                f"{len(bad)} of {len(values)} {what} hold NaN or infinity (rows {named}); leave these rows out, or "
                "compute their features again"
            )


def blocks(queries: int, candidates: int) -> Iterator[slice]:
    """Slices of the queries such that one block of scores stays small."""
    return _slices(queries, max(1, BLOCK // max(1, candidates)))


def _slices(rows: int, step: int) -> Iterator[slice]:
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


@dataclass(frozen=True)
class _Distinct:
    """Candidates of which some are equal. One stands for all: a matrix product may round equal columns differently."""

    first: np.ndarray  # int64 (U,): row of the first of its kind
    copy_of: np.ndarray  # int64 (M,): place of each candidate's kind in `first`
    copies: np.ndarray  # int64 (U,): how many candidates are of the kind


def _ranks(queries: np.ndarray, candidates: np.ndarray, positive: np.ndarray, device: Any) -> np.ndarray:
    """Ranks by NumPy, or by PyTorch on a device."""
    distinct = _distinct(candidates)
    if distinct is not None:
        positive = distinct.copy_of[positive]
    height, width = TILE if device is None else TILE_ON_GPU
    tiles = list(_slices(len(candidates) if distinct is None else len(distinct.first), width))
    # Side by side lie queries whose positives do: then few tiles of a block of queries hold a positive.
    order = np.argsort(positive, kind="stable")
    found = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), height):
        rows = order[start : start + height]
        block = _placed(queries[rows], device)
        found[rows] = len(candidates) - _below(block, candidates, positive[rows], tiles, distinct, device)
    return found


def _below(
    queries: Any,
    candidates: np.ndarray,
    positive: np.ndarray,
    tiles: list[slice],
    distinct: _Distinct | None,
    device: Any,
) -> np.ndarray:
    """For each query of a block the number of candidates that score below its positive, int64 (q,)."""

    def scores(tile: slice) -> Any:
        chosen = candidates[tile] if distinct is None else candidates[distinct.first[tile]]
        return _similarity(queries, _placed(chosen, device))

    own = _placed(np.empty(len(positive), dtype=candidates.dtype), device)
    width = tiles[0].stop
    holding = np.unique(positive // width)
    count = np.zeros(len(positive), dtype=np.int64)
    # The positive's own score is a score of its tile: computed by itself it may round differently. So tiles that hold
    # positives come first; but for the last of them, which is compared at once, they come a second time.
    for number in holding[:-1]:
        _keep_own(own, scores(tiles[number]), positive, tiles[number])
    for number in [holding[-1], *np.setdiff1d(np.arange(len(tiles)), holding[-1])]:
        tile = tiles[number]
        found = scores(tile)
        if number == holding[-1]:
            _keep_own(own, found, positive, tile)
        count += _count(found, own, None if distinct is None else distinct.copies[tile], device)
    return count


def _keep_own(own: Any, scores: Any, positive: np.ndarray, tile: slice) -> None:
    """Take from the scores of a tile those of the positives in it."""
    rows = np.flatnonzero((positive >= tile.start) & (positive < tile.stop))
    own[rows] = scores[rows, positive[rows] - tile.start]


def _count(scores: Any, own: Any, copies: np.ndarray | None, device: Any) -> np.ndarray:
    """How many scores of each row lie below its own, int64 (q,); a column may stand for several equal candidates."""
    below = scores < own[:, None]
    if device is not None:
        weighted = below if copies is None else below * _placed(copies, device)
        return weighted.sum(1).cpu().numpy()
    if copies is not None:
        return (below @ copies.astype(np.float64)).astype(np.int64)
    # Several times as fast as a sum in int64 or count_nonzero along an axis.
    return below.view(np.uint8).sum(axis=1, dtype=np.uint16 if below.shape[1] < 2**16 else np.int64)


def _similarity(queries: Any, candidates: Any) -> Any:
    """Scores (q, m) of NumPy arrays or tensors, larger is more alike."""
    if queries.ndim == 1:
        return -abs(queries[:, None] - candidates[None, :])
    return queries @ candidates.T


def _distinct(candidates: np.ndarray) -> _Distinct | None:
    """Which candidates are equal; None if all differ, or are scalars, whose distances always round the same."""
    if candidates.ndim == 1:
        return None
    # Adding zero makes -0 the same as 0. Digests in place of sorted rows spare a copy of the candidates.
    digests = b"".join(hashlib.blake2b(row + 0, digest_size=16).digest() for row in candidates)
    kinds = np.frombuffer(digests, dtype=np.dtype((np.void, 16)))
    _, first, copy_of, copies = np.unique(kinds, return_index=True, return_inverse=True, return_counts=True)
    return None if len(first) == len(candidates) else _Distinct(first, copy_of, copies)


def _placed(values: np.ndarray, device: Any) -> Any:
    """An array as it is, or as a tensor on the device."""
    if device is None:
        return values
    import torch

    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
