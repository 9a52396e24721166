"""Intervals and chance: the published ones, and ones that know about clusters."""

import itertools

import numpy as np
import pytest
import scipy.stats

from cloome.errors import FormatError
from cloome.evaluate import statistics
from cloome.evaluate.statistics import chance_of_hit, clustered_intervals, exact_interval, median_interval


@pytest.mark.parametrize(
    ("hits", "n", "percent", "digits"),
    [
        (158, 43_778, (0.307, 0.422), 3),
        (1173, 43_778, (2.53, 2.84), 2),
        (146, 28_248, (0.437, 0.608), 3),
        (1147, 8826, (12.3, 13.7), 1),
        (96, 8826, (0.882, 1.33), 2),
        (184, 4056, (3.92, 5.22), 2),
        (64, 2115, (2.34, 3.85), 2),
        (70, 2115, (2.59, 4.16), 2),
        (140, 2115, (5.60, 7.76), 2),
        (132, 2115, (5.25, 7.36), 2),
        (178, 2115, (7.27, 9.68), 2),
        (167, 2115, (6.78, 9.13), 2),
        (216, 2115, (8.95, 11.58), 2),
        (454, 2115, (19.73, 23.28), 2),
        (645, 2115, (28.54, 32.51), 2),
        (220, 2115, (9.13, 11.78), 2),
        (446, 2115, (19.37, 22.89), 2),
        (622, 2115, (27.47, 31.40), 2),
    ],
)
def test_exact_interval_is_the_published_one(hits, n, percent, digits):
    found = np.array(exact_interval(hits, n, 0.95)) * 100
    np.testing.assert_allclose(found, percent, atol=0.51 * 10**-digits)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (3, 20), (64, 2115)])
def test_exact_interval_has_the_tails_that_define_it(hits, n):
    low, high = exact_interval(hits, n, 0.9)
    # At its ends, what was seen or more, and what was seen or less, have a chance of 5 %.
    assert scipy.stats.binom.sf(hits - 1, n, low) == pytest.approx(0.05) if hits > 0 else low == 0
    assert scipy.stats.binom.cdf(hits, n, high) == pytest.approx(0.05) if hits < n else high == 1


def clustered(hits, cluster, seed=0, resamples=400):
    return clustered_intervals(hits, cluster, 0.95, resamples, np.random.default_rng(seed))


def test_clustered_interval_is_wider_where_images_of_a_molecule_agree():
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(100), 20)
    alike = (rng.random(100) < 0.3)[of][:, None]
    low, high = clustered(alike, of)
    exact_low, exact_high = exact_interval(alike.sum(), len(alike), 0.95)
    assert high[0] - low[0] > 3 * (exact_high - exact_low)


@pytest.mark.parametrize("clusters", [1, 2, 7])
@pytest.mark.parametrize("held", [1, 20, 2**22])
def test_clustered_interval_equals_the_plain_bootstrap_of_clusters(monkeypatch, clusters, held):
    monkeypatch.setattr(statistics, "HELD", held)
    rng = np.random.default_rng(1)
    of = rng.integers(clusters, size=60)
    hits = rng.random((60, 2)) < [0.2, 0.6]
    low, high = clustered(hits, of)
    draws, rates = np.random.default_rng(0), []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(of == m) for m in draws.integers(clusters, size=clusters)])
        rates.append(hits[rows].mean(axis=0))
    np.testing.assert_allclose([low, high], np.quantile(rates, [0.025, 0.975], axis=0))


def test_clustered_interval_of_one_query_is_its_outcome():
    low, high = clustered(np.array([[True, False]]), np.array(["a molecule"]))
    np.testing.assert_array_equal([low, high], [[1, 0], [1, 0]])


@pytest.mark.parametrize(("pool", "right", "k"), [(6, 1, 1), (6, 1, 5), (6, 2, 2), (6, 3, 4), (4, 1, 10), (5, 5, 1)])
def test_chance_of_hit_equals_the_count_of_all_orders(pool, right, k):
    orders = list(itertools.permutations(range(pool)))
    hits = sum(any(candidate < right for candidate in order[:k]) for order in orders)
    assert chance_of_hit(pool, right, k) == pytest.approx(hits / len(orders))


def test_chance_is_the_mean_over_queries():
    assert chance_of_hit(np.array([4, 10]), np.array([1, 5]), 1) == pytest.approx((0.25 + 0.5) / 2)


def test_the_interval_of_a_median_has_the_ends_that_the_binomial_allows():
    ranks = np.arange(1, 101)
    low, high = median_interval(ranks, 0.95)
    # Of 100 independent ranks, 40 to 60 lie below the median in 96.5 % of all cases, 41 to 59 in 94.3 %.
    assert (low, high) == (40, 61)
    assert scipy.stats.binom.cdf(60, 100, 0.5) - scipy.stats.binom.cdf(39, 100, 0.5) > 0.95


def test_the_interval_of_a_median_holds_it_where_ranks_are_equal():
    low, high = median_interval(np.repeat([1, 2, 9], [30, 40, 30]), 0.95)
    assert (low, high) == (2, 2)


def test_five_ranks_are_too_few_for_an_interval_of_their_median():
    assert np.isnan(median_interval(np.arange(1, 6), 0.95)).all()


def test_clustered_intervals_of_ranks_are_those_of_their_mean():
    rng = np.random.default_rng(3)
    ranks = rng.integers(1, 100, 400)
    low, high = clustered_intervals(ranks[:, None], np.arange(400), 0.95, 2000, np.random.default_rng(0))
    half = 1.96 * ranks.std() / np.sqrt(400)
    np.testing.assert_allclose([low[0], high[0]], ranks.mean() + np.array([-half, half]), rtol=0.02)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_measures_that_are_not_finite_are_refused(bad):
    values = np.ones((6, 2))
    values[3, 1] = bad
    with pytest.raises(FormatError, match="1 of 12 measures"):
        clustered_intervals(values, np.arange(6), 0.95, 10, np.random.default_rng(0))
    with pytest.raises(FormatError, match="1 of 6 measures"):
        median_interval(values[:, 1], 0.95)
