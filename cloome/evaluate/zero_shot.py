"""Zero-shot classification of images by one image per class (Tables 3 and 4 of the paper, FACTS 1.4 and 1.5)."""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.config import Evaluate
from cloome.evaluate.draws import repaired, stream
from cloome.evaluate.features import REPAIRED, comparable
from cloome.evaluate.ranking import ranks, ranks_of_any
from cloome.evaluate.retrieval import one_image_per_molecule
from cloome.evaluate.samples import TEST, Samples
from cloome.evaluate.tables import Ranking, table

log = logging.getLogger(__name__)

DIRECTION, QUERIES = "image_to_image", "all_images"


def molecule_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Which molecule does an image show? Columns as in `cloome.evaluate.tables`.

    The classes are the test molecules, each by the one image that retrieval draws for it; the queries are all other
    test images. ``repaired``: the right class is drawn at random for each query; must sit at chance.
    """
    return table(_molecule_rankings(samples, settings), settings)


def mechanism_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Which mechanism of action does an image show? Columns as in `cloome.evaluate.tables`.

    The classes are the mechanisms of the test molecules, each by one test image drawn for it; the queries are all
    other test images whose molecule has a known mechanism. A class is right if it is one of the molecule's
    mechanisms. The rule of the paper for the representative image is not known (FACTS 1.5); here only the image
    itself is no query, so that other images of its molecule and well are. ``repaired``: one right class is drawn at
    random for each query; must sit at chance.
    """
    return table(_mechanism_rankings(samples, settings), settings)


def _molecule_rankings(samples: Samples, settings: Evaluate) -> Iterator[Ranking]:
    molecules, classes, of = one_image_per_molecule(samples, settings.seed)
    test = samples.rows(TEST)
    is_query = ~np.isin(test, classes)
    if len(molecules) < 2 or not is_query.any():
        log.info("no zero-shot molecules: the test part has a single molecule, or one image for each")
        return
    queries, of = test[is_query], of[is_query]
    for features, values in comparable(samples).items():
        found = ranks(values[queries], values[classes], of)
        yield Ranking(features, DIRECTION, QUERIES, found, of, len(molecules))
    yield _repaired(samples, queries, classes, of, settings)


def _mechanism_rankings(samples: Samples, settings: Evaluate) -> Iterator[Ranking]:
    test = samples.rows(TEST)
    known = samples.mechanisms
    test = test[np.diff(known.indptr)[samples.molecule_of[test]] > 0]
    molecules, of = np.unique(samples.molecule_of[test], return_inverse=True)
    has = known[molecules]
    has = has[:, np.unique(has.indices)]  # mechanisms of the test part only
    if has.shape[1] < 2:
        log.info("no zero-shot mechanisms: the test part has %d mechanisms", has.shape[1])
        return
    classes = _representatives(has, of, stream(settings.seed, "one image per mechanism"))
    is_query = ~np.isin(np.arange(len(test)), classes)
    queries, classes, of = test[is_query], test[classes], of[is_query]
    for features, values in comparable(samples).items():
        yield _mechanism_ranking(features, values[queries], values[classes], of, has)
    yield _repaired(samples, queries, classes, of, settings)


def _repaired(
    samples: Samples, queries: np.ndarray, classes: np.ndarray, of: np.ndarray, settings: Evaluate
) -> Ranking:
    positive = repaired(len(queries), len(classes), stream(settings.seed, "repaired classes"))
    found = ranks(samples.image[queries], samples.image[classes], positive)
    return Ranking(REPAIRED, DIRECTION, QUERIES, found, of, len(classes))


def _representatives(has: scipy.sparse.csr_matrix, of: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw for each mechanism one of the images whose molecule has it, int64 (number of mechanisms,)."""
    by_mechanism = has.tocsc()
    drawn = []
    for start, stop in zip(by_mechanism.indptr, by_mechanism.indptr[1:], strict=False):
        images = np.flatnonzero(np.isin(of, by_mechanism.indices[start:stop]))
        # Two classes with one image would tie for every query; a molecule may have both mechanisms.
        free = np.setdiff1d(images, drawn)
        drawn.append(rng.choice(free if len(free) else images))
    return np.array(drawn)


def _mechanism_ranking(
    features: str, queries: np.ndarray, classes: np.ndarray, of: np.ndarray, has: scipy.sparse.csr_matrix
) -> Ranking:
    def masks(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        right = has[of[rows]].toarray()
        return right, np.ones_like(right)

    found = ranks_of_any(queries, classes, masks)
    right = np.diff(has.indptr)[of]
    return Ranking(features, DIRECTION, QUERIES, found, of, has.shape[1], right)
