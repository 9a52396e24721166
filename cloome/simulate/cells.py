"""Drawing one simulated field of cells: Cell Painting in miniature, five stains, one cell layer.

Each pixel belongs to the cell whose ellipse it lies deepest in, so cells tile the field as a monolayer does. What
is drawn follows the traits of ``phenotype.py``; lengths are in pixels of the field.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from cloome.simulate.phenotype import TRAITS

STAINS = ["Hoechst", "ERSyto", "ERSytoBleed", "Ph_golgi", "Mito"]
_BANK = 1024
_GRAINS = (0.8, 1.2, 2.2, 5.0)


class Textures:
    """Smoothed noise at a few grain sizes, drawn once; a field takes windows of it, which is much faster.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    """

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        self._banks = {}
        for grain in _GRAINS:
            noise = gaussian_filter(rng.standard_normal((_BANK, _BANK), dtype=np.float32), grain, mode="wrap")
            self._banks[grain] = noise / noise.std()

    def window(self, grain: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A random window, float32 `shape`, mean about 0 and standard deviation about 1; it wraps around."""
        row, column = rng.integers(_BANK, size=2)
        rows, columns = (row + np.arange(shape[0])) % _BANK, (column + np.arange(shape[1])) % _BANK
        return self._banks[grain][rows[:, None], columns]


@dataclass(frozen=True)
class _Layer:
    """All cells of a field, and what each pixel knows of the cell that it belongs to; arrays (H, W) unless said."""

    owner: np.ndarray  # index of the cell
    depth: np.ndarray  # 0 in the middle of the cell, 1 at its rim
    across: np.ndarray  # distance from the cell's long axis
    radius: np.ndarray  # 0 in the middle of the nucleus, 1 at its rim
    inside: np.ndarray  # 0..1: in a cell
    nucleus: np.ndarray  # 0..1: in a nucleus
    around: np.ndarray  # distance from the nucleus, 0 inside it
    centre: np.ndarray  # (cells, 2), y and x of the nucleus
    nucleus_size: float


def draw(look: np.ndarray, shape: tuple[int, int], textures: Textures, rng: np.random.Generator) -> np.ndarray:
    """Draw a field.

    Parameters
    ----------
    look : float (traits,)
        In the order of `TRAITS`; 0 is the untreated cell.
    shape : (int, int)
        Height and width in pixels.
    textures : Textures
        Where grain comes from.
    rng : numpy.random.Generator
        Places and shapes of the cells.

    Returns
    -------
    float32 (5, H, W)
        Amount of each stain, in the order of `STAINS`; about 0 (none) to 1, in few pixels more.
    """
    trait = dict(zip(TRAITS, look, strict=True))
    layer = _layer(trait, shape, textures, rng)
    return np.stack(
        [
            _dna(layer, trait, textures, rng),
            _endoplasmic_reticulum(layer, trait, textures, rng),
            _rna(layer, trait, textures, rng),
            _actin_and_golgi(layer, trait, textures, rng),
            _mitochondria(layer, trait, textures, rng),
        ]
    ).astype(np.float32)


