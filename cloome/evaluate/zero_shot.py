"""Zero-shot classification of images, image to image (Tables 3 and 4 of the paper, FACTS 1.4 and 1.5).

``all_images``: a class is one image drawn for it, as in the paper; the images drawn are no queries.
``all_images_class_means``: a class is the mean of its images without the query, and every image is a query. With the
candidates ``other_plates``, a class is an image drawn from plates other than the query's, or the mean of its images
there. Means over all plates are not made of the plate alone: without the query, its own class has fewer images on the
query's plate than the others have, and would come last.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse

from cloome.config import Evaluate
from cloome.evaluate.class_means import ranks_by_class_means
from cloome.evaluate.draws import repaired, stream
from cloome.evaluate.features import (
    PLATE,
    PLATE_AND_POSITION,
    REPAIRED,
    comparable,
    comparable_elsewhere,
    known,
    order_of_equals,
)
from cloome.evaluate.ranking import blocks, ranks, ranks_of_any
from cloome.evaluate.retrieval import one_image_per_molecule
from cloome.evaluate.samples import TEST, Samples
from cloome.evaluate.tables import Ranking, table

log = logging.getLogger(__name__)

DIRECTION, QUERIES, CLASS_MEANS = "image_to_image", "all_images", "all_images_class_means"
ALL, OTHER_PLATES = "all", "other_plates"


def molecule_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Which molecule does an image show? Columns as in `cloome.evaluate.tables`.

    The classes are the test molecules, for ``all_images`` each by the one image that retrieval draws for it; the
    queries are all other test images. ``repaired``: the right class is drawn at random for each query; must sit at
    chance.
    """
    return table(_molecule_rankings(samples, settings), settings)


def mechanism_table(samples: Samples, settings: Evaluate) -> pd.DataFrame:
    """Which mechanism of action does an image show? Columns as in `cloome.evaluate.tables`.

    The classes are the mechanisms of the test molecules, for ``all_images`` each by one test image drawn for it; the
    queries are all other test images whose molecule has a known mechanism. A class is right if it is one of the
    molecule's mechanisms. The rule of the paper for the representative image is not known (FACTS 1.5); here only the
    image itself is no query, so that other images of its molecule and well are. ``repaired``: one right class is drawn
    at random for each query; must sit at chance.
    """
    return table(_mechanism_rankings(samples, settings), settings)


@dataclass(frozen=True)
class _Task:
    """The images that are classified, and their classes."""

    image: np.ndarray  # int (N,): rows of the samples
    molecule: np.ndarray  # int (N,): molecule of each image
    plate: np.ndarray  # int (N,)
    member: scipy.sparse.csr_matrix  # bool (N, C): classes of each image
    drawn: np.ndarray  # int (C,): which of the N images was drawn for each class

    def queries(self) -> np.ndarray:
        """Those of the N images that were not drawn."""
        return np.setdiff1d(np.arange(len(self.image)), self.drawn)


