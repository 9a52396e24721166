"""Probing of the activity labels: the trained embedding, the baselines, and labels shuffled among molecules."""

import logging
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.config import Evaluate
from cloome.data.labels import ROWS, Labels
from cloome.errors import FormatError
from cloome.evaluate.draws import stream
from cloome.evaluate.features import CLOOME, NEAREST_STRUCTURE, baselines, known
from cloome.evaluate.neighbours import nearest_structures
from cloome.evaluate.probing import COLUMNS, probe
from cloome.evaluate.samples import Samples
from cloome.evaluate.tables import DECIMALS

log = logging.getLogger(__name__)

TABLE_COLUMNS = ["features", "labels", "protocol", "level", "task", "assay", *COLUMNS[1:]]


def activity_table(samples: Samples, labels: Labels | None, settings: Evaluate) -> pd.DataFrame:
    """Probe every assay; one row per features, labels (true or shuffled) and task.

    ``nearest_structure`` is no probe, but the activity of the most similar known structure
    (`cloome.evaluate.neighbours`), judged on the same samples.

    As upstream (FACTS 4 row 25), the features ``cloome`` are those before normalisation. A sample is an image, or by
    ``evaluate.probe_level`` the mean over the images of a well or a molecule. An image without some features (such as
    a well without a profile) takes no part where these are probed.
    Unlike upstream (row 7), training images are embedded as validation and test images are, by their centre crop;
    upstream trains its probes on random crops of 90 to 100 % of the area, resized.

    ``shuffled`` permutes the rows of the label matrix among the labelled molecules of this screen; its AUC must sit
    at 0.5 where no molecule stands in two parts of the split.

    Returns
    -------
    DataFrame
        features, labels, protocol, level, task, assay, and the columns of `cloome.evaluate.probing.probe`; without
        rows, and with a line in the log, where there is nothing to probe.

    Raises
    ------
    FormatError
        If a molecule has two rows of labels.
    """
    if not settings.probing or labels is None:
        log.info("no probing: %s", "no labels are given" if settings.probing else "evaluate.probing is false")
        return pd.DataFrame(columns=TABLE_COLUMNS)
    if len(set(labels.inchikey)) < len(labels.inchikey):
        raise FormatError(f"{ROWS} names a molecule twice; merge its rows of the label matrix")
    label_row = pd.Index(labels.inchikey).get_indexer(pd.Index(samples.inchikey))
    labelled = np.flatnonzero(label_row >= 0)
    log.info("probing: %d of %d molecules have labels", len(labelled), len(label_row))
    if len(labelled) == 0:
        return pd.DataFrame(columns=TABLE_COLUMNS)
    images = np.flatnonzero(label_row[samples.molecule_of] >= 0)
    return pd.concat(_tables(samples, labels, label_row, images, settings), ignore_index=True)[TABLE_COLUMNS].round(
        DECIMALS
    )


def _tables(
    samples: Samples, labels: Labels, label_row: np.ndarray, images: np.ndarray, settings: Evaluate
) -> Iterator[pd.DataFrame]:
    shuffled = label_row.copy()
    labelled = label_row >= 0
    shuffled[labelled] = stream(settings.seed, "shuffled labels").permutation(label_row[labelled])
    features = samples.image * samples.length[:, np.newaxis]
    own = [(CLOOME, "true", features), (CLOOME, "shuffled", features)]
    # One by one: the baselines together may not fit in memory.
    others = ((name, "true", values) for name, values in baselines(samples).items())
    part = samples.table["part"].to_numpy()
    for name, kind, values in chain(own, others):
        rows = label_row if kind == "true" else shuffled
        used = images[known(values[images])]
        means, first = _means(samples, values, used, settings.probe_level)
        molecule = samples.molecule_of[first]
        matrix: scipy.sparse.csr_matrix = labels.matrix[rows[molecule]]
        table = probe(means, matrix, part[first], settings.minimum_labels, settings.probe_protocol, molecule)
        yield _named(table, name, kind, labels, settings)
    used = pd.DataFrame({"molecule": samples.molecule_of[images], "part": part[images]})
    if used[used["part"] != ""].drop_duplicates()["molecule"].duplicated().any():
        log.info("no nearest structures: test molecules are known, so that each is its own")
        return
    _, first = _means(samples, samples.length, images, settings.probe_level)
    molecule = samples.molecule_of[first]
    matrix = labels.matrix[label_row[molecule]]
    table = nearest_structures(samples.fingerprint, molecule, matrix, part[first], settings.minimum_labels)
    yield _named(table, NEAREST_STRUCTURE, "true", labels, settings)


def _named(table: pd.DataFrame, features: str, kind: str, labels: Labels, settings: Evaluate) -> pd.DataFrame:
    """A table of tasks with the columns that say what it is about; its mean goes to the log."""
    log.info("probing %s, %s labels: mean AUC %.3f over %d assays",
                 features, kind, table["test_auc"].mean(), table["test_auc"].notna().sum())  # fmt: skip
    return table.assign(
        features=features,
        labels=kind,
        protocol=settings.probe_protocol,
        level=settings.probe_level,
        assay=labels.assay,
    )


def _means(samples: Samples, values: np.ndarray, images: np.ndarray, level: str) -> tuple[np.ndarray, np.ndarray]:
    """Means of the values (N, D) of some images over their wells or molecules, and a first image of each."""
    if level == "image":
        return values[images], images
    molecule = pd.Series(samples.molecule_of[images], name="molecule")
    wells = samples.table[["plate", "well"]].iloc[images].reset_index(drop=True)
    keys = pd.concat([wells, molecule], axis=1) if level == "well" else molecule.to_frame()
    number = keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy()
    _, first, count = np.unique(number, return_index=True, return_counts=True)
    member = scipy.sparse.csr_matrix((1 / count[number].astype(values.dtype), (number, np.arange(len(number)))))
    return member @ values[images], images[first]
