"""Ranks: equal to the full matrix, pessimistic about ties, linear in memory."""

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from cloome.errors import FormatError
from cloome.evaluate import ranking
from cloome.evaluate.ranking import ranks_of_any, score_blocks
from cloome.evaluate.retrieval import ranks
from cloome.evaluate.statistics import chance_of_hit


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


@pytest.mark.parametrize("tile", [(1, 1), (7, 3), (70, 40), (2048, 1024)])
def test_ranks_equal_the_full_matrix_with_ties(monkeypatch, tile):
    monkeypatch.setattr(ranking, "TILE", tile)
    rng = np.random.default_rng(0)
    queries, candidates = integer_features(rng, 70, 40)
    positive = rng.integers(40, size=70)
    right = np.arange(40) == positive[:, None]
    expected = naive(queries @ candidates.T, right, np.ones_like(right))
    found = ranks(queries, candidates, positive)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int64


@pytest.mark.parametrize("copies", [1, 3])
def test_a_tensor_library_ranks_as_numpy_does(monkeypatch, copies):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(ranking, "TILE_ON_GPU", (32, 16))
    monkeypatch.setattr(ranking, "WORTH_A_GPU", 0)
    monkeypatch.setattr(ranking, "gpu", lambda: torch.device("cpu"))
    rng = np.random.default_rng(3)
    queries, candidates = integer_features(rng, 200, 50)
    candidates = np.repeat(candidates, copies, axis=0)
    positive = rng.integers(len(candidates), size=200)
    right = np.arange(len(candidates)) == positive[:, None]
    expected = naive(queries @ candidates.T, right, np.ones_like(right))
    np.testing.assert_array_equal(ranks(queries, candidates, positive), expected)
    expected = naive(-np.abs(queries[:, :1] - candidates[:, 0]), right, np.ones_like(right))
    np.testing.assert_array_equal(ranks(queries[:, 0], candidates[:, 0], positive), expected)


def test_ranks_are_those_of_scipy_and_scikit_learn():
    rng = np.random.default_rng(4)
    queries, candidates = integer_features(rng, 90, 60)
    positive = rng.integers(60, size=90)
    scores = queries @ candidates.T
    found = ranks(queries, candidates, positive)
    by_scipy = scipy.stats.rankdata(-scores, method="max", axis=1)
    np.testing.assert_array_equal(found, by_scipy[np.arange(90), positive])
    # Coverage error: how far down the list one goes for the right one, ties included.
    assert found.mean() == pytest.approx(sklearn.metrics.coverage_error(np.eye(60)[positive], scores))


def test_hit_rates_without_ties_are_those_of_scikit_learn():
    rng = np.random.default_rng(5)
    queries, candidates = (rng.normal(size=(n, 8)).astype(np.float32) for n in (300, 40))
    positive = rng.integers(40, size=300)
    found, scores = ranks(queries, candidates, positive), queries @ candidates.T
    for k in (1, 5, 10):
        by_sklearn = sklearn.metrics.top_k_accuracy_score(positive, scores, k=k, labels=np.arange(40))
        assert np.mean(found <= k) == pytest.approx(by_sklearn)


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


def test_double_precision_is_kept_where_one_side_has_it():
    candidates = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    queries = np.array([[1 + 1e-12], [-1 - 1e-12]])
    np.testing.assert_array_equal(ranks(queries, candidates, np.array([1, 1])), [2, 2])
    close = np.array([1.0, 1 + 1e-12])
    np.testing.assert_array_equal(ranks(np.ones(2, dtype=np.float32), close, np.array([0, 1])), [1, 2])


