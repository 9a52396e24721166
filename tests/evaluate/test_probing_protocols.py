"""The solver beside scikit-learn, the sound protocol, the comparison of features, and the real labels."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, matthews_corrcoef

from cloome.data.labels import read_labels
from cloome.errors import FormatError
from cloome.evaluate.comparison import COMPARISON_COLUMNS, comparison_table
from cloome.evaluate.logistic import logistic_path, scores
from cloome.evaluate.probing import METRICS, WHOLE_GRID, probe
from cloome.molecules.fingerprints import morgan

PART = np.repeat(["train", "validation", "test"], [60, 30, 30])


def rows(kind):
    """Features and classes of one kind of problem."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(15 if kind == "fewer rows than columns" else 300, 20))
    active = features[:, 0] + rng.normal(size=len(features)) > 0
    if kind == "separable":
        active = features[:, 0] > 0
    if kind == "constant and doubled columns":
        features[:, 3], features[:, 4] = 7, features[:, 5]
    if kind == "doubled rows":
        features[150:], active[150:] = features[:150], ~active[:150]
    if kind == "far from zero, unequal scales":
        features = features * np.geomspace(0.01, 10, 20) + 100
    if kind == "one active":
        active = np.arange(300) == 5
    return features, active


@pytest.mark.parametrize(
    "kind",
    [
        "ordinary",
        "separable",
        "fewer rows than columns",
        "constant and doubled columns",
        "doubled rows",
        "far from zero, unequal scales",
        "one active",
    ],
)
def test_the_path_ends_at_scikit_learns_optimum_for_each_strength(kind):
    features, active = rows(kind)
    path = logistic_path(features, active, WHOLE_GRID)
    assert np.isfinite(path).all()
    for strength, weights in zip(WHOLE_GRID, path, strict=True):
        model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-10, max_iter=500)
        wanted = model.fit(features, active).decision_function(features)
        spread = wanted.std() + 1e-6
        np.testing.assert_allclose(scores(features, weights), wanted, atol=0.01 * spread, rtol=0.005)


def test_single_precision_is_as_good_where_rows_are_many():
    features, active = rows("ordinary")
    single = logistic_path(features.astype(np.float32), active, WHOLE_GRID)
    np.testing.assert_allclose(single, logistic_path(features, active, WHOLE_GRID), rtol=0.01, atol=1e-4)


def test_features_that_say_nothing_give_the_share_of_actives():
    active = np.arange(40) < 10
    weights = logistic_path(np.full((40, 3), 2.5), active, [1.0])[0]
    np.testing.assert_allclose(weights, [0, 0, 0, np.log(10 / 30)], atol=1e-9)


def planted(noise=1.0, size=120):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(size, 3))
    return features, np.where(features @ [1, -1, 2] + noise * rng.normal(size=size) > 0, 1, -1)[:, None]


