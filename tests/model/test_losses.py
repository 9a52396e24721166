"""The two losses, against loops written from their formulas."""

import math

import pytest
import torch

from cloome.model.losses import cloob, hopfield, info_nce

SAME = torch.tensor(
    [
        [1, 0, 1, 0, 0],
        [0, 1, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
    ],
    dtype=torch.bool,
)
ONLY_SELF = torch.eye(5, dtype=torch.bool)


@pytest.fixture
def pair():
    """Five image and five molecule embeddings of unit length, double precision."""
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    return unit(x).requires_grad_(), unit(y).requires_grad_()


def unit(vectors):
    return vectors / vectors.norm(dim=1, keepdim=True)


def naive_info_nce(x, y, inv_tau, same):
    total, n = 0.0, len(x)
    for a, b in ((x, y), (y, x)):
        for i in range(n):
            scores = [inv_tau * torch.dot(a[i], b[j]) for j in range(n)]
            log_sum = torch.log(sum(torch.exp(score) for score in scores))
            positives = [j for j in range(n) if same[i, j]]
            total = total - sum(scores[j] - log_sum for j in positives) / len(positives) / n
    return total / 2


def naive_retrieval(state, stored, scale):
    rows = []
    for i in range(len(state)):
        weights = [torch.exp(scale * torch.dot(state[i], stored[j])) for j in range(len(stored))]
        mean = sum(weight * stored[j] for j, weight in enumerate(weights)) / sum(weights)
        rows.append(mean / mean.norm())
    return rows


def naive_loob(a, b, inv_tau, same):
    total, n = 0.0, len(a)
    for i in range(n):
        scores = [inv_tau * torch.dot(a[i], b[j]) for j in range(n)]
        positives = [scores[j] for j in range(n) if same[i, j]]
        negatives = [scores[j] for j in range(n) if not same[i, j]]
        total = total - sum(positives) / len(positives) / n
        if negatives:
            total = total + torch.log(sum(torch.exp(score) for score in negatives)) / n
    return total / inv_tau


def naive_cloob(x, y, inv_tau, scale, same):
    p_xx, p_yy = naive_retrieval(x, x, scale), naive_retrieval(y, y, scale)
    p_xy, p_yx = naive_retrieval(y, x, scale), naive_retrieval(x, y, scale)
    return naive_loob(p_xx, p_xy, inv_tau, same) + naive_loob(p_yy, p_yx, inv_tau, same)


def gradients(loss, pair):
    return torch.autograd.grad(loss, pair)


@pytest.mark.parametrize("same", [None, SAME], ids=["upstream", "positives"])
@pytest.mark.parametrize("inv_tau", [1.0, 14.3])
def test_info_nce_and_its_gradient(pair, inv_tau, same):
    fast = info_nce(*pair, inv_tau, same=same)
    naive = naive_info_nce(*pair, inv_tau, ONLY_SELF if same is None else same)
    torch.testing.assert_close(fast, naive)
    torch.testing.assert_close(gradients(fast, pair), gradients(naive, pair))


@pytest.mark.parametrize("same", [None, SAME], ids=["upstream", "positives"])
@pytest.mark.parametrize(("inv_tau", "scale"), [(1.0, 1.0), (14.3, 14.3), (30.0, 8.0)])
def test_cloob_and_its_gradient(pair, inv_tau, scale, same):
    fast = cloob(*pair, inv_tau, scale, same=same)
    naive = naive_cloob(*pair, inv_tau, scale, ONLY_SELF if same is None else same)
    torch.testing.assert_close(fast, naive)
    torch.testing.assert_close(gradients(fast, pair), gradients(naive, pair))


@pytest.mark.parametrize("loss", [info_nce, lambda x, y, tau, same=None: cloob(x, y, tau, 8.0, same=same)])
def test_pairs_of_one_molecule_are_negatives_unless_told(pair, loss):
    torch.testing.assert_close(loss(*pair, 10.0), loss(*pair, 10.0, same=ONLY_SELF))
    assert not torch.isclose(loss(*pair, 10.0), loss(*pair, 10.0, same=SAME))


def test_info_nce_of_indistinguishable_pairs_is_the_logarithm_of_their_number():
    vectors = torch.ones(8, 1)
    assert info_nce(vectors, vectors, 14.3).item() == pytest.approx(math.log(8), rel=1e-6)


def test_cloob_of_indistinguishable_pairs():
    # Each side: (-inv_tau + inv_tau + ln 7) / inv_tau; the sides are summed.
    vectors = torch.ones(8, 1)
    assert cloob(vectors, vectors, 14.3, 14.3).item() == pytest.approx(2 * math.log(7) / 14.3, rel=1e-5)


def test_a_batch_of_one_molecule_has_no_negatives(pair):
    everything = torch.ones(5, 5, dtype=torch.bool)
    loss = cloob(*pair, 14.3, 8.0, same=everything)
    torch.testing.assert_close(loss, naive_cloob(*pair, 14.3, 8.0, everything))
    assert all(torch.isfinite(gradient).all() for gradient in gradients(loss, pair))


def test_aligned_pairs_have_the_lowest_loss():
    vectors = torch.eye(6)
    for loss in (info_nce, lambda x, y, inv_tau: cloob(x, y, inv_tau, 14.3)):
        assert loss(vectors, vectors, 14.3) < loss(vectors, vectors.roll(1, dims=0), 14.3)


def test_a_learned_temperature_gets_a_gradient(pair):
    inv_tau = torch.tensor(14.3, dtype=torch.float64, requires_grad=True)
    for loss in (info_nce(*pair, inv_tau), cloob(*pair, inv_tau, 8.0)):
        (gradient,) = torch.autograd.grad(loss, inv_tau)
        assert gradient != 0


def test_the_highest_temperature_stays_finite():
    x = unit(torch.randn(16, 4))
    for loss in (info_nce(x, -x, 100.0), cloob(x, -x, 100.0, 100.0)):
        assert torch.isfinite(loss)


def test_retrieval_at_high_scale_returns_the_nearest_stored_pattern():
    stored = unit(torch.randn(6, 3, dtype=torch.float64))
    torch.testing.assert_close(hopfield(stored, stored, 1e4), stored)
