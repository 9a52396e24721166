"""How much plate and position explain: in each kind of features, and taken alone.

Features that know the plate of a well find replicates on the same plate without any biology, and where a compound
stands in the same place on all plates, so do features that know the position.
"""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloome.config import Evaluate
from cloome.data.evaluation import BATCH_EFFECTS_COLUMNS
from cloome.evaluate.draws import stream
from cloome.evaluate.features import known
from cloome.evaluate.ranking import refuse_what_is_not_finite, score_blocks
from cloome.evaluate.samples import Samples
from cloome.evaluate.statistics import clustered_intervals
from cloome.evaluate.tables import DECIMALS
from cloome.evaluate.wells import Comparison, Wells, same_molecule, well_features, wells_of

log = logging.getLogger(__name__)

# Wells that suffice: the standard error of a share of 5,000 is 0.007 at most.
MOST_QUERIES, MOST_CLASSIFIED = 5_000, 20_000
FOLDS = 2
PLATE_CLASSIFIED = "plate_classified"


def batch_effects_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """What nearest wells have in common beside what chance gives, with columns `BATCH_EFFECTS_COLUMNS`.

    Queries are wells of the test part. Each measure is the share of nearest wells that

    - ``nearest_on_same_plate``: lie on the query's plate, among wells of other molecules;
    - ``nearest_in_same_batch``, ``nearest_in_same_row``, ``nearest_in_same_column``: share the query's batch, row or
      column, among wells of other molecules on other plates;
    - ``nearest_has_compound``: hold the query's compound, among all other wells;
    - ``nearest_has_mechanism``: share a mechanism, among wells of other molecules with a known mechanism.

    Where several wells are equally near, the share among them counts. Wells for which no candidate, or each, has the
    property are no queries. ``chance`` is the mean share of candidates that have it. The features ``plate`` and
    ``position`` say what each explains alone. ``plate_classified``: share of wells whose plate a linear classifier
    (ridge regression) names, fitted to wells of other molecules; ``chance`` is the share of the most frequent plate.
    ``cluster_low`` and ``cluster_high`` resample molecules.
    """
    wells = wells_of(samples)
    rows = [
        {"features": features, **row}
        for features, values in well_features(samples, wells)
        for row in _measures(samples, wells, values, settings)
    ]
    log.info("batch effects: %d measures of features; the wells stand on %d plates", len(rows), len(set(wells.plate)))
    return pd.DataFrame(rows, columns=BATCH_EFFECTS_COLUMNS).round(DECIMALS)


def shares_of_nearest(values: np.ndarray, compared: Comparison, queries: np.ndarray) -> pd.DataFrame:
    """How often the nearest well is right.

    Parameters
    ----------
    values : float32 (W, D) or (W,)
        Features of all wells.
    compared : Comparison
        Right wells and candidates.
    queries : int (Q,)
        The wells that are queries.

    Returns
    -------
    DataFrame
        For each query that has right and wrong candidates: ``query``, the well; ``nearest`` and ``all``, the share of
        right wells among the nearest ones and among all candidates.
    """
    shares = [np.empty((0, 3))]
    for rows, scores in score_blocks(values[queries], values):
        right, ranked = compared.masks(queries[rows])
        best = np.where(ranked, scores, -np.inf).max(axis=1, keepdims=True)
        nearest = ranked & (scores == best)
        possible = right.any(axis=1) & (ranked & ~right).any(axis=1)
        counted = [(right & of)[possible].sum(axis=1) / of[possible].sum(axis=1) for of in (nearest, ranked)]
        shares.append(np.stack([queries[rows][possible], *counted], axis=1))
    return pd.DataFrame(np.concatenate(shares), columns=["query", "nearest", "all"]).astype({"query": np.int64})


