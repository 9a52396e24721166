"""Linear probing: the upstream protocol, its edge cases, and its controls."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from cloome.config import Evaluate
from cloome.data.labels import Labels, read_labels
from cloome.errors import FormatError
from cloome.evaluate.activity import TABLE_COLUMNS, activity_table
from cloome.evaluate.probing import COLUMNS, GRID, METRICS, TEST_LACKS_CLASS, judged_scores, probe

PART = np.repeat(["train", "validation", "test"], [60, 30, 30])


def planted(noise=0.2, seed=0):
    """Features, and one task that follows from them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(120, 3))
    activity = features @ [1, -1, 2] + noise * rng.normal(size=120)
    return features, np.where(activity > 0, 1, -1)[:, None]


def test_an_easy_task_is_learned():
    found = probe(*planted(), PART)
    assert list(found.columns) == COLUMNS
    row = found.iloc[0]
    assert row["test_auc"] > 0.95
    assert row["test_f1"] > 0.8
    assert row["test_mcc"] > 0.7
    assert (row["n_train"], row["n_validation"], row["n_test"]) == (60, 30, 30)
    assert row["note"] == ""


def test_the_protocol_is_upstreams():
    features, labels = planted(noise=2.0)
    found = probe(features, labels, PART).iloc[0]
    train, validation, test = (np.equal(PART, name) for name in ("train", "validation", "test"))
    active = labels[:, 0] > 0
    aucs = []
    for strength in GRID:
        model = LogisticRegression(C=strength, max_iter=3000).fit(features[train], active[train])
        aucs.append(roc_auc_score(active[validation], model.predict_proba(features[validation])[:, 1]))
    best = int(np.argmax(aucs))
    model = LogisticRegression(C=GRID[best], max_iter=3000).fit(features[~test], active[~test])
    assert found["C"] == GRID[best]
    assert found["val_auc"] == pytest.approx(max(aucs))
    assert found["test_auc"] == pytest.approx(roc_auc_score(active[test], model.decision_function(features[test])))


def test_the_grid_leaves_out_ten():
    assert len(GRID) == 12
    assert 10 not in GRID
    assert (min(GRID), max(GRID)) == (1e-6, 1e6)


def test_dense_and_sparse_labels_agree_and_zero_is_unknown():
    features, labels = planted()
    labels = np.hstack([labels, -labels])
    labels[::3] = 0
    dense = probe(features, labels, PART)
    sparse = scipy.sparse.csr_matrix(labels)
    explicit = scipy.sparse.coo_matrix((labels.ravel(), np.indices(labels.shape).reshape(2, -1)), labels.shape)
    assert dense["n_train"].tolist() == [40, 40]
    assert dense.equals(probe(features, sparse, PART))
    assert dense.equals(probe(features, explicit, PART))


def test_a_task_without_a_class_in_validation_takes_the_usual_strength():
    features, labels = planted()
    one_sided = labels[:, 0].copy()
    one_sided[(PART == "validation") & (one_sided > 0)] = 0
    found = probe(features, np.stack([one_sided, labels[:, 0], one_sided], axis=1), PART)
    assert found["C"][0] == 1  # none chosen before
    assert found["C"][2] == found["C"][1]
    assert found["val_auc"].isna().tolist() == [True, False, True]
    assert found["note"][2].startswith("validation lacks a class")
    assert found["test_auc"][2] > 0.95


def test_a_task_without_a_class_in_test_is_missing_and_the_note_says_what_upstream_writes():
    features, labels = planted()
    labels[PART == "test"] = 1
    row = probe(features, labels, PART).iloc[0]
    assert row[METRICS].isna().all()
    assert np.isfinite(row["C"])
    assert row["note"] == TEST_LACKS_CLASS
    assert "AUC 0.5" in row["note"]


@pytest.mark.parametrize("actives", [0, 4])
def test_a_task_with_too_few_labels_has_a_row_that_says_so(actives):
    features, labels = planted()
    positive = np.flatnonzero((labels[:, 0] > 0) & (PART == "train"))
    labels[positive[actives:]] = 0
    row = probe(features, labels, PART, minimum_labels=5).iloc[0]
    assert np.isnan(row["test_auc"])
    assert row["actives_train"] == actives
    assert "fewer than 5" in row["note"]


def with_labels(made, seed=0):
    """Two assays: one that follows from the molecule's embedding, one at random; six molecules are unknown."""
    rng = np.random.default_rng(seed)
    easy = np.where(made.embeddings.molecule[:, 0] > 0, 1, -1)
    matrix = np.stack([easy, rng.choice([-1, 1], len(easy))], axis=1).astype(np.int8)[6:]
    order = rng.permutation(len(matrix))
    keys = made.embeddings.inchikey[6:][order]
    return Labels(scipy.sparse.csr_matrix(matrix[order]), keys, np.array(["easy", "random"]))


def test_activity_table_has_true_and_shuffled_labels_and_baselines(screen):
    made = screen(noise=0.1)
    table = activity_table(made.samples(), with_labels(made), Evaluate())
    assert list(table.columns) == TABLE_COLUMNS
    kinds = table[["features", "labels"]].drop_duplicates().to_numpy().tolist()
    assert kinds[:4] == [["cloome", "true"], ["cloome", "shuffled"], ["intensity", "true"], ["cell_count", "true"]]
    easy = table[table["assay"] == "easy"].set_index(["features", "labels"])["test_auc"]
    assert easy["cloome", "true"] > 0.9
    assert easy["intensity", "true"] < 0.75
    assert (table["n_train"] == (24 - 6) * 6).all()  # the images of all labelled training molecules


