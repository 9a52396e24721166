"""What an image is compared by: the trained embedding, and the baselines that it has to beat.

A baseline that does as well as the model says that the model has learned no more than brightness, cell number or the
place on a plate; many activity assays are predictable from the cell count alone (FACTS 3.2, Seal et al.).

Which function a benchmark takes:

`baselines`
    to fit something to: probing.
`comparable`
    to rank images where a candidate may lie in the query's own well.
`comparable_elsewhere`
    to rank images or wells where every candidate lies in another well, as on other plates. It adds CellProfiler's well
    profiles: all images of a well have the same one, so that a candidate from the same well would always come first.
`structures`
    where, besides, every candidate holds another molecule.

Features may be unknown for some images; these are rows of NaN, and `known` tells them. Such images take no part, as
query or candidate, where these features are compared or fitted.
"""

import logging
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd

from cloome.data.index import feature_columns
from cloome.data.plates import NOT_COUNTED
from cloome.evaluate.draws import stream
from cloome.evaluate.profiles import RAW
from cloome.evaluate.samples import TRAIN, Samples

log = logging.getLogger(__name__)

CLOOME, INTENSITY, CELL_COUNT, REPAIRED = "cloome", "intensity", "cell_count", "repaired"
PLATE, POSITION, PLATE_AND_POSITION = "plate", "position", "plate_and_position"
FINGERPRINT, NEAREST_STRUCTURE, GAPNET = "fingerprint", "nearest_structure", "gapnet"
# Whole numbers, by which many candidates are equal: in rankings their order is then drawn. Were they all to count
# against the right one, a plate or a count would look worthless that does put it among the first.
EQUAL_BY_NATURE = {CELL_COUNT, PLATE, POSITION, PLATE_AND_POSITION}


class Features(Mapping[str, np.ndarray]):
    """Features by name, each made when it is asked for.

    The well profiles of a screen, repeated for each image, take gigabytes; so only one kind lies in memory at a time.
    """

    def __init__(self, makers: dict[str, Callable[[], np.ndarray]]):
        self._makers = makers

    def __getitem__(self, name: str) -> np.ndarray:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def baselines(samples: Samples) -> Mapping[str, np.ndarray]:
    """Features of each image that no model made, to fit a linear model to.

    Returns
    -------
    mapping of str to ndarray
        float32 (N, F) each. Standardised to the training images: ``intensity``, mean and standard deviation of each
        channel; ``cell_count`` (F is 1); ``cellprofiler_raw`` and its kin, the profile of the image's well. As 0 and
        1: ``plate``, which plate; ``position``, which row and which column; ``plate_and_position``;
        ``fingerprint``, the bits of the molecule's fingerprint, which need no image at all. As they are: ``gapnet``,
        the features of that network. A baseline that the files do not hold is left out, with a line in the log.
    """
    train = samples.rows(TRAIN)

    def measured(columns: list[str]) -> np.ndarray:
        return _standardised(samples.table[columns].to_numpy(np.float64), train)

    makers = {INTENSITY: lambda: measured(feature_columns(samples.table))}
    if _has_counts(samples):
        makers[CELL_COUNT] = lambda: measured(["cell_count"])
    makers |= {
        PLATE: lambda: _which(samples.table["plate"]),
        POSITION: lambda: np.hstack([_which(place) for place in _places(samples)]),
        PLATE_AND_POSITION: lambda: np.hstack(
            [_which(samples.table["plate"]), *(_which(place) for place in _places(samples))]
        ),
        FINGERPRINT: lambda: (samples.fingerprint > 0).astype(np.float32)[samples.molecule_of],
    }
    if samples.gapnet is not None:
        makers[GAPNET] = lambda: samples.gapnet
    return Features(
        makers
        | {name: lambda name=name: _of_images(samples, _fitted_profiles(samples, name)) for name in _kinds(samples)}
    )


def comparable(samples: Samples) -> Mapping[str, np.ndarray]:
    """Features of each image in the form that `cloome.evaluate.ranking` compares.

    Returns
    -------
    mapping of str to ndarray
        Compared by their product, float32 (N, F), all rows of one length: ``cloome``, ``gapnet`` and ``intensity``;
        ``plate``, where all images of a plate are the same to each other and to all others; ``position``, the more
        alike the fewer rows and columns lie between two wells; ``plate_and_position``, those of the same plate first
        and then by position. Compared by distance, float32 (N,): ``cell_count``.
    """
    hand_made = baselines(samples)
    makers = {CLOOME: lambda: samples.image, INTENSITY: lambda: unit_length(hand_made[INTENSITY])}
    if samples.gapnet is not None:
        makers[GAPNET] = lambda: unit_length(samples.gapnet)
    if CELL_COUNT in hand_made:
        # A count has no direction: its unit length would be a mere sign.
        makers[CELL_COUNT] = lambda: hand_made[CELL_COUNT][:, 0]
    makers |= {
        PLATE: lambda: hand_made[PLATE],
        POSITION: lambda: _near(samples),
        PLATE_AND_POSITION: lambda: _same_plate_first(hand_made[PLATE], _near(samples)),
    }
    return Features(makers)


