"""The planted rule: how a simulated cell's look follows from the structure of its drug.

A look is a point in a space of 15 traits (`TRAITS`). 0 is the untreated cell; +1 and -1 are strong effects, whose
meaning in pixels is in ``cells.py``. The look of a drug is

    look = effect * (class shift + 0.25 * substituents @ scaled descriptors)

* The *class shift* is the same for all drugs of a chemical class (`CLASS_SHIFTS`): three or four traits change
  strongly, and no two classes change the same ones in the same direction. A model that has seen other drugs of the
  class can therefore recognise a drug that it has never seen.
* The *substituents* move single traits a little, by what RDKit counts on the structure (`SUBSTITUENT_SHIFTS`):
  halogens, hydroxyls, carboxyls, basic nitrogens, aromatic rings, logP and weight, each about -1..1. They tell drugs
  of one class apart, though weakly.

The rule is invented. It says nothing about what these drugs do to real cells.
"""

import numpy as np
import pandas as pd

from cloome.simulate.structures import DESCRIPTORS, scaled_descriptors

TRAITS = [
    "density",  # cells per area
    "cell_size",  # reach of the cytoplasm
    "elongation",  # spindle (+) or round (-) cells and nuclei
    "nucleus_size",
    "lobes",  # lobed and fragmented (+) nuclei
    "chromatin",  # clumps in the DNA stain
    "er_spread",  # endoplasmic reticulum fills the cell (+) or hugs the nucleus (-)
    "er_grain",  # vesicles in the endoplasmic reticulum
    "nucleoli_number",
    "nucleoli_strength",
    "actin_fibres",
    "golgi_spread",  # scattered (+) or compact (-) Golgi apparatus
    "golgi_strength",
    "mito_grain",  # coarse (+) or fine (-) mitochondria
    "mito_spread",  # mitochondria fill the cell (+) or hug the nucleus (-)
]

CLASS_SHIFTS = {
    "penicillin": {"cell_size": -1, "golgi_spread": 1, "mito_spread": 1},
    "fluoroquinolone": {"nucleus_size": 1, "chromatin": 1, "nucleoli_number": -1, "golgi_strength": -1},
    "sulfonamide": {"mito_grain": 1, "mito_spread": -1, "actin_fibres": -1},
    "benzodiazepine": {"elongation": 1, "actin_fibres": 1, "nucleoli_strength": -1},
    "thiazide": {"er_grain": 1, "er_spread": 1, "nucleoli_number": 1},
    "beta_blocker": {"golgi_strength": 1, "golgi_spread": -1, "er_spread": -1},
    "corticosteroid": {"nucleus_size": -1, "cell_size": 1, "density": -1},
    "phenothiazine": {"lobes": 1, "mito_grain": 1, "er_grain": 1},
    "profen": {"density": 1, "nucleus_size": -1, "nucleoli_strength": 1},
    "tetracycline": {"mito_grain": -1, "mito_spread": -1, "nucleoli_number": 1, "chromatin": -1},
    "barbiturate": {"actin_fibres": 1, "er_spread": -1, "nucleus_size": 1},
    "sartan": {"elongation": 1, "golgi_strength": 1, "er_grain": 1, "mito_spread": 1},
    "dihydropyridine": {"lobes": 1, "golgi_spread": 1, "actin_fibres": -1, "nucleoli_strength": -1},
    "triptan": {"density": -1, "er_spread": 1, "elongation": -1, "chromatin": 1},
}

SUBSTITUENT_SHIFTS = {
    "halogens": {"mito_grain": 1, "chromatin": 1},
    "hydroxyls": {"golgi_spread": -1, "er_spread": 1},
    "carboxyls": {"er_grain": -1, "mito_spread": 1},
    "basic_nitrogens": {"golgi_strength": 1, "er_grain": 1},
    "aromatic_rings": {"actin_fibres": 1, "nucleoli_number": -1},
    "log_p": {"cell_size": -1, "mito_spread": -1},
    "weight": {"nucleus_size": 1, "density": -1},
}
_SUBSTITUENT_STRENGTH = 0.25


def looks(drugs: pd.DataFrame, effect: float) -> np.ndarray:
    """The look of each drug under the planted rule of this module.

    Parameters
    ----------
    drugs : DataFrame
        Columns class and smiles, one row per drug.
    effect : float
        Strength of the rule; 0 makes every drug look untreated.

    Returns
    -------
    float64 (drugs, traits)
        In the order of `TRAITS`; 0 is the untreated cell.
    """
    of_class = _matrix(CLASS_SHIFTS).loc[drugs["class"]].to_numpy()
    of_descriptor = _matrix(SUBSTITUENT_SHIFTS).loc[DESCRIPTORS].to_numpy()
    substituents = np.array([scaled_descriptors(smiles) for smiles in drugs["smiles"]])
    return effect * (of_class + _SUBSTITUENT_STRENGTH * substituents @ of_descriptor)


def _matrix(shifts: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Sparse shifts as a table with one column per trait."""
    return pd.DataFrame.from_dict(shifts, orient="index", dtype=float).reindex(columns=TRAITS).fillna(0.0)
