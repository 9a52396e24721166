"""Ranks: equal to the full matrix, pessimistic about ties, linear in memory."""

import numpy as np
import pytest

from cloome.evaluate import ranking
from cloome.evaluate.ranking import ranks_of_any
from cloome.evaluate.retrieval import ranks


def naive(scores, right, ranked):
    """Rank of the best right candidate, by one full sort per query; wrong ones come first in a tie."""
    found = []
    for row, is_right, is_ranked in zip(scores, right, ranked, strict=True):
        order = sorted(np.flatnonzero(is_ranked), key=lambda c: (-row[c], is_right[c]))
        wrong_before = 0
        for candidate in order:
            if is_right[candidate]:
                break
            wrong_before += 1
        found.append(wrong_before + 1)
    return np.array(found)


def integer_features(rng, queries, candidates):
    # Small integers make float32 products exact and ties frequent.
    return (rng.integers(-2, 3, (n, 4)).astype(np.float32) for n in (queries, candidates))


@pytest.mark.parametrize("block", [1, 100, 2**24])
def test_ranks_equal_the_full_matrix_with_ties(monkeypatch, block):
    monkeypatch.setattr(ranking, "BLOCK", block)
    rng = np.random.default_rng(0)
    queries, candidates = integer_features(rng, 70, 40)
    positive = rng.integers(40, size=70)
    right = np.arange(40) == positive[:, None]
    expected = naive(queries @ candidates.T, right, np.ones_like(right))
    found = ranks(queries, candidates, positive)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int64


def test_ranks_of_scalars_go_by_distance():
    rng = np.random.default_rng(0)
    queries, candidates = (rng.integers(0, 20, n).astype(np.float32) for n in (50, 30))
    positive = rng.integers(30, size=50)
    right = np.arange(30) == positive[:, None]
    expected = naive(-np.abs(queries[:, None] - candidates), right, np.ones_like(right))
    np.testing.assert_array_equal(ranks(queries, candidates, positive), expected)


def test_a_tie_counts_against_the_positive():
    same = np.ones((5, 3), dtype=np.float32)
    np.testing.assert_array_equal(ranks(same[:2], same, np.array([0, 3])), [5, 5])


def test_equal_candidates_tie_whatever_the_rounding():
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(33, 257)).astype(np.float32)
    candidates = np.repeat(rng.normal(size=(101, 257)).astype(np.float32), 3, axis=0)
    first, second, third = (ranks(queries, candidates, np.arange(33) * 3 + copy) for copy in range(3))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    assert (first % 3 == 0).all()  # always last of its three copies


def test_scores_that_are_no_numbers_count_against():
    candidates = np.eye(4, dtype=np.float32)
    candidates[3] = np.nan
    queries = np.eye(4, dtype=np.float32)[:2]
    np.testing.assert_array_equal(ranks(queries, candidates, np.array([0, 3])), [2, 4])


def test_no_queries_have_no_ranks():
    empty = np.empty((0, 3), dtype=np.float32)
    assert ranks(empty, np.ones((2, 3), dtype=np.float32), np.empty(0, dtype=int)).shape == (0,)


def test_best_of_several_right_candidates(monkeypatch):
    monkeypatch.setattr(ranking, "BLOCK", 100)
    rng = np.random.default_rng(1)
    queries, candidates = integer_features(rng, 60, 30)
    ranked = rng.random((60, 30)) < 0.7
    right = ranked & (rng.random((60, 30)) < 0.2)
    found = ranks_of_any(queries, candidates, lambda rows: (right[rows], ranked[rows]))
    np.testing.assert_array_equal(found, naive(queries @ candidates.T, right, ranked))