@dataclass(frozen=True)
class _DrawnClasses:
    """Which class images each query is compared with, and which of them are right."""

    task: _Task
    candidates: str
    query: np.ndarray  # int (Q,): which of the N images
    image: np.ndarray  # int (K,): which of the N images stand for classes; with `OTHER_PLATES`, two for some
    class_of: np.ndarray  # int (K,)

    def masks(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Which images are right, and which are ranked, two bool (q, K)."""
        task, query = self.task, self.query[rows]
        right = task.member[query].toarray()[:, self.class_of]
        if self.candidates == ALL:
            return right, np.ones_like(right)
        plate = task.plate[query, None]
        # The image drawn first stands for its class, the second for the queries on the plate of the first.
        again = self.class_of[len(task.drawn) :]
        first, second = plate != task.plate[task.drawn], plate == task.plate[task.drawn[again]]
        ranked = np.concatenate([first, second], axis=1)
        return right & ranked, ranked

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of images ranked for each query, and of right ones among them, two int64 (Q,)."""
        pool, right = (np.zeros(len(self.query), dtype=np.int64) for _ in range(2))
        for rows in blocks(len(self.query), len(self.image)):
            is_right, is_ranked = self.masks(rows)
            pool[rows], right[rows] = is_ranked.sum(axis=1), is_right.sum(axis=1)
        return pool, right


def _molecule_rankings(samples: Samples, settings: Evaluate) -> Iterator[Ranking]:
    molecules, classes, of = one_image_per_molecule(samples, settings.seed)
    test = samples.rows(TEST)
    if not 2 <= len(molecules) < len(test):
        log.info("no zero-shot molecules: the test part has a single molecule, or one image for each")
        return
    one_each = scipy.sparse.identity(len(molecules), dtype=bool, format="csr")
    task = _Task(test, of, _plates(samples, test), one_each[of], np.searchsorted(test, classes))
    yield from _rankings(samples, task, settings)


def _mechanism_rankings(samples: Samples, settings: Evaluate) -> Iterator[Ranking]:
    test = samples.rows(TEST)
    known_mechanisms = np.diff(samples.mechanisms.indptr)
    test = test[known_mechanisms[samples.molecule_of[test]] > 0]
    molecules, of = np.unique(samples.molecule_of[test], return_inverse=True)
    has = samples.mechanisms[molecules]
    has = has[:, np.unique(has.indices)]  # mechanisms of the test part only
    if has.shape[1] < 2:
        log.info("no zero-shot mechanisms: the test part has %d mechanisms", has.shape[1])
        return
    drawn = _representatives(has[of], stream(settings.seed, "one image per mechanism"))
    yield from _rankings(samples, _Task(test, of, _plates(samples, test), has[of], drawn), settings)


def _plates(samples: Samples, rows: np.ndarray) -> np.ndarray:
    return pd.factorize(samples.table["plate"].iloc[rows])[0]


def _rankings(samples: Samples, task: _Task, settings: Evaluate) -> Iterator[Ranking]:
    drawn = _drawn_classes(task)
    for features, values in comparable(samples).items():
        ties = order_of_equals(features, settings.seed)
        yield _by_drawn_images(features, values[task.image], drawn, ties)
        if features not in (PLATE, PLATE_AND_POSITION):
            yield _by_class_means(features, values[task.image], task, ALL, ties)
    for features, values in comparable_elsewhere(samples).items():
        part = _known_part(task, known(values[task.image]), stream(settings.seed, f"one image with {features}"))
        drawn = _drawn_on_other_plates(part, stream(settings.seed, "one image on another plate"))
        ties = order_of_equals(features, settings.seed)
        yield _by_drawn_images(features, values[part.image], drawn, ties)
        yield _by_class_means(features, values[part.image], part, OTHER_PLATES, ties)
    queries, classes = task.queries(), task.drawn
    positive = repaired(len(queries), len(classes), stream(settings.seed, "repaired classes"))
    found = ranks(samples.image[task.image[queries]], samples.image[task.image[classes]], positive)
    yield Ranking(REPAIRED, DIRECTION, QUERIES, found, task.molecule[queries], len(classes))


def _known_part(task: _Task, kept: np.ndarray, rng: np.random.Generator) -> _Task:
    """The images with features; for classes whose drawn image has none, another one is drawn."""
    if kept.all():
        return task
    member = task.member[kept]
    classes = np.unique(member.indices)
    member, drawn = member[:, classes], task.drawn[classes]
    drawn = np.where(kept[drawn], np.cumsum(kept)[drawn] - 1, _representatives(member, rng))
    return _Task(task.image[kept], task.molecule[kept], task.plate[kept], member, drawn)


def _drawn_classes(task: _Task) -> _DrawnClasses:
    return _DrawnClasses(task, ALL, task.queries(), task.drawn, np.arange(len(task.drawn)))


def _drawn_on_other_plates(task: _Task, rng: np.random.Generator) -> _DrawnClasses:
    """Draw for each class that is on several plates another image, on another plate than the first."""
    elsewhere = task.member.tocoo()
    kept = task.plate[elsewhere.row] != task.plate[task.drawn[elsewhere.col]]
    member = scipy.sparse.csr_matrix(
        (elsewhere.data[kept], (elsewhere.row[kept], elsewhere.col[kept])), elsewhere.shape
    )
    again = np.unique(member.indices)
    image = np.concatenate([task.drawn, _representatives(member[:, again], rng)])
    class_of = np.concatenate([np.arange(len(task.drawn)), again])
    return _DrawnClasses(task, OTHER_PLATES, task.queries(), image, class_of)


def _by_drawn_images(
    features: str, values: np.ndarray, classes: _DrawnClasses, ties: np.random.Generator | None
) -> Ranking:
    found = ranks_of_any(values[classes.query], values[classes.image], classes.masks, ties)
    pool, right = classes.counts()
    return _ranking(features, QUERIES, classes.candidates, found, classes.task.molecule[classes.query], pool, right)


def _by_class_means(
    features: str, values: np.ndarray, task: _Task, candidates: str, ties: np.random.Generator | None
) -> Ranking:
    plate = None if candidates == ALL else task.plate
    found, pool, right = ranks_by_class_means(values, task.member, plate, ties)
    return _ranking(features, CLASS_MEANS, candidates, found, task.molecule, pool, right)


def _ranking(
    features: str,
    queries: str,
    candidates: str,
    found: np.ndarray,
    molecule: np.ndarray,
    pool: np.ndarray,
    right: np.ndarray,
) -> Ranking:
    """The outcome for the images that have a right class."""
    kept = right > 0
    if not kept.any():
        log.info("no %s, %s, candidates %s: no query is left; no image of its class lies on another plate",
                 queries, features, candidates)  # fmt: skip
    return Ranking(
        features, DIRECTION, queries, found[kept], molecule[kept], pool[kept], right[kept], candidates=candidates
    )


def _representatives(member: scipy.sparse.csr_matrix, rng: np.random.Generator) -> np.ndarray:
    """Draw one image of each class of `member`, bool (N, C), where each has one: int64 (C,)."""
    by_class = member.tocsc()
    by_class.sort_indices()
    drawn = []
    for start, stop in zip(by_class.indptr, by_class.indptr[1:], strict=False):
        images = by_class.indices[start:stop]
        # Two classes with one image would tie for every query; a molecule may have both mechanisms.
        free = np.setdiff1d(images, drawn)
        drawn.append(rng.choice(free if len(free) else images))
    return np.array(drawn, dtype=np.int64)