def comparable_elsewhere(samples: Samples) -> Mapping[str, np.ndarray]:
    """As `comparable`, with CellProfiler's well profiles; for benchmarks without candidates from the query's well.

    Returns
    -------
    mapping of str to ndarray
        Also ``cellprofiler_raw`` (standardised to the wells of training), ``cellprofiler_robust``,
        ``cellprofiler_selected`` and ``cellprofiler_sphered``, where the screen has profiles: float32 (N, F) of unit
        length, compared by cosine; NaN for images without profile (see `known`).
    """
    images = comparable(samples)
    makers = {name: lambda name=name: images[name] for name in images}
    makers |= {
        name: lambda name=name: _of_images(samples, _compared_profiles(samples, name)) for name in _kinds(samples)
    }
    return Features(makers)


def structures(samples: Samples) -> np.ndarray:
    """The fingerprint bits of each image's molecule, float32 (N, B) of unit length, compared by cosine.

    No image is needed to find a molecule by its own structure: only for benchmarks whose candidates hold other
    molecules.
    """
    return unit_length((samples.fingerprint > 0).astype(np.float32))[samples.molecule_of]


def order_of_equals(features: str, seed: int) -> np.random.Generator | None:
    """What orders candidates that score the same: chance for features of whole numbers, otherwise nothing."""
    return stream(seed, f"equal {features}") if features in EQUAL_BY_NATURE else None


def known(values: np.ndarray) -> np.ndarray:
    """Which images have these features, bool (N,), for features (N, F) or (N,)."""
    return np.isfinite(values if values.ndim == 1 else values[:, 0])


def unit_length(values: np.ndarray) -> np.ndarray:
    """Rows (N, D) divided by their length; a row of zeros stays as it is."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1)


def _has_counts(samples: Samples) -> bool:
    counted = bool((samples.table["cell_count"] != NOT_COUNTED).all())
    if not counted:
        log.info("no baseline %s: cells were not counted (images.nuclei is null)", CELL_COUNT)
    return counted


def _kinds(samples: Samples) -> list[str]:
    return [] if samples.profiles is None else list(samples.profiles.values)


def _fitted_profiles(samples: Samples, name: str) -> np.ndarray:
    """The profiles of the wells, standardised to the wells of training images; float32 (W, F)."""
    values = samples.profiles.values[name]
    train = np.unique(samples.profiles.rows(samples.table.iloc[samples.rows(TRAIN)]))
    train = train[train >= 0]
    return _standardised(values, train[known(values[train])])


def _compared_profiles(samples: Samples, name: str) -> np.ndarray:
    """The profiles of the wells in unit length, float32 (W, F)."""
    # Raw features have units, and the largest number would decide.
    return unit_length(_fitted_profiles(samples, name) if name == RAW else samples.profiles.values[name])


def _of_images(samples: Samples, values: np.ndarray) -> np.ndarray:
    """What each image's well has in `values` (W, F), float32 (N, F); NaN where it has no row."""
    # The row of unknown wells, -1, is the last one.
    return np.pad(values, ((0, 1), (0, 0)), constant_values=np.nan)[samples.profiles.rows(samples.table)]


def _standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    if len(train) == 0:
        return np.full_like(values, np.nan, dtype=np.float32)
    mean, std = values[train].mean(axis=0, dtype=np.float64), values[train].std(axis=0, dtype=np.float64)
    return ((values - mean) / np.where(std > 0, std, 1)).astype(np.float32)


def _which(names: pd.Series) -> np.ndarray:
    """One column for each name that occurs, 1 where it is the image's; float32 (N, names)."""
    return pd.get_dummies(names, dtype=np.float32).to_numpy()


def _places(samples: Samples) -> tuple[pd.Series, pd.Series]:
    """Row (A is 0, Z 25, AA 26) and column (from 1) of each image's well."""
    letters, column = samples.table["well"].str[:-2], samples.table["well"].str[-2:].astype(np.int64)
    number = {name: sum((ord(c) - 64) * 26**i for i, c in enumerate(reversed(name))) - 1 for name in letters.unique()}
    return letters.map(number), column


def _near(samples: Samples) -> np.ndarray:
    """Rows of 1 and -1 whose product falls by 2 for each row or column that two wells lie apart, float32 (N, D).

    Whole numbers, so that equally near wells tie exactly.
    """
    codes = [np.ones((len(samples.table), 1))]
    for place in _places(samples):
        steps = np.arange(place.min(), place.max())
        codes.append(np.where(place.to_numpy()[:, np.newaxis] > steps, 1, -1))
    return np.hstack(codes).astype(np.float32)


def _same_plate_first(plate: np.ndarray, near: np.ndarray) -> np.ndarray:
    """A shared plate outweighs the largest difference of position, in whole numbers too."""
    weight = np.floor(np.sqrt(2 * near.shape[1])) + 1
    return np.hstack([plate * np.float32(weight), near])