def test_zero_and_minus_zero_are_the_same():
    candidates = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, -1.0]], dtype=np.float32)
    np.testing.assert_array_equal(ranks(candidates[[0, 0]], candidates, np.array([0, 1])), [2, 2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scalars", [False, True])
def test_numbers_that_are_not_finite_are_refused_with_their_rows(monkeypatch, bad, scalars):
    monkeypatch.setattr(ranking, "BLOCK", 8)
    good, spoiled = np.eye(9, 4, dtype=np.float32), np.eye(9, 4, dtype=np.float32)
    spoiled[[2, 7], 0] = bad
    if scalars:
        good, spoiled = good[:, 0], spoiled[:, 0]
    right = np.eye(9, dtype=bool)
    with pytest.raises(FormatError, match=r"2 of 9 candidates .* \(rows 2, 7\); leave these rows out"):
        ranks(good, spoiled, np.arange(9))
    with pytest.raises(FormatError, match=r"2 of 9 queries .* \(rows 2, 7\)"):
        ranks_of_any(spoiled, good, lambda rows: (right[rows], np.ones_like(right[rows])))


def test_only_the_first_refused_rows_are_named():
    values = np.full((12, 2), np.nan, dtype=np.float32)
    with pytest.raises(FormatError, match=r"12 of 12 queries .* \(rows 0, 1, 2, 3, 4, \.\.\.\)"):
        ranks(values, np.ones((1, 2), dtype=np.float32), np.zeros(12, dtype=int))


def test_a_single_candidate_has_rank_1():
    one = np.ones((1, 3), dtype=np.float32)
    np.testing.assert_array_equal(ranks(-one, one, np.zeros(1, dtype=int)), [1])
    np.testing.assert_array_equal(ranks(-one[0, :1], one[0, :1], np.zeros(1, dtype=int)), [1])
    np.testing.assert_array_equal(ranks_of_any(-one, one, lambda rows: (np.ones((1, 1), bool),) * 2), [1])


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


def test_without_a_right_candidate_all_others_lie_before():
    rng = np.random.default_rng(2)
    queries, candidates = integer_features(rng, 5, 12)
    nothing, everything = np.zeros((5, 12), dtype=bool), np.ones((5, 12), dtype=bool)
    np.testing.assert_array_equal(
        ranks_of_any(queries, candidates, lambda rows: (nothing[rows], everything[rows])), np.full(5, 13)
    )
    np.testing.assert_array_equal(
        ranks_of_any(queries, candidates, lambda rows: (nothing[rows], nothing[rows])), np.ones(5)
    )
    np.testing.assert_array_equal(
        ranks_of_any(queries, candidates, lambda rows: (everything[rows], everything[rows])), np.ones(5)
    )


def test_equal_scores_come_in_any_order_where_that_is_asked_for():
    # Three right ones and seven wrong ones, all alike: the first right one falls as in a random order.
    same = np.ones((20_000, 1), dtype=np.float32)
    right = np.arange(10) < 3

    def masks(rows):
        shape = (len(same[rows]), 10)
        return np.broadcast_to(right, shape), np.ones(shape, dtype=bool)

    found = ranks_of_any(same, same[:10], masks, np.random.default_rng(0))
    expected = [math.comb(10 - place, 2) / math.comb(10, 3) for place in range(1, 9)]
    observed = np.bincount(found, minlength=9)[1:]
    assert scipy.stats.chisquare(observed, np.array(expected) * len(found)).pvalue > 0.001
    assert np.mean(found <= 5) == pytest.approx(chance_of_hit(10, 3, 5), abs=0.01)


def test_the_order_of_equals_leaves_all_others_in_their_places():
    rng = np.random.default_rng(6)
    queries, candidates = integer_features(rng, 300, 30)
    right = np.arange(30) == rng.integers(30, size=300)[:, None]
    ranked = np.ones_like(right)
    found = ranks_of_any(queries, candidates, lambda rows: (right[rows], ranked[rows]), np.random.default_rng(0))
    scores = queries @ candidates.T
    best = scores[right][:, None]
    first, last = 1 + (scores > best).sum(axis=1), (scores >= best).sum(axis=1)
    assert np.all((first <= found) & (found <= last))
    assert (first < found).any()
    assert (found < last).any()


def test_scores_of_a_tensor_library_are_those_of_numpy(monkeypatch):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    queries, candidates = integer_features(rng, 50, 20)
    for values in ((queries, np.repeat(candidates, 2, axis=0)), (queries[:, 0], candidates[:, 0])):
        by_numpy = np.concatenate([scores for _, scores in score_blocks(*values)])
        with monkeypatch.context() as patched:
            patched.setattr(ranking, "WORTH_A_GPU", 0)
            patched.setattr(ranking, "gpu", lambda: torch.device("cpu"))
            np.testing.assert_array_equal(np.concatenate([scores for _, scores in score_blocks(*values)]), by_numpy)


@pytest.mark.parametrize("row", [-1, 3])
def test_a_right_candidate_that_is_none_of_them_is_refused(row):
    with pytest.raises(FormatError, match="none of the 3 rows"):
        ranks(np.eye(2, 3, dtype=np.float32), np.eye(3, dtype=np.float32), np.array([0, row]))


def test_queries_without_any_candidate_are_refused():
    with pytest.raises(FormatError, match="none of the 0 rows"):
        ranks(np.eye(2, 3, dtype=np.float32), np.empty((0, 3), dtype=np.float32), np.array([0, 0]))
