"""Activity by the nearest structure, beside RDKit's similarities and a loop over molecules."""

import numpy as np
import pytest
import scipy.sparse
from rdkit import DataStructs
from sklearn.metrics import average_precision_score, roc_auc_score

from cloome.config import Evaluate
from cloome.data.labels import Labels
from cloome.evaluate.activity import activity_table
from cloome.evaluate.neighbours import nearest_structures

MOLECULES, SAMPLES, BITS, TASKS = 40, 150, 24, 3


def planted(seed):
    """Fingerprints of counts, some of them equal and one empty; several samples for most molecules."""
    rng = np.random.default_rng(seed)
    fingerprint = rng.integers(0, 3, (MOLECULES, BITS)).astype(np.uint8) * (rng.random((MOLECULES, BITS)) < 0.4)
    fingerprint[[3, 4]] = fingerprint[2]
    fingerprint[5] = 0
    of_molecule = rng.choice([-1, 0, 1], (MOLECULES, TASKS), p=[0.4, 0.3, 0.3])
    part_of_molecule = rng.choice(["train", "validation", "test", ""], MOLECULES, p=[0.5, 0.2, 0.25, 0.05])
    molecule = np.sort(rng.integers(0, MOLECULES, SAMPLES))
    return fingerprint, molecule, of_molecule[molecule], part_of_molecule[molecule]


def naive_scores(fingerprint, molecule, labels, part):
    """Score of each test sample, one similarity of RDKit at a time."""
    vectors = []
    for row in fingerprint:
        vector = DataStructs.ExplicitBitVect(len(row))
        vector.SetBitsFromList(np.flatnonzero(row).tolist())
        vectors.append(vector)

    def nearest(sample, wanted):
        known = [m for m, label, p in zip(molecule, labels, part, strict=True) if label == wanted and p in KNOWN]
        return max(similarity(vectors[molecule[sample]], vectors[other]) for other in known)

    tested = [s for s in range(len(molecule)) if labels[s] != 0 and part[s] == "test"]
    return np.array([nearest(s, 1) - nearest(s, -1) for s in tested]), labels[tested] > 0


def similarity(one, other):
    # Two structures without any bit are alike; RDKit calls them 0.
    return DataStructs.TanimotoSimilarity(one, other) if one.GetNumOnBits() + other.GetNumOnBits() else 1.0


KNOWN = ("train", "validation")


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_a_loop_over_molecules(seed):
    fingerprint, molecule, labels, part = planted(seed)
    found = nearest_structures(fingerprint, molecule, scipy.sparse.csr_matrix(labels), part, minimum_labels=1)
    for task, row in found.iterrows():
        scores, active = naive_scores(fingerprint, molecule, labels[:, task], part)
        assert row["test_auc"] == pytest.approx(roc_auc_score(active, scores))
        assert row["test_average_precision"] == pytest.approx(average_precision_score(active, scores))
        assert row["test_accuracy"] == pytest.approx(np.mean((scores > 0) == active))
        assert row["n_test"] == len(active)


@pytest.mark.parametrize(
    ("lacking", "note"), [("test", "test lacks a class"), ("known", "not fitted: fewer than 5 actives or inactives")]
)
def test_a_task_that_lacks_a_class_is_missing_and_not_one_half(lacking, note):
    fingerprint, molecule, labels, part = planted(0)
    rows = part == "test" if lacking == "test" else np.isin(part, KNOWN)
    labels[rows, 1] = np.abs(labels[rows, 1])
    found = nearest_structures(fingerprint, molecule, scipy.sparse.csr_matrix(labels), part)
    assert found["test_auc"].isna().tolist() == [False, True, False]
    assert note in found["note"][1]


def test_a_task_without_labels_is_missing():
    fingerprint, molecule, labels, part = planted(0)
    labels[:] = 0
    assert nearest_structures(fingerprint, molecule, scipy.sparse.csr_matrix(labels), part)["test_auc"].isna().all()


@pytest.mark.parametrize("level", ["image", "well", "molecule"])
def test_the_nearest_structure_stands_among_the_probed_features(screen, level):
    samples = screen().samples()
    matrix = scipy.sparse.csr_matrix(np.random.default_rng(0).choice([-1, 1], (len(samples.inchikey), 2)))
    labels = Labels(matrix, samples.inchikey, np.array(["1", "2"]))
    table = activity_table(samples, labels, Evaluate(probe_level=level)).set_index(["features", "labels"])
    nearest, model = table.loc[("nearest_structure", "true")], table.loc[("cloome", "true")]
    assert nearest[["n_train", "n_validation", "n_test"]].equals(
        model[["n_train", "n_validation", "n_test"]].set_axis(nearest.index)
    )
    assert nearest["C"].isna().all()


def test_known_test_molecules_have_no_nearest_structure_but_themselves(screen, caplog):
    caplog.set_level("INFO")
    made = screen()
    made.split = made.index[["plate", "well"]].drop_duplicates().assign(
        part=lambda wells: np.where(wells["plate"] == "P0", "train", "test")
    )  # fmt: skip
    samples = made.samples()
    matrix = scipy.sparse.csr_matrix(np.random.default_rng(0).choice([-1, 1], (len(samples.inchikey), 1)))
    table = activity_table(samples, Labels(matrix, samples.inchikey, np.array(["1"])), Evaluate())
    assert "nearest_structure" not in set(table["features"])
    assert "no nearest structures: test molecules are known" in caplog.text
