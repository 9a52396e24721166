"""How fast 209 assays are probed, beside one scikit-learn fit after another.

    python benchmarks/probing.py --labels ../shared/real/bray/labels

The labels are real, the features planted: an image is its molecule's factors plus noise, the factors follow in part
from the labels, and the directions have the falling spectrum of an embedding. scikit-learn fits a sample of tasks
(the middle ones of equal shares by size) in two ways: lbfgs with the tolerance as upstream's release 1.0 meant it (the
gradient of the sum of losses below 1e-4) and with today's default, which stops earlier. Its total over all tasks is
the mean time per task times their number.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from cloome.data.labels import read_labels
from cloome.evaluate.logistic_fits import ITERATIONS, TOLERANCE
from cloome.evaluate.probing import GRID, probe


def planted(labels: scipy.sparse.csr_matrix, images: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features float32 (images, columns), the molecule of each image, and its part."""
    rng = np.random.default_rng(0)
    molecules, assays = labels.shape
    known = np.sqrt(np.maximum(np.diff(labels.indptr), 1))[:, np.newaxis]
    factors = 0.15 * (labels @ rng.normal(size=(assays, columns))) / known + rng.normal(size=(molecules, columns))
    spectrum = np.arange(1, columns + 1) ** -0.5
    mixing = np.linalg.qr(rng.normal(size=(columns, columns)))[0] * spectrum[:, np.newaxis]
    mixing *= 10 / np.linalg.norm(spectrum)
    molecule = np.sort(rng.integers(0, molecules, images))
    features = np.empty((images, columns), np.float32)
    for rows in np.array_split(np.arange(images), max(images // 10_000, 1)):
        features[rows] = (factors[molecule[rows]] + rng.normal(size=(len(rows), columns))) @ mixing
    return features, molecule, rng.choice(["train", "validation", "test"], molecules, p=[0.7, 0.1, 0.2])[molecule]


def one_after_another(features: np.ndarray, labels: np.ndarray, part: np.ndarray, summed: bool) -> float:
    """Test AUC of one task by scikit-learn; NaN where a part lacks a class."""
    known = labels != 0
    rows = {name: np.flatnonzero(known & (part == name)) for name in ("train", "validation", "test")}
    active = labels > 0

    def fit(which: np.ndarray, strength: float) -> LogisticRegression:
        tolerance = TOLERANCE / len(which) if summed else TOLERANCE
        return LogisticRegression(C=strength, max_iter=ITERATIONS, tol=tolerance).fit(features[which], active[which])

    def auc(model: LogisticRegression, which: np.ndarray) -> float:
        return roc_auc_score(active[which], model.decision_function(features[which]))

    if any(len(np.unique(active[which])) < 2 for which in rows.values()):
        return np.nan
    best = int(np.argmax([auc(fit(rows["train"], strength), rows["validation"]) for strength in GRID]))
    return auc(fit(np.concatenate([rows["train"], rows["validation"]]), GRID[best]), rows["test"])


def main() -> None:
    """Probe all tasks at once and a sample one after another; print times, ratio and agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="folder with the activity labels")
    parser.add_argument("--images", type=int, default=280_000)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--sample", type=int, default=40, help="tasks that scikit-learn fits one after another")
    parser.add_argument("--only-sample", action="store_true", help="probe no other tasks at once either")
    parser.add_argument("--device", help="where PyTorch fits, such as cuda or cpu; default: a GPU if there is one")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    matrix = read_labels(arguments.labels).matrix
    features, molecule, part = planted(matrix, arguments.images, arguments.columns)
    by_size = np.argsort(np.diff(matrix.tocsc().indptr), kind="stable")
    sample = by_size[((np.arange(arguments.sample) + 0.5) / arguments.sample * len(by_size)).astype(int)]
    tasks = sample if arguments.only_sample else np.arange(matrix.shape[1])
    begin = time.perf_counter()
    found = probe(features, matrix[:, tasks][molecule], part, minimum_labels=1, device=arguments.device)
    found = found.set_index(tasks)["test_auc"]
    each = (time.perf_counter() - begin) / len(tasks)
    print(f"{arguments.images} x {arguments.columns}, {len(tasks)} tasks at once: {each:.2f} s per task", flush=True)
    columns = matrix.tocsc()
    for name, summed in {"tolerance of upstream": True, "default tolerance": False}.items():
        begin = time.perf_counter()
        aucs = [one_after_another(features, columns[:, [t]].toarray()[molecule, 0], part, summed) for t in sample]
        alone = (time.perf_counter() - begin) / len(sample)
        judged = np.isfinite(aucs)
        difference = found[sample].to_numpy()[judged] - np.array(aucs)[judged]
        print(
            f"scikit-learn, {name}, {len(sample)} tasks: {alone:.2f} s per task, all {matrix.shape[1]} would take "
            f"{alone * matrix.shape[1]:.0f} s; {alone / each:.1f} times"
        )
        print(
            f"    {judged.sum()} tasks judged: mean test AUC differs by {difference.mean():+.5f}, "
            f"{(np.abs(difference) <= 0.005).mean():.1%} within 0.005",
            flush=True,
        )


if __name__ == "__main__":
    main()
