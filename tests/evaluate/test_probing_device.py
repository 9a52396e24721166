"""Fits in batches by PyTorch beside the fits one by one."""

import numpy as np
import pytest

from cloome.evaluate import logistic_torch
from cloome.evaluate.logistic import Problem, logistic_path, scores
from cloome.evaluate.logistic_fits import fit_paths
from cloome.evaluate.probing import METRICS, WHOLE_GRID, probe

PART = np.repeat(["train", "validation", "test"], [300, 150, 150])


def planted(columns=8):
    """Features of unequal scales far from zero, and tasks: even, few actives, few labels, one class, no label."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, columns))
    activity = features[:, 0] - features[:, 1] + rng.normal(size=600)
    labels = np.where(activity[:, None] > [0, 1.8, 0, -99, 0], 1, -1)
    labels[rng.random(labels.shape) < [0.1, 0.3, 0.8, 0.5, 1]] = 0
    return features * np.geomspace(0.1, 3, columns) + 5, labels


def problems(labels, start=None):
    known = [np.flatnonzero(column) for column in labels.T[:3]]
    return [
        Problem(rows, column[rows] > 0, WHOLE_GRID, start) for rows, column in zip(known, labels.T[:3], strict=True)
    ]


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("batch", [logistic_torch.BATCH, 1])
def test_a_batch_of_problems_ends_where_each_alone_does(monkeypatch, standardise, batch):
    monkeypatch.setattr(logistic_torch, "BATCH", batch)
    features, labels = planted()
    made = problems(labels, start=np.full(9, 0.1))
    found = fit_paths(features, made, standardise, early=False, device="cpu")
    for problem, path in zip(made, found, strict=True):
        alone = logistic_path(
            features[problem.samples], problem.active, WHOLE_GRID, problem.start, standardise=standardise
        )
        for one, other in zip(path, alone, strict=True):
            wanted = scores(features, other)
            np.testing.assert_allclose(scores(features, one), wanted, atol=0.01 * wanted.std() + 1e-4)


def test_a_column_that_does_not_vary_has_no_say_when_standardised():
    features, labels = planted()
    features[:, 3] = 0.1
    for device in (None, "cpu"):
        for path in fit_paths(features, problems(labels), True, early=False, device=device):
            assert np.abs(path[:, 3]).max() < 1e-6


@pytest.mark.parametrize("protocol", ["upstream", "sound"])
@pytest.mark.parametrize("columns", [8, 200])
def test_probing_finds_the_same_on_either_path(protocol, columns):
    features, labels = planted(columns)
    found, wanted = (probe(features, labels, PART, 5, protocol, device=device) for device in ("cpu", None))
    assert found["note"].equals(wanted["note"])
    assert found["test_auc"].isna().tolist() == [False, False, False, True, True]
    np.testing.assert_allclose(found["val_auc"], wanted["val_auc"], atol=0.001)
    np.testing.assert_allclose(found["test_auc"], wanted["test_auc"], atol=0.001)
    assert found[METRICS].isna().equals(wanted[METRICS].isna())
