"""Ranks of an image's class among classes that are each represented by the mean of their images.

An image is never part of a mean that it is compared with. It is taken out of the sums of its own classes, so that
no mean is computed twice.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse

from cloome.evaluate.ranking import blocks, ranks_of_best, refuse_what_is_not_finite

# Squared length below which a sum of unit vectors has no direction; rounding alone is far smaller.
NO_DIRECTION = 1e-12


def ranks_by_class_means(
    values: np.ndarray,
    member: scipy.sparse.csr_matrix,
    plate: np.ndarray | None = None,
    ties: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rank, for each image, the best of its classes among the other classes.

    Parameters
    ----------
    values : float32 (N, D) or (N,)
        Features: vectors of unit length are compared with a mean by cosine, scalars by distance.
    member : bool (N, C)
        Classes of each image.
    plate : int (N,), optional
        Plate of each image. If given, the means are over the images of all plates but the query's.
    ties : Generator, optional
        Orders equal scores at random. Default: wrong classes that score the same as the best right one count against.

    Returns
    -------
    int64 (N,), int64 (N,), int64 (N,)
        Rank, 1 is best; number of classes ranked; number of right ones among them. A class without an image besides
        those left out is not ranked. An image with 0 right classes is no query; its rank means nothing.

    Raises
    ------
    FormatError
        If an image's features hold NaN or infinity.
    """
    refuse_what_is_not_finite(values, values[:0])
    values = np.asarray(values, dtype=np.float64)
    member = scipy.sparse.csr_matrix(member, dtype=np.float64)
    found, pool, right = (np.zeros(len(values), dtype=np.int64) for _ in range(3))
    blocks_of_scores = _leave_one_out(values, member) if plate is None else _leave_plate_out(values, member, plate)
    for rows, scores, ranked in blocks_of_scores:
        hit = ranked & (member[rows].toarray() > 0)
        # In single precision, equal means tie although their sums were rounded in different orders.
        found[rows] = ranks_of_best(scores.astype(np.float32), hit, ranked, ties)
        pool[rows], right[rows] = ranked.sum(axis=1), hit.sum(axis=1)
    return found, pool, right


_Scores = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]  # rows; scores and which classes are ranked, (rows, C)


def _leave_one_out(values: np.ndarray, member: scipy.sparse.csr_matrix) -> _Scores:
    count, summed = np.asarray(member.sum(axis=0))[0], member.T @ values
    for block in blocks(*member.shape):
        query, own = values[block], member[block].toarray()
        left = count - own
        if values.ndim == 1:
            mean = (summed - own * query[:, None]) / np.maximum(left, 1)
            scores = -np.abs(query[:, None] - mean)
        else:
            # |s - q|^2 = |s|^2 - 2 qs + |q|^2 spares one vector for each pair of query and class.
            product, square = query @ summed.T, (query**2).sum(axis=1, keepdims=True)
            length = (summed**2).sum(axis=1) - own * (2 * product - square)
            scores = (product - own * square) / np.sqrt(np.maximum(length, NO_DIRECTION))
        yield np.arange(len(values))[block], scores, left > 0


def _leave_plate_out(values: np.ndarray, member: scipy.sparse.csr_matrix, plate: np.ndarray) -> _Scores:
    count, summed = np.asarray(member.sum(axis=0))[0], member.T @ values
    for name in np.unique(plate):
        rows = np.flatnonzero(plate == name)
        left = count - np.asarray(member[rows].sum(axis=0))[0]
        kept = summed - member[rows].T @ values[rows]
        for block in blocks(len(rows), len(count)):
            query = values[rows[block]]
            if values.ndim == 1:
                scores = -np.abs(query[:, None] - kept / np.maximum(left, 1))
            else:
                length = np.sqrt(np.maximum((kept**2).sum(axis=1), NO_DIRECTION))
                scores = query @ (kept / length[:, None]).T
            yield rows[block], scores, np.broadcast_to(left > 0, scores.shape)
