"""Morgan fingerprints, the input of the molecule encoder."""

from collections.abc import Sequence

import numpy as np
from rdkit.Chem import rdFingerprintGenerator

from cloome.config import Molecules as MoleculeSettings
from cloome.molecules.structures import parse

PAPER = MoleculeSettings()
MOST = 255  # what a byte holds


def morgan(
    smiles: Sequence[str],
    radius: int = PAPER.radius,
    bits: int = PAPER.bits,
    chirality: bool = PAPER.chirality,
    counts: bool = PAPER.counts,
) -> np.ndarray:
    """Morgan fingerprints.

    Parameters
    ----------
    smiles : sequence of str
        N structures.
    radius : int
        How many bonds an atom's surroundings reach. The defaults are those of the configuration, which are those
        of the paper's models (FACTS 1.7): radius 3, 1024 bits, with chirality.
    bits : int
        Length of the vector.
    chirality : bool
        Whether stereoisomers differ.
    counts : bool
        How often each substructure occurs, instead of whether it does; more than 255 are 255.

    Returns
    -------
    uint8 (N, bits), 0 or 1, or counts

    Raises
    ------
    FormatError
        If a SMILES is empty or invalid; the message names it.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits, includeChirality=chirality)
    fingerprints = np.zeros((len(smiles), bits), dtype=np.uint8)
    of_molecule = generator.GetCountFingerprintAsNumPy if counts else generator.GetFingerprintAsNumPy
    for row, structure in enumerate(smiles):
        fingerprints[row] = np.minimum(of_molecule(parse(structure)), MOST)
    return fingerprints
