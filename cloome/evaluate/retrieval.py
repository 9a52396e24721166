"""Retrieval between images and molecules of the test part (Table 1 of the paper, FACTS 1.2)."""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.config import Evaluate
from cloome.evaluate.draws import one_of_each, repaired, small_pool, stream
from cloome.evaluate.features import CLOOME, REPAIRED, unit_length
from cloome.evaluate.ranking import ranks, ranks_of_any
from cloome.evaluate.samples import TEST, Samples
from cloome.evaluate.tables import Ranking, table
from cloome.evaluate.wells import wells_of

log = logging.getLogger(__name__)

TO_MOLECULE, TO_IMAGE = "image_to_molecule", "molecule_to_image"


def retrieval_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Retrieval in both directions, with columns as in `cloome.evaluate.tables`.

    ``one_per_molecule``
        One image drawn for each test molecule, as in the paper; the whole pool, and small pools of one positive and
        negatives drawn for each query (FACTS 4 row 26; here with a seed).
    ``all_images``
        Every test image against all test molecules.
    ``all_images_one_right``, ``all_images_any_right``
        Every test molecule against all test images. Right is the one image drawn for the molecule, and its other
        images are errors, as in the paper; or right are all its images, and the best of them counts.
    ``wells``
        As ``all_images`` and ``all_images_any_right``, of wells: the mean of their images, in unit length.
    ``molecules``
        Every test molecule has the mean of its test images, in unit length, in place of one image.

    With the candidates ``same_plate``, every test image is ranked against the test molecules on its own plate. A model
    that knows the plate from its technical look, and which molecules lie there, finds the right one among ``all`` more
    often than by chance; among molecules of one plate this does not help. Candidates from other plates would make it
    worse: of the molecules on the image's plate, only the right one would stay.

    ``repaired``: the right candidates are drawn at random; must sit at chance.
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
    rows, drawn, of = one_image_per_molecule(samples, settings.seed)
    n, seed, test = len(rows), settings.seed, samples.rows(TEST)
    if n < 2:
        log.info("no retrieval: the test part has a single molecule")
        return
    if n <= settings.pool:
        log.info("no retrieval from 1 in %d: the test part has %d molecules", settings.pool, n)
    images, molecules = samples.image[test], samples.molecule[rows]
    rng = stream(seed, "repaired molecules")
    pairings = {
        CLOOME: (np.arange(n), of),
        REPAIRED: (repaired(n, n, rng), repaired(len(of), n, rng)),
    }
    for features, (positive, positive_of_image) in pairings.items():
        yield from _one_per_molecule(features, samples.image[drawn], molecules, positive, settings)
        found = ranks(images, molecules, positive_of_image)
        yield Ranking(features, TO_MOLECULE, "all_images", found, of, n)
    plate = samples.table["plate"].to_numpy()[test]
    yield from _same_plate(images, molecules, of, plate, stream(seed, "repaired molecules of a plate"))
    yield from _one_right(images, molecules, np.searchsorted(test, drawn), stream(seed, "repaired images"))
    yield from _any_right("all_images_any_right", images, molecules, of, stream(seed, "repaired groups of images"))
    yield from _wells(samples, rows, seed)
    yield from _averaged_molecules(images, molecules, of, stream(seed, "repaired averaged molecules"))


def _one_per_molecule(
    features: str, image: np.ndarray, molecule: np.ndarray, positive: np.ndarray, settings: Evaluate
) -> Iterator[Ranking]:
    n = len(molecule)
    for direction, queries, candidates in ((TO_MOLECULE, image, molecule), (TO_IMAGE, molecule, image)):
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


def _same_plate(
    images: np.ndarray, molecules: np.ndarray, of: np.ndarray, plate: np.ndarray, rng: np.random.Generator
) -> Iterator[Ranking]:
    """Each image against the molecules on its plate; images of plates with a single molecule are no queries."""
    found, chance, pool = (np.zeros(len(of), dtype=np.int64) for _ in range(3))
    for name in np.unique(plate):
        rows = np.flatnonzero(plate == name)
        present, positive = np.unique(of[rows], return_inverse=True)
        pool[rows] = len(present)
        found[rows] = ranks(images[rows], molecules[present], positive)
        chance[rows] = ranks(images[rows], molecules[present], repaired(len(rows), len(present), rng))
    query = pool > 1
    log.info("retrieval from the same plate: %d query images; %d more have no other test molecule on their plate",
             query.sum(), (~query).sum())  # fmt: skip
    for features, place in ((CLOOME, found), (REPAIRED, chance)):
        yield Ranking(
            features, TO_MOLECULE, "all_images", place[query], of[query], pool[query], candidates="same_plate"
        )


def _one_right(
    images: np.ndarray, molecules: np.ndarray, drawn: np.ndarray, rng: np.random.Generator
) -> Iterator[Ranking]:
    n = len(molecules)
    for features, positive in ((CLOOME, drawn), (REPAIRED, repaired(n, len(images), rng))):
        found = ranks(molecules, images, positive)
        yield Ranking(features, TO_IMAGE, "all_images_one_right", found, np.arange(n), len(images))


def _any_right(
    queries: str, images: np.ndarray, molecules: np.ndarray, of: np.ndarray, rng: np.random.Generator
) -> Iterator[Ranking]:
    """Each molecule against all images or wells, of which it has several; the best of them counts."""
    n = len(molecules)
    # Shuffled, each molecule keeps its number of right candidates, on which its chance depends.
    for features, owner in ((CLOOME, of), (REPAIRED, rng.permutation(of))):

        def masks(rows: slice, owner: np.ndarray = owner) -> tuple[np.ndarray, np.ndarray]:
            right = np.arange(n)[rows, None] == owner
            return right, np.ones_like(right)

        found = ranks_of_any(molecules, images, masks)
        yield Ranking(features, TO_IMAGE, queries, found, np.arange(n), len(of), np.bincount(owner, minlength=n))


def _wells(samples: Samples, rows: np.ndarray, seed: int) -> Iterator[Ranking]:
    wells = wells_of(samples)
    means, molecules = wells.means(samples.image)[wells.is_test], samples.molecule[rows]
    of = np.searchsorted(rows, wells.molecule[wells.is_test])
    control = repaired(len(of), len(rows), stream(seed, "repaired wells"))
    for features, positive in ((CLOOME, of), (REPAIRED, control)):
        yield Ranking(features, TO_MOLECULE, "wells", ranks(means, molecules, positive), of, len(rows))
    yield from _any_right("wells", means, molecules, of, stream(seed, "repaired groups of wells"))


def _averaged_molecules(
    images: np.ndarray, molecules: np.ndarray, of: np.ndarray, rng: np.random.Generator
) -> Iterator[Ranking]:
    n = len(molecules)
    member = scipy.sparse.csr_matrix((np.ones(len(of), dtype=np.float32), (of, np.arange(len(of)))))
    means = unit_length(member @ images)
    for features, positive in ((CLOOME, np.arange(n)), (REPAIRED, repaired(n, n, rng))):
        for direction, queries, candidates in ((TO_MOLECULE, means, molecules), (TO_IMAGE, molecules, means)):
            found = ranks(queries, candidates, positive)
            yield Ranking(features, direction, "molecules", found, np.arange(n), n)