def test_each_metric_is_that_of_the_model_fitted_to_training_and_validation():
    features, labels = planted()
    found = probe(features, labels, PART).iloc[0]
    test, active = PART == "test", labels[:, 0] > 0
    model = LogisticRegression(C=found["C"], tol=1e-9, max_iter=3000).fit(features[~test], active[~test])
    predicted, truth = model.predict(features[test]), active[test]
    wanted = [f(truth, predicted) for f in (f1_score, matthews_corrcoef, accuracy_score)]
    wanted.append(average_precision_score(truth, model.decision_function(features[test])))
    np.testing.assert_allclose(found[METRICS[1:]].astype(float), wanted, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_no_number_is_refused(value):
    features, labels = planted()
    features[7, 1] = value
    with pytest.raises(FormatError, match="not finite"):
        probe(features, labels, PART)


def test_lengths_that_disagree_are_refused():
    features, labels = planted()
    with pytest.raises(FormatError, match="119 parts"):
        probe(features, labels, PART[1:])


@pytest.mark.parametrize("protocol", ["upstream", "sound"])
def test_one_class_no_label_and_a_single_row_are_missing(protocol):
    features, _ = planted()
    one_class, none, single = np.ones(120), np.zeros(120), np.zeros(120)
    single[0] = 1
    found = probe(features, np.stack([one_class, none, single], axis=1), PART, 1, protocol)
    assert found[METRICS].isna().all(axis=None)
    assert found["note"].str.startswith("not fitted").all()


def test_the_sound_protocol_does_not_depend_on_the_scale_of_a_feature():
    features, labels = planted()
    found = probe(features, labels, PART, protocol="sound")
    scaled = probe(features * [1, 1e4, 1e-3], labels, PART, protocol="sound")
    np.testing.assert_allclose(found[METRICS], scaled[METRICS], atol=0.01)
    assert found["C"][0] in WHOLE_GRID


def test_folds_that_share_no_molecule_do_not_reward_recognising_molecules():
    rng = np.random.default_rng(0)
    molecule = np.repeat(np.arange(60), 10)
    features = rng.normal(size=(60, 40))[molecule] + 0.01 * rng.normal(size=(600, 40))
    labels = rng.choice([-1, 1], 60)[molecule][:, None]
    part = np.repeat(["train", "validation", "test"], [360, 120, 120])
    disjoint = probe(features, labels, part, protocol="sound", molecule=molecule)["val_auc"][0]
    mixed = probe(features, labels, part, protocol="sound")["val_auc"][0]
    assert mixed > 0.95
    assert disjoint < 0.8


def test_the_sound_protocol_refuses_a_molecule_in_two_parts():
    features, labels = planted()
    with pytest.raises(FormatError, match="two parts"):
        probe(features, labels, PART, protocol="sound", molecule=np.zeros(120))


def table(features, aucs, labels="true"):
    return pd.DataFrame(
        {"features": features, "labels": labels, "protocol": "upstream", "level": "image", "task": range(len(aucs))}
        | dict.fromkeys(METRICS, aucs)
    )


def test_the_comparison_counts_tasks_and_pairs_them_with_the_model():
    ours, other = [0.95, 0.85, 0.75, np.nan, 0.6], [0.9, 0.8, 0.8, 0.7, np.nan]
    found = comparison_table(pd.concat([table("cloome", ours), table("intensity", other)]))
    assert list(found.columns) == COMPARISON_COLUMNS
    first, second = found.iloc[0], found.iloc[1]
    assert (first["tasks"], first["tasks_judged"]) == (5, 4)
    assert first[["auc_above_0.7", "auc_above_0.8", "auc_above_0.9"]].tolist() == [3, 2, 1]
    assert first["mean_test_auc"] == pytest.approx(np.nanmean(ours))
    assert first["median_test_f1"] == pytest.approx(np.nanmedian(ours))
    assert pd.isna(first["tasks_paired"])
    assert (second["tasks_paired"], second["tasks_won"], second["tasks_lost"]) == (3, 1, 2)
    assert second["auc_difference"] == pytest.approx(-0.05 / 3)
    wanted = scipy.stats.wilcoxon(np.subtract(other, ours)[:3]).pvalue
    assert second["wilcoxon_p"] == pytest.approx(wanted)


def test_the_comparison_of_equal_or_absent_tasks_has_no_p_value():
    found = comparison_table(pd.concat([table("cloome", [0.8]), table("same", [0.8]), table("none", [np.nan])]))
    assert found["wilcoxon_p"].isna().all()
    assert comparison_table(table("cloome", [])).empty


def test_real_labels_and_fingerprints_give_the_known_aucs(real_data):
    folder = real_data / "bray" / "labels"
    labels, structures = read_labels(folder), pd.read_csv(folder / "row-smiles.csv")
    row = pd.Index(labels.inchikey).get_indexer(structures["INCHIKEY"])
    count = len(structures)
    order = np.random.default_rng(0).permutation(count)
    part = np.full(count, "test", dtype="<U10")
    part[order[: int(0.8 * count)]] = "validation"
    part[order[: int(0.7 * count)]] = "train"
    found = probe(morgan(structures["SMILES"].tolist()), labels.matrix[row], part, minimum_labels=1)
    whole = found[found["note"] == ""]["test_auc"]
    assert len(whole) == 141
    assert whole.mean() == pytest.approx(0.7650, abs=0.003)
    assert whole.median() == pytest.approx(0.8542, abs=0.003)
