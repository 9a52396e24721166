"""Probing of the activity labels: the trained embedding, the baselines, and labels shuffled among molecules."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.config import Evaluate
from cloome.data.labels import ROWS, Labels
from cloome.errors import FormatError
from cloome.evaluate.draws import stream
from cloome.evaluate.features import CLOOME, NEAREST_STRUCTURE, known
from cloome.evaluate.features import baselines as baselines_of
from cloome.evaluate.neighbours import nearest_structures
from cloome.evaluate.probing import COLUMNS, probe
from cloome.evaluate.samples import Samples
from cloome.evaluate.tables import DECIMALS

log = logging.getLogger(__name__)

TABLE_COLUMNS = ["features", "labels", "protocol", "level", "task", "assay", *COLUMNS[1:]]


def activity_table(
    samples: Samples, labels: Labels | None, settings: Evaluate, baselines: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Probe every assay; one row per features, labels (true or shuffled) and task.

    As upstream (FACTS 4 row 25), the features ``cloome`` are those before normalisation. A sample is an image, or by
    ``evaluate.probe_level`` the mean over the images of a well or a molecule. An image without some features (such as
    a well without a profile) takes no part where these are probed.
    Unlike upstream (row 7), training images are embedded as validation and test images are, by their centre crop;
    upstream trains its probes on random crops of 90 to 100 % of the area, resized.

    ``shuffled`` permutes the rows of the label matrix among the labelled molecules of this screen; its AUC must sit
    at 0.5 where no molecule stands in two parts of the split.

    Parameters
    ----------
    samples, labels, settings
        As for `cloome.evaluate.command.evaluate`.
    baselines : DataFrame, optional
        What `baseline_table` made of the same split; default: made here.

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
    data = _labelled(samples, labels, settings)
    if data is None:
        return pd.DataFrame(columns=TABLE_COLUMNS)
    own = [_probed(data, CLOOME, kind, samples.image * samples.length[:, np.newaxis]) for kind in ("true", "shuffled")]
    others = _baselines(data) if baselines is None else [baselines]
    return _rounded([*own, *others])


def baseline_table(samples: Samples, labels: Labels | None, settings: Evaluate) -> pd.DataFrame:
    """The rows of `activity_table` that no model has a part in: the same for all runs of a split.

    ``nearest_structure`` is no probe, but the activity of the most similar known structure
    (`cloome.evaluate.neighbours`), judged on the same samples.
    """
    data = _labelled(samples, labels, settings)
    return pd.DataFrame(columns=TABLE_COLUMNS) if data is None else _rounded(list(_baselines(data)))


@dataclass(frozen=True)
class _Labelled:
    """The samples and what is known of their activity."""

    samples: Samples
    labels: Labels
    settings: Evaluate
    row: np.ndarray  # int64 (M,): row of each molecule in the labels; below zero: none
    images: np.ndarray  # int64: rows of the images whose molecule has labels


def _labelled(samples: Samples, labels: Labels | None, settings: Evaluate) -> _Labelled | None:
    """None, with a line in the log, where there is nothing to probe."""
    if not settings.probing or labels is None:
        log.info("no probing: %s", "no labels are given" if settings.probing else "evaluate.probing is false")
        return None
    if len(set(labels.inchikey)) < len(labels.inchikey):
        raise FormatError(f"{ROWS} names a molecule twice; merge its rows of the label matrix")
    row = pd.Index(labels.inchikey).get_indexer(pd.Index(samples.inchikey))
    log.info("probing: %d of %d molecules have labels", np.count_nonzero(row >= 0), len(row))
    images = np.flatnonzero(row[samples.molecule_of] >= 0)
    return _Labelled(samples, labels, settings, row, images) if len(images) else None


def _baselines(data: _Labelled) -> Iterator[pd.DataFrame]:
    # One by one: the baselines together may not fit in memory.
    for name, values in baselines_of(data.samples).items():
        yield _probed(data, name, "true", values)
    samples, settings = data.samples, data.settings
    part = samples.table["part"].to_numpy()
    used = pd.DataFrame({"molecule": samples.molecule_of[data.images], "part": part[data.images]})
    if used[used["part"] != ""].drop_duplicates()["molecule"].duplicated().any():
        log.info("no nearest structures: test molecules are known, so that each is its own")
        return
    first = _groups(samples, data.images, settings.probe_level)[1]
    molecule = samples.molecule_of[first]
    matrix = data.labels.matrix[data.row[molecule]]
    table = nearest_structures(samples.fingerprint, molecule, matrix, part[first], settings.minimum_labels)
    yield _named(table, NEAREST_STRUCTURE, "true", data.labels, settings)


def _probed(data: _Labelled, name: str, kind: str, values: np.ndarray) -> pd.DataFrame:
    """The probes of one kind of features (N, D), for true or shuffled labels."""
    samples, settings = data.samples, data.settings
    row = data.row.copy()
    if kind == "shuffled":
        has = row >= 0
        row[has] = stream(settings.seed, "shuffled labels").permutation(row[has])
    used = data.images[known(values[data.images])]
    means, first = _means(samples, values, used, settings.probe_level)
    molecule = samples.molecule_of[first]
    matrix: scipy.sparse.csr_matrix = data.labels.matrix[row[molecule]]
    part = samples.table["part"].to_numpy()[first]
    table = probe(means, matrix, part, settings.minimum_labels, settings.probe_protocol, molecule)
    return _named(table, name, kind, data.labels, settings)


def _rounded(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)[TABLE_COLUMNS].round(DECIMALS)


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
    number, first = _groups(samples, images, level)
    count = np.bincount(number)
    member = scipy.sparse.csr_matrix((1 / count[number].astype(values.dtype), (number, np.arange(len(number)))))
    return member @ values[images], first


def _groups(samples: Samples, images: np.ndarray, level: str) -> tuple[np.ndarray, np.ndarray]:
    """Which sample each of some images belongs to, int64, and a first image of each sample."""
    if level == "image":
        return np.arange(len(images)), images
    molecule = pd.Series(samples.molecule_of[images], name="molecule")
    wells = samples.table[["plate", "well"]].iloc[images].reset_index(drop=True)
    keys = pd.concat([wells, molecule], axis=1) if level == "well" else molecule.to_frame()
    number = keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy()
    return number, images[np.unique(number, return_index=True)[1]]
