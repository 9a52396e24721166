"""The nearest neighbours by cosine similarity."""

import numpy as np


def nearest(queries: np.ndarray, candidates: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The candidates nearest to each query.

    Parameters
    ----------
    queries, candidates : float32 (Q, D) and (N, D), unit length
    top : int
        How many to find; fewer are found where there are fewer candidates.

    Returns
    -------
    order : int64 (Q, top)
        Row numbers of candidates, nearest first; of equals, the earlier row first.
    similarity : float32 (Q, top)
        Their cosine similarities, -1 to 1.
    """
    similarity = queries @ candidates.T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :top]
    return order, np.take_along_axis(similarity, order, axis=1)