def test_the_model_is_probed_by_its_features_before_their_length_was_made_one(screen):
    made = screen()
    active = np.arange(60) % 2 == 0
    shows = active[made.samples().molecule_of]
    made.embeddings.image[:] = np.eye(16)[0]
    made.embeddings.length[:] = np.where(shows, 2, 1)[made.index["sample_key"].argsort().argsort()]
    labels = Labels(scipy.sparse.csr_matrix(np.where(active, 1, -1)[:, None]), made.embeddings.inchikey, np.array([""]))
    table = activity_table(made.samples(), labels, Evaluate())
    assert table.set_index(["features", "labels"])["test_auc"]["cloome", "true"] == 1


def test_shuffled_labels_sit_at_half(screen):
    made = screen(noise=0.1)
    easy = np.where(made.embeddings.molecule[:, :8] > 0, 1, -1).astype(np.int8)
    labels = Labels(scipy.sparse.csr_matrix(easy), made.embeddings.inchikey, np.arange(8).astype(str))
    auc = activity_table(made.samples(), labels, Evaluate()).groupby(["features", "labels"])["test_auc"].mean()
    assert auc["cloome", "shuffled"] == pytest.approx(0.5, abs=0.12)
    assert auc["cloome", "true"] > 0.75


@pytest.mark.parametrize(("level", "samples_each"), [("image", 6), ("well", 2), ("molecule", 1)])
def test_a_sample_is_an_image_a_well_or_a_molecule(screen, level, samples_each):
    made = screen(noise=0.1)
    settings = Evaluate(probe_protocol="sound", probe_level=level)
    table = activity_table(made.samples(), with_labels(made), settings)
    assert (table["n_train"] == (24 - 6) * samples_each).all()
    assert table[["protocol", "level"]].drop_duplicates().to_numpy().tolist() == [["sound", level]]


def test_nothing_to_probe_gives_a_header_and_a_reason(screen, caplog):
    caplog.set_level("INFO")
    made = screen()
    samples, labels = made.samples(), with_labels(made)
    none = activity_table(samples, None, Evaluate())
    off = activity_table(samples, labels, Evaluate(probing=False))
    strangers = activity_table(samples, Labels(labels.matrix, labels.inchikey + "X", labels.assay), Evaluate())
    for table in (none, off, strangers):
        assert table.empty
        assert list(table.columns) == TABLE_COLUMNS
    assert "no labels are given" in caplog.text
    assert "evaluate.probing is false" in caplog.text
    assert "0 of 60 molecules have labels" in caplog.text


def test_a_molecule_with_two_rows_of_labels_is_refused(screen):
    made = screen()
    labels = with_labels(made)
    labels.inchikey[1] = labels.inchikey[0]
    with pytest.raises(FormatError, match="twice"):
        activity_table(made.samples(), labels, Evaluate())


def test_real_labels_and_random_features_sit_at_half(real_data):
    labels = read_labels(real_data / "bray" / "labels")
    rng = np.random.default_rng(0)
    largest = np.argsort(-np.diff(labels.matrix.tocsc().indptr), kind="stable")[:4]
    part = rng.choice(["train", "validation", "test"], p=[0.7, 0.1, 0.2], size=len(labels.inchikey))
    found = probe(rng.normal(size=(len(part), 8)), labels.matrix[:, largest], part, minimum_labels=5)
    assert found["note"].eq("").all()
    assert found["test_auc"].mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("bad", [np.nan, 2.0, -0.5])
def test_labels_other_than_active_and_inactive_are_refused(bad):
    labels = np.where(np.arange(len(PART)) % 2, 1.0, -1.0)[:, None]
    labels[5] = bad
    with pytest.raises(FormatError, match="some labels are none of 1"):
        probe(np.ones((len(PART), 2)), labels, PART)


@pytest.mark.parametrize("kind", ["ties", "all equal", "separated", "wrong way round"])
def test_metrics_are_those_of_counts_and_pairs(kind):
    rng = np.random.default_rng(0)
    active = rng.random(60) < 0.3
    score = {
        "ties": rng.integers(-2, 3, 60).astype(float),
        "all equal": np.full(60, 0.5),
        "separated": np.where(active, 1.0, -1.0),
        "wrong way round": np.where(active, -1.0, 1.0),
    }[kind]
    pairs = [(s > t) + (s == t) / 2 for s in score[active] for t in score[~active]]
    tp, fp = ((score > 0) & active).sum(), ((score > 0) & ~active).sum()
    fn, tn = (~(score > 0) & active).sum(), (~(score > 0) & ~active).sum()
    # Precision at each distinct score from the top, weighted by the recall that it adds.
    precision, recall = [], [0.0]
    for threshold in sorted(set(score), reverse=True):
        reached = score >= threshold
        precision.append(active[reached].mean())
        recall.append(active[reached].sum() / active.sum())
    product = float(tp + fp) * float(tp + fn) * float(tn + fp) * float(tn + fn)
    expected = {
        "test_auc": np.mean(pairs),
        "test_f1": 2 * tp / (2 * tp + fp + fn),
        "test_mcc": (tp * tn - fp * fn) / np.sqrt(product) if product else 0.0,
        "test_accuracy": (tp + tn) / 60,
        "test_average_precision": np.dot(np.diff(recall), precision),
    }
    assert judged_scores(active, score) == pytest.approx(expected)
