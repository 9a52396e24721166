"""The four losses, against loops written from their formulas."""

import math

import numpy as np
import pytest
import torch
from rdkit import DataStructs

from cloome.model.losses import cloob, cwcl, hopfield, info_nce, siglip, tanimoto


def mask(rows):
    return torch.tensor(rows, dtype=torch.bool)


# Molecules a, b, a, c, c: two of them have two images in the batch.
SAME = mask([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]])
ONLY_SELF = torch.eye(5, dtype=torch.bool)
NOTHING = torch.zeros(5, 5, dtype=torch.bool)
ONE_PAIR = mask([[0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
# What train.duplicates can ask for, and both masks at once.
MASKS = {
    "negatives": (None, None),
    "positives": (SAME, None),
    "masked": (None, SAME & ~ONLY_SELF),
    "both": (SAME, ONE_PAIR),
}
masks = pytest.mark.parametrize(("same", "ignored"), MASKS.values(), ids=MASKS)


@pytest.fixture
def pair():
    """Five image and five molecule embeddings of unit length, double precision."""
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    return unit(x).requires_grad_(), unit(y).requires_grad_()


@pytest.fixture
def similarity():
    """Weights of the pairs of five molecules, symmetric, 1 on the diagonal and for two images of one molecule."""
    weight = torch.rand(5, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return torch.where(SAME, 1.0, (weight + weight.T) / 2)


def unit(vectors):
    return vectors / vectors.norm(dim=1, keepdim=True)


def given(same, ignored):
    return ONLY_SELF if same is None else same, NOTHING if ignored is None else ignored


def naive_cross_entropies(x, y, inv_tau, weight, ignored):
    """Mean of both directions; the target of each row is its weights, scaled to a sum of 1."""
    total, n = 0.0, len(x)
    for a, b in ((x, y), (y, x)):
        for i in range(n):
            kept = [j for j in range(n) if not ignored[i, j]]
            scores = {j: inv_tau * torch.dot(a[i], b[j]) for j in kept}
            log_sum = torch.log(sum(torch.exp(score) for score in scores.values()))
            all_weights = sum(float(weight[i, j]) for j in kept)
            total = total - sum(float(weight[i, j]) * (scores[j] - log_sum) for j in kept) / all_weights / n
    return total / 2


def naive_siglip(x, y, inv_tau, bias, same, ignored):
    total, n = 0.0, len(x)
    for i in range(n):
        for j in range(n):
            if not ignored[i, j]:
                z = 1.0 if same[i, j] else -1.0
                total = total + torch.log(1 + torch.exp(-z * (inv_tau * torch.dot(x[i], y[j]) + bias)))
    return total / n


def naive_retrieval(state, stored, scale):
    rows = []
    for i in range(len(state)):
        weights = [torch.exp(scale * torch.dot(state[i], stored[j])) for j in range(len(stored))]
        mean = sum(weight * stored[j] for j, weight in enumerate(weights)) / sum(weights)
        rows.append(mean / mean.norm())
    return rows


def naive_loob(a, b, inv_tau, same, ignored):
    total, n = 0.0, len(a)
    for i in range(n):
        scores = [inv_tau * torch.dot(a[i], b[j]) for j in range(n)]
        positives = [scores[j] for j in range(n) if same[i, j]]
        negatives = [scores[j] for j in range(n) if not same[i, j] and not ignored[i, j]]
        total = total - sum(positives) / len(positives) / n
        if negatives:
            total = total + torch.log(sum(torch.exp(score) for score in negatives)) / n
    return total / inv_tau


def naive_cloob(x, y, inv_tau, scale, same, ignored):
    p_xx, p_yy = naive_retrieval(x, x, scale), naive_retrieval(y, y, scale)
    p_xy, p_yx = naive_retrieval(y, x, scale), naive_retrieval(x, y, scale)
    return naive_loob(p_xx, p_xy, inv_tau, same, ignored) + naive_loob(p_yy, p_yx, inv_tau, same, ignored)


def check(fast, naive, pair):
    """The same value and the same gradient."""
    torch.testing.assert_close(fast, naive)
    torch.testing.assert_close(torch.autograd.grad(fast, pair), torch.autograd.grad(naive, pair))


@masks
@pytest.mark.parametrize("inv_tau", [1.0, 14.3])
def test_info_nce_and_its_gradient(pair, inv_tau, same, ignored):
    fast = info_nce(*pair, inv_tau, same=same, ignored=ignored)
    same, ignored = given(same, ignored)
    check(fast, naive_cross_entropies(*pair, inv_tau, same, ignored), pair)


@masks
@pytest.mark.parametrize(("inv_tau", "scale"), [(1.0, 1.0), (14.3, 14.3), (30.0, 8.0)])
def test_cloob_and_its_gradient(pair, inv_tau, scale, same, ignored):
    fast = cloob(*pair, inv_tau, scale, same=same, ignored=ignored)
    check(fast, naive_cloob(*pair, inv_tau, scale, *given(same, ignored)), pair)


@masks
@pytest.mark.parametrize(("inv_tau", "bias"), [(1.0, 0.0), (14.3, -10.0)])
def test_siglip_and_its_gradient(pair, inv_tau, bias, same, ignored):
    fast = siglip(*pair, inv_tau, bias, same=same, ignored=ignored)
    check(fast, naive_siglip(*pair, inv_tau, bias, *given(same, ignored)), pair)


@pytest.mark.parametrize("ignored", [None, SAME & ~ONLY_SELF, ONE_PAIR])
@pytest.mark.parametrize("inv_tau", [1.0, 14.3])
def test_cwcl_and_its_gradient(pair, similarity, inv_tau, ignored):
    fast = cwcl(*pair, inv_tau, similarity, ignored=ignored)
    naive = naive_cross_entropies(*pair, inv_tau, similarity, NOTHING if ignored is None else ignored)
    check(fast, naive, pair)


@pytest.fixture(scope="module")
def reference_pair():
    """32 embeddings of each side from a fixed draw, float32."""
    random = np.random.default_rng(7)
    x = random.normal(size=(32, 64))
    y = 0.5 * x + random.normal(size=(32, 64))
    return [unit(torch.from_numpy(vectors.astype(np.float32))) for vectors in (x, y)]


@pytest.mark.parametrize(("inv_tau", "value"), [(14.3, 0.356593), (30.0, 0.191465), (100.0, 0.447986)])
def test_info_nce_has_the_values_of_upstream(reference_pair, inv_tau, value):
    assert info_nce(*reference_pair, inv_tau).item() == pytest.approx(value, abs=2e-5)


@pytest.mark.parametrize(
    ("inv_tau", "scale", "value"), [(14.3, 14.3, -1.056148), (30.0, 8.0, -0.941489), (100.0, 30.0, -1.293823)]
)
def test_cloob_has_the_values_of_upstream(reference_pair, inv_tau, scale, value):
    assert cloob(*reference_pair, inv_tau, scale).item() == pytest.approx(value, abs=2e-5)


MASKED_LOSSES = {
    "clip": info_nce,
    "cloob": lambda x, y, inv_tau, **masks: cloob(x, y, inv_tau, 8.0, **masks),
    "siglip": lambda x, y, inv_tau, **masks: siglip(x, y, inv_tau, -2.0, **masks),
}
LOSSES = {
    **MASKED_LOSSES,
    "cwcl": lambda x, y, inv_tau, **masks: cwcl(x, y, inv_tau, torch.eye(len(x), dtype=x.dtype), **masks),
}
masked_losses = pytest.mark.parametrize("loss", MASKED_LOSSES.values(), ids=MASKED_LOSSES)
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@masked_losses
def test_pairs_of_one_molecule_are_negatives_unless_told(pair, loss):
    torch.testing.assert_close(loss(*pair, 10.0), loss(*pair, 10.0, same=ONLY_SELF))
    assert not torch.isclose(loss(*pair, 10.0), loss(*pair, 10.0, same=SAME))


@masked_losses
def test_an_ignored_pair_is_neither_positive_nor_negative(pair, loss):
    masked = loss(*pair, 10.0, ignored=SAME & ~ONLY_SELF)
    assert not torch.isclose(masked, loss(*pair, 10.0))
    assert not torch.isclose(masked, loss(*pair, 10.0, same=SAME))


@losses
def test_no_ignored_pairs_are_the_same_as_no_mask(pair, loss):
    torch.testing.assert_close(loss(*pair, 10.0, ignored=NOTHING), loss(*pair, 10.0))


@losses
def test_where_all_other_pairs_are_ignored_embeddings_of_others_have_no_gradient(pair, loss):
    x, y = pair
    whole = loss(x, y, 10.0, ignored=~ONLY_SELF)
    if loss is not LOSSES["cloob"]:  # whose retrieval mixes the patterns of a batch
        alone = [loss(x[i : i + 1], y[i : i + 1], 10.0) for i in range(5)]
        torch.testing.assert_close(whole, sum(alone) / 5)
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(whole, pair))


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (info_nce, 0.0),
        (lambda x, y, t: cwcl(x, y, t, torch.ones(1, 1)), 0.0),
        (lambda x, y, t: cloob(x, y, t, 8.0), -2.0),
        (lambda x, y, t: siglip(x, y, t, -2.0), math.log(1 + math.exp(2.0 - 0.6 * 10.0))),
    ],
    ids=["clip", "cwcl", "cloob", "siglip"],
)
def test_a_batch_of_one_row_has_a_loss(loss, value):
    # In CLOOB each side compares the only pattern that can be retrieved with itself.
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    assert loss(x, y, 10.0).item() == pytest.approx(value, abs=1e-6)


def test_info_nce_of_indistinguishable_pairs_is_the_logarithm_of_their_number():
    vectors = torch.ones(8, 1)
    assert info_nce(vectors, vectors, 14.3).item() == pytest.approx(math.log(8), rel=1e-6)


def test_cloob_of_indistinguishable_pairs():
    # Each side: (-inv_tau + inv_tau + ln 7) / inv_tau; the sides are summed.
    vectors = torch.ones(8, 1)
    assert cloob(vectors, vectors, 14.3, 14.3).item() == pytest.approx(2 * math.log(7) / 14.3, rel=1e-5)


def test_siglip_of_a_new_model_is_about_as_low_as_random_embeddings_allow():
    # Zhai et al. 2023: with the bias -10 all pairs begin as negatives, so only the positives cost, about 10 each.
    x, y = unit(torch.randn(64, 256)), unit(torch.randn(64, 256))
    assert siglip(x, y, 10.0, -10.0).item() == pytest.approx(10, abs=0.5)


def test_cwcl_is_info_nce_where_the_weights_are_zero_and_one(pair):
    torch.testing.assert_close(cwcl(*pair, 14.3, ONLY_SELF.double()), info_nce(*pair, 14.3))
    torch.testing.assert_close(cwcl(*pair, 14.3, SAME.double()), info_nce(*pair, 14.3, same=SAME))


def test_a_batch_of_one_molecule_has_no_negatives(pair):
    everything = torch.ones(5, 5, dtype=torch.bool)
    loss = cloob(*pair, 14.3, 8.0, same=everything)
    torch.testing.assert_close(loss, naive_cloob(*pair, 14.3, 8.0, everything, NOTHING))
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(loss, pair))