def _layer(trait: dict, shape: tuple[int, int], textures: Textures, rng: np.random.Generator) -> _Layer:
    """Place the cells and measure each pixel against the cell that it belongs to."""
    centre = _places(24.0 * np.exp(-0.22 * trait["density"]), shape, rng)
    cells = len(centre)
    angle = rng.uniform(0, np.pi) + rng.normal(0, 0.5, cells)
    stretch = np.exp(np.clip(0.25 + 0.45 * trait["elongation"], -0.1, 1.2) + rng.normal(0, 0.12, cells))
    size = 13.0 * np.exp(0.3 * trait["cell_size"] + rng.normal(0, 0.12, cells))
    # A bent plane gives the straight rims between ellipses the ragged course of real cells.
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    bent_y = y + 2.0 * textures.window(5.0, shape, rng)
    bent_x = x + 2.0 * textures.window(5.0, shape, rng)
    owner, depth = _deepest(bent_y, bent_x, centre, angle, size * np.sqrt(stretch), size / np.sqrt(stretch))
    _, across = _own_axes(bent_y, bent_x, centre, angle, owner)

    nucleus_size = 5.6 * np.exp(0.28 * trait["nucleus_size"])
    nucleus_centre = centre + rng.normal(0, 1.2, (cells, 2))
    turn = angle + rng.normal(0, 0.3, cells)
    nucleus_stretch = np.exp(np.clip(0.2 + 0.2 * trait["elongation"], 0, 0.6) + rng.normal(0, 0.08, cells))
    scale = nucleus_size * np.exp(rng.normal(0, 0.1, cells))
    along, aside = _own_axes(y, x, nucleus_centre, turn, owner)
    along = along / (scale * np.sqrt(nucleus_stretch))[owner]
    aside = aside / (scale / np.sqrt(nucleus_stretch))[owner]
    radius = np.sqrt(along**2 + aside**2)
    if trait["lobes"] > 0:
        depth_of_lobes = (0.38 * min(trait["lobes"], 1.5) * rng.uniform(0.7, 1.1, cells))[owner]
        number, phase = rng.integers(2, 5, cells)[owner], rng.uniform(0, 2 * np.pi, cells)[owner]
        radius = radius / (1 + depth_of_lobes * np.cos(number * np.arctan2(aside, along) + phase))
    nucleus = _step(nucleus_size * (1 - radius))
    return _Layer(
        owner=owner,
        depth=depth,
        across=across,
        radius=radius,
        inside=np.maximum(_step(14 * (1 - depth)), nucleus),
        nucleus=nucleus,
        around=nucleus_size * np.maximum(radius - 1, 0),
        centre=nucleus_centre,
        nucleus_size=nucleus_size,
    )


