"""What stands between the cells and the file: staining, position, illumination, focus, noise and the 12-bit camera.

None of this depends on the compound. It is what a model must learn to see past; `nuisance` scales it, 0 leaves an
evenly lit, focused plate without noise.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

MAXIMUM = 4095  # of a 12-bit camera, as seen in the real field
# Counts without and at full stain, about those of the real field, in the order of cells.STAINS.
_FLOOR = np.array([140, 240, 230, 330, 290], dtype=np.float32)
_RANGE = np.array([1100, 1300, 1200, 1500, 1100], dtype=np.float32)
_SHARP = 0.55  # blur of a focused field in pixels
_BLURRY = 3.5  # blur of a field that quality control flags
_OVEREXPOSED = 9.0  # gain of a field that quality control flags


@dataclass(frozen=True)
class PlateCondition:
    """What all fields of a plate share: staining and light."""

    gain: np.ndarray  # float32 (5,)
    floor: np.ndarray  # float32 (5,), counts
    light: np.ndarray  # float32 (5, H, W), mean about 1


def plate_condition(shape: tuple[int, int], nuisance: float, rng: np.random.Generator) -> PlateCondition:
    """Draw how a plate was stained and lit."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in shape), indexing="ij")
    slope = nuisance * rng.normal(0, 0.07, (5, 2))
    dome = nuisance * rng.uniform(0.03, 0.12, 5)
    light = np.stack([1 + a * y + b * x - c * (x * x + y * y) for (a, b), c in zip(slope, dome, strict=True)])
    return PlateCondition(
        gain=np.exp(nuisance * rng.normal(0, 0.15, 5)).astype(np.float32),
        floor=(_FLOOR * np.exp(nuisance * rng.normal(0, 0.1, 5))).astype(np.float32),
        light=np.maximum(light, 0.2).astype(np.float32),
    )


def well_density(on_rim: bool, nuisance: float, rng: np.random.Generator) -> float:
    """Shift of the trait density by seeding and, at the rim of the plate, by evaporation."""
    return nuisance * (rng.normal(0, 0.25) - (0.4 if on_rim else 0.0))


def photograph(
    stains: np.ndarray,
    plate: PlateCondition,
    nuisance: float,
    rng: np.random.Generator,
    blurry: bool = False,
    saturated: bool = False,
) -> np.ndarray:
    """Photograph a field.

    Parameters
    ----------
    stains : float32 (5, H, W)
        Amount of each stain, about 0..1.
    plate : PlateCondition
        Staining and light.
    nuisance : float
        Strength of defocus and noise.
    rng : numpy.random.Generator
        Draws focus and noise.
    blurry, saturated : bool
        Whether the field is one that quality control flags.

    Returns
    -------
    uint16 (5, H, W)
        Counts, 0..4095.
    """
    defocus = _BLURRY if blurry else nuisance * abs(rng.normal(0, 0.25))
    sigma = float(np.hypot(_SHARP, defocus))
    sharp = np.stack([gaussian_filter(stain, sigma, truncate=3) for stain in stains])
    exposure = _OVEREXPOSED if saturated else np.exp(nuisance * rng.normal(0, 0.08))
    gain = (exposure * plate.gain * _RANGE)[:, None, None]
    counts = plate.floor[:, None, None] + gain * sharp * plate.light
    noise = nuisance * np.sqrt(4.0 + 0.35 * counts) * rng.standard_normal(counts.shape, dtype=np.float32)
    return np.clip(np.rint(counts + noise), 0, MAXIMUM).astype(np.uint16)