@losses
def test_aligned_pairs_have_the_lowest_loss(loss):
    vectors = torch.eye(6)
    assert loss(vectors, vectors, 14.3) < loss(vectors, vectors.roll(1, dims=0), 14.3)


@losses
def test_a_learned_temperature_gets_a_gradient(pair, loss):
    inv_tau = torch.tensor(14.3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(*pair, inv_tau), inv_tau)
    assert gradient != 0


def test_a_learned_bias_gets_a_gradient(pair):
    bias = torch.tensor(-10.0, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(siglip(*pair, 14.3, bias), bias)
    assert gradient != 0


@losses
def test_the_highest_temperature_stays_finite(loss):
    x = unit(torch.randn(16, 4))
    assert torch.isfinite(loss(x, -x, 100.0))


def test_cloob_stays_finite_at_the_highest_hopfield_scale():
    x = unit(torch.randn(16, 4))
    assert torch.isfinite(cloob(x, -x, 100.0, 100.0))


def test_retrieval_at_high_scale_returns_the_nearest_stored_pattern():
    stored = unit(torch.randn(6, 3, dtype=torch.float64))
    torch.testing.assert_close(hopfield(stored, stored, 1e4), stored)


def test_tanimoto_of_bits_is_that_of_rdkit():
    bits = np.random.default_rng(0).integers(0, 2, (7, 64))
    vectors = [DataStructs.CreateFromBitString("".join(map(str, row))) for row in bits]
    expected = [DataStructs.BulkTanimotoSimilarity(vector, vectors) for vector in vectors]
    torch.testing.assert_close(tanimoto(torch.from_numpy(bits).float()), torch.tensor(expected, dtype=torch.float32))


def test_tanimoto_of_counts_is_the_sum_of_minima_over_the_sum_of_maxima():
    counts = np.random.default_rng(1).integers(0, 256, (6, 40)).astype(np.float32)
    expected = [[np.minimum(a, b).sum() / np.maximum(a, b).sum() for b in counts] for a in counts]
    torch.testing.assert_close(tanimoto(torch.from_numpy(counts)), torch.tensor(expected, dtype=torch.float32))


def test_tanimoto_of_fingerprints_without_any_bit():
    # As in RDKit: nothing in common with others, and all with their like; the weight on the diagonal is never 0.
    fingerprints = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert tanimoto(fingerprints).tolist() == [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
