"""What an image is compared by: the trained embedding, and the hand-made baselines of the index.

A baseline that does as well as the model says that the model has learned no more than brightness or cell number;
many activity assays are predictable from the cell count alone (FACTS 3.2, Seal et al.).
"""

import logging

import numpy as np

from cloome.data.index import feature_columns
from cloome.data.plates import NOT_COUNTED
from cloome.evaluate.samples import TRAIN, Samples

log = logging.getLogger(__name__)

CLOOME, INTENSITY, CELL_COUNT, REPAIRED = "cloome", "intensity", "cell_count", "repaired"


def baselines(samples: Samples) -> dict[str, np.ndarray]:
    """Hand-made features of each image, standardised to the training images.

    Returns
    -------
    dict of str to ndarray
        ``intensity``: float32 (N, F), mean and standard deviation of each channel; ``cell_count``: float32 (N, 1).
        A baseline that the index does not hold is left out, with a line in the log.
    """
    measured = {INTENSITY: feature_columns(samples.table), CELL_COUNT: ["cell_count"]}
    if (samples.table["cell_count"] == NOT_COUNTED).any():
        log.info("no baseline %s: cells were not counted (images.nuclei is null)", CELL_COUNT)
        del measured[CELL_COUNT]
    train = samples.rows(TRAIN)
    return {
        name: _standardised(samples.table[columns].to_numpy(np.float64), train) for name, columns in measured.items()
    }


def comparable(samples: Samples) -> dict[str, np.ndarray]:
    """All image features in the form that `cloome.evaluate.ranking` compares.

    Returns
    -------
    dict of str to ndarray
        ``cloome``: float32 (N, D) and ``intensity``: float32 (N, F), unit length, compared by cosine;
        ``cell_count``: float32 (N,), compared by distance.
    """
    hand_made = baselines(samples)
    features = {CLOOME: samples.image, INTENSITY: unit_length(hand_made[INTENSITY])}
    if CELL_COUNT in hand_made:
        # A count has no direction: its unit length would be a mere sign.
        features[CELL_COUNT] = hand_made[CELL_COUNT][:, 0]
    return features


def unit_length(values: np.ndarray) -> np.ndarray:
    """Rows (N, D) divided by their length; a row of zeros stays as it is."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1)


def _standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    mean, std = values[train].mean(axis=0), values[train].std(axis=0)
    return ((values - mean) / np.where(std > 0, std, 1)).astype(np.float32)