def plates_named(
    values: np.ndarray, plate: np.ndarray, molecule: np.ndarray, seed: int
) -> tuple[pd.DataFrame, float] | None:
    """How often a linear classifier names the plate of a well from its features.

    Parameters
    ----------
    values : float32 (W, D) or (W,)
        Features.
    plate, molecule : int (W,)
        Plate and molecule of each well; wells of one molecule are never in both parts of a fold.
    seed : int
        Seed of the folds.

    Returns
    -------
    (DataFrame, float) or None
        For each well that was asked ``molecule`` and whether its plate was ``named``; and the share of the most
        frequent plate. None if a fold would be fitted to one plate.

    Raises
    ------
    FormatError
        If a feature is no finite number.
    """
    refuse_what_is_not_finite(values, values[:0])
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    # A plate with a single molecule would be missing where it is asked for.
    molecules = pd.Series(molecule).groupby(plate).transform("nunique").to_numpy()
    values, plate, molecule = (of[molecules >= FOLDS] for of in (values, plate, molecule))
    if len(np.unique(plate)) < 2:
        return None
    parts = list(folds.split(values, plate, molecule))
    if any(len(np.unique(plate[fitted])) < 2 for fitted, _ in parts):
        return None
    # One solution of linear equations for all plates, possible also where features depend on each other.
    classifier = make_pipeline(StandardScaler(), RidgeClassifier())
    named = cross_val_predict(classifier, values.reshape(len(values), -1), plate, cv=parts)
    return pd.DataFrame({"molecule": molecule, "named": named == plate}), np.bincount(plate).max() / len(plate)


def _measures(samples: Samples, wells: Wells, values: np.ndarray, settings: Evaluate) -> Iterator[dict]:
    rng = stream(settings.seed, "wells for batch effects")
    for measure, compared in _comparisons(samples, wells).items():
        kept = np.flatnonzero((np.diff(compared.traits.indptr) > 0) & known(values))
        queries = _at_most(MOST_QUERIES, np.flatnonzero(wells.is_test[kept]), rng)
        shares = shares_of_nearest(values[kept], compared.subset(kept), queries)
        if len(shares):
            molecule = wells.molecule[kept][shares["query"]]
            yield _row(measure, shares["nearest"], molecule, shares["all"].mean(), settings)
    kept = _at_most(MOST_CLASSIFIED, np.flatnonzero(known(values)), rng)
    found = plates_named(values[kept], wells.plate[kept], wells.molecule[kept], settings.seed)
    if found is not None:
        asked, chance = found
        yield _row(PLATE_CLASSIFIED, asked["named"], asked["molecule"].to_numpy(), chance, settings)


def _row(measure: str, outcome: pd.Series, molecule: np.ndarray, chance: float, settings: Evaluate) -> dict:
    """One measure over its wells, with an interval."""
    values = outcome.to_numpy(np.float64)
    # The same resamples for every kind of features keep their intervals comparable.
    rng = stream(settings.seed, "bootstrap")
    low, high = clustered_intervals(values[:, None], molecule, settings.confidence, settings.resamples, rng)
    interval = {"cluster_low": low[0], "cluster_high": high[0]}
    return {"measure": measure, "value": values.mean(), **interval, "chance": chance, "n": len(values)}


def _comparisons(samples: Samples, wells: Wells) -> dict[str, Comparison]:
    molecules = same_molecule(samples, wells)
    elsewhere = (wells.molecule, wells.plate)
    return {
        "nearest_on_same_plate": Comparison(_trait(wells.plate), (wells.molecule,)),
        "nearest_in_same_batch": Comparison(_trait(wells.batch), elsewhere),
        "nearest_in_same_row": Comparison(_trait(wells.row), elsewhere),
        "nearest_in_same_column": Comparison(_trait(wells.column), elsewhere),
        "nearest_has_compound": Comparison(molecules, (np.arange(len(wells.plate)),)),
        "nearest_has_mechanism": Comparison(samples.mechanisms[wells.molecule], (wells.molecule,)),
    }


def _trait(label: np.ndarray) -> scipy.sparse.csr_matrix:
    """Each label as a trait, bool (W, number of labels); labels below zero are unknown."""
    rows = np.flatnonzero(label >= 0)
    shape = (len(label), label.max(initial=0) + 1)
    return scipy.sparse.csr_matrix((np.ones(len(rows), dtype=bool), (rows, label[rows])), shape)


def _at_most(most: int, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
