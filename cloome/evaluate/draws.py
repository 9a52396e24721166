"""Everything that is drawn: representative images, small pools, and the re-paired control."""

import zlib

import numpy as np


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator for one purpose, so that one draw more or less leaves all others as they are."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def one_of_each(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one row of each group.

    Parameters
    ----------
    group : int (N,)
        Group of each row, 0 to G - 1, each at least once.
    rng : Generator
        Source of chance.

    Returns
    -------
    int64 (G,)
        Row drawn for group 0, 1, ...
    """
    shuffled = rng.permutation(len(group))
    _, first = np.unique(group[shuffled], return_index=True)
    return shuffled[first]


def repaired(queries: int, candidates: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the "right" candidate of each query at random: int64 (queries,), the control that must sit at chance.

    Each query draws for itself, and may draw its true partner. A pairing that keeps none of the true ones would fall
    below chance for a good model, and one drawn per molecule would scatter with the molecules, not with the queries.
    """
    return rng.integers(candidates, size=queries)


def small_pool(candidates: int, positive: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `size` of the candidates without replacement: int64 (size,), the positive first."""
    negatives = rng.choice(candidates - 1, size - 1, replace=False)
    return np.concatenate([[positive], negatives + (negatives >= positive)])
