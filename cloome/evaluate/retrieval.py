"""Retrieval between images and molecules of the test part (Table 1 of the paper, FACTS 1.2)."""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd

from cloome.config import Evaluate
from cloome.evaluate.draws import one_of_each, repaired, small_pool, stream
from cloome.evaluate.features import CLOOME, REPAIRED
from cloome.evaluate.ranking import ranks
from cloome.evaluate.samples import TEST, Samples
from cloome.evaluate.tables import Ranking, table

log = logging.getLogger(__name__)


def retrieval_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Retrieval in both directions, with columns as in `cloome.evaluate.tables`.

    ``one_per_molecule``: one image drawn for each test molecule, as in the paper; the whole pool, and small pools of
    one positive and negatives drawn for each query (FACTS 4 row 26; here with a seed). ``all_images``: every test
    image against all test molecules. ``repaired``: the right candidate is drawn at random; must sit at chance.
    """
    return table(_rankings(samples, settings), settings)


def one_image_per_molecule(samples: Samples, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one test image for each test molecule; retrieval and zero-shot classification use the same ones.

    Returns
    -------
    int64 (T,), int64 (T,), int64 (Q,)
        Rows of the test molecules; rows of the images drawn for them; for each test image its test molecule, 0 to
        T - 1.
    """
    test = samples.rows(TEST)
    molecules, of = np.unique(samples.molecule_of[test], return_inverse=True)
    return molecules, test[one_of_each(of, stream(seed, "one image per molecule"))], of


def _rankings(samples: Samples, settings: Evaluate) -> Iterator[Ranking]:
    molecules, drawn, of = one_image_per_molecule(samples, settings.seed)
    if len(molecules) < 2:
        log.info("no retrieval: the test part has a single molecule")
        return
    if len(molecules) <= settings.pool:
        log.info("no retrieval from 1 in %d: the test part has %d molecules", settings.pool, len(molecules))
    n, rng = len(molecules), stream(settings.seed, "repaired molecules")
    pairings = {
        CLOOME: (np.arange(n), of),
        REPAIRED: (repaired(n, n, rng), repaired(len(of), n, rng)),
    }
    images = samples.image[samples.rows(TEST)]
    for features, (positive, positive_of_image) in pairings.items():
        yield from _one_per_molecule(features, samples.image[drawn], samples.molecule[molecules], positive, settings)
        found = ranks(images, samples.molecule[molecules], positive_of_image)
        yield Ranking(features, "image_to_molecule", "all_images", found, of, n)


def _one_per_molecule(
    features: str, image: np.ndarray, molecule: np.ndarray, positive: np.ndarray, settings: Evaluate
) -> Iterator[Ranking]:
    n = len(molecule)
    for direction, queries, candidates in (
        ("image_to_molecule", image, molecule),
        ("molecule_to_image", molecule, image),
    ):
        whole = ranks(queries, candidates, positive)
        yield Ranking(features, direction, "one_per_molecule", whole, np.arange(n), n)
        if n > settings.pool:
            rng = stream(settings.seed, f"negatives {direction}")
            small = _small_pool_ranks(queries, candidates, positive, settings.pool, rng)
            yield Ranking(features, direction, "one_per_molecule", small, np.arange(n), settings.pool)


def _small_pool_ranks(
    queries: np.ndarray, candidates: np.ndarray, positive: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    pools = (small_pool(len(candidates), right, size, rng) for right in positive)
    first = np.zeros(1, dtype=np.int64)
    return np.array(
        [ranks(query[None], candidates[pool], first)[0] for query, pool in zip(queries, pools, strict=True)]
    )