def _places(spacing: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Centres (cells, 2) on a shaken grid, some left out; cells beyond the rim reach into the field."""
    axes = [np.arange(-0.5 * spacing, side + spacing, spacing) + rng.uniform(-0.5, 0.5) * spacing for side in shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    kept = grid[rng.random(len(grid)) > 0.12]
    chosen = kept if len(kept) else grid
    return chosen + rng.uniform(-0.3, 0.3, chosen.shape) * spacing


def _deepest(y, x, centre, angle, long, short) -> tuple[np.ndarray, np.ndarray]:
    """The cell in whose ellipse each pixel lies deepest, and how deep (1 is the rim)."""
    cos, sin = np.cos(angle), np.sin(angle)
    yy, xx = (sin / long) ** 2 + (cos / short) ** 2, (cos / long) ** 2 + (sin / short) ** 2
    xy = 2 * cos * sin * (1 / long**2 - 1 / short**2)
    cy, cx = centre.T
    # Squared distances are quadratic in y and x: all cells and pixels are one matrix product.
    quadratic = np.stack(
        [yy, xx, xy, -2 * cy * yy - cx * xy, -2 * cx * xx - cy * xy, yy * cy**2 + xx * cx**2 + xy * cy * cx], axis=1
    ).astype(np.float32)
    pixels = np.stack([y * y, x * x, x * y, y, x, np.ones_like(y)]).reshape(6, -1)
    squared = quadratic @ pixels
    owner = squared.argmin(axis=0)
    nearest = np.take_along_axis(squared, owner[None], axis=0)[0]
    return owner.reshape(y.shape), np.sqrt(np.maximum(nearest, 0)).reshape(y.shape)


def _own_axes(y, x, centre, angle, owner) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel in the frame of its cell: distance along and across the long axis."""
    centre, cos, sin = centre.astype(np.float32), np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    down, right = y - centre[owner, 0], x - centre[owner, 1]
    cos, sin = cos[owner], sin[owner]
    return right * cos + down * sin, down * cos - right * sin


def _dna(layer: _Layer, trait: dict, textures: Textures, rng: np.random.Generator) -> np.ndarray:
    level = np.exp(rng.normal(0, 0.15, len(layer.centre)))[layer.owner]
    clumps = 1 + 0.16 * np.exp(0.9 * trait["chromatin"]) * textures.window(0.8, layer.owner.shape, rng)
    return 0.6 * layer.nucleus * level * np.maximum(clumps, 0.2)


def _endoplasmic_reticulum(layer: _Layer, trait: dict, textures: Textures, rng: np.random.Generator) -> np.ndarray:
    level = np.exp(rng.normal(0, 0.2, len(layer.centre)))[layer.owner]
    reach = np.exp(-layer.around / (5.0 * np.exp(0.7 * trait["er_spread"])))
    grain = 1 + 0.15 * np.exp(0.9 * trait["er_grain"]) * textures.window(1.2, layer.owner.shape, rng)
    return 0.6 * layer.inside * (1 - 0.6 * layer.nucleus) * (0.12 + reach) * level * np.maximum(grain, 0.1)


def _rna(layer: _Layer, trait: dict, textures: Textures, rng: np.random.Generator) -> np.ndarray:
    number = 2.5 * np.exp(0.7 * trait["nucleoli_number"])
    counts = np.maximum(rng.poisson(number, len(layer.centre)), 1)
    centres = np.repeat(layer.centre, counts, axis=0)
    places = centres + rng.uniform(-0.55, 0.55, centres.shape) * layer.nucleus_size
    nucleoli = _spots(places, layer.owner.shape, 0.9) * layer.nucleus
    cytoplasm = 0.2 + 0.18 * np.exp(-layer.around / 6.0) + 0.03 * textures.window(2.2, layer.owner.shape, rng)
    return layer.inside * cytoplasm + 0.45 * np.exp(0.6 * trait["nucleoli_strength"]) * nucleoli


def _actin_and_golgi(layer: _Layer, trait: dict, textures: Textures, rng: np.random.Generator) -> np.ndarray:
    course = layer.across / 4.0 + 0.25 * textures.window(5.0, layer.owner.shape, rng)
    fibres = (0.5 + 0.5 * np.cos(2 * np.pi * course)) ** 3 * (1 - 0.7 * layer.nucleus)
    rim = np.exp(-(((layer.depth - 0.95) / 0.1) ** 2))
    cells = len(layer.centre)
    side = rng.uniform(0, 2 * np.pi, cells)
    anchor = layer.centre + 1.5 * layer.nucleus_size * np.stack([np.sin(side), np.cos(side)], axis=1)
    stacks = np.repeat(anchor, 7, axis=0)
    stacks = stacks + rng.normal(0, 1.6 * np.exp(0.8 * trait["golgi_spread"]), stacks.shape)
    golgi = _spots(stacks, layer.owner.shape, 0.9) * layer.inside
    return (
        layer.inside * (0.2 + 0.25 * rim + 0.22 * np.exp(0.9 * trait["actin_fibres"]) * fibres)
        + 0.22 * np.exp(0.7 * trait["golgi_strength"]) * golgi
    )


def _mitochondria(layer: _Layer, trait: dict, textures: Textures, rng: np.random.Generator) -> np.ndarray:
    coarse = 1 / (1 + np.exp(-2.5 * trait["mito_grain"]))
    fine_part = textures.window(0.8, layer.owner.shape, rng)
    threads = coarse * textures.window(2.2, layer.owner.shape, rng) + (1 - coarse) * fine_part
    threads = threads / np.hypot(coarse, 1 - coarse)
    reach = np.exp(-layer.around / (6.0 * np.exp(0.7 * trait["mito_spread"])))
    return 0.45 * layer.inside * (1 - 0.8 * layer.nucleus) * (0.1 + reach) * (0.3 + np.maximum(threads, 0))


def _spots(places: np.ndarray, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Round spots of height 1 and width `sigma` at `places` (spots, 2); those outside the field are not drawn."""
    rows, columns = np.rint(places).astype(int).T
    within = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    flat = np.ravel_multi_index((rows[within], columns[within]), shape)
    counts = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float32)
    return gaussian_filter(counts, sigma, truncate=3) * (2 * np.pi * sigma**2)


def _step(x: np.ndarray) -> np.ndarray:
    """A soft step from 0 to 1 at x = 0, about one unit wide."""
    return 1 / (1 + np.exp(np.clip(-2.5 * x, -30, 30)))
