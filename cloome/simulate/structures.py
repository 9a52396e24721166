"""The compounds of the simulated screen: real drugs, their mechanisms, and what the planted rule reads off a structure.

The structures and mechanisms are real; the compound ids are not: they start with ``BRD-S`` so that nobody takes
them for ids of the Broad Institute.
"""

import hashlib
from importlib.resources import files

import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors, rdMolDescriptors

MECHANISMS = {
    "penicillin": "bacterial cell wall synthesis inhibitor",
    "fluoroquinolone": "bacterial DNA gyrase inhibitor",
    "sulfonamide": "dihydropteroate synthase inhibitor",
    "benzodiazepine": "benzodiazepine receptor agonist",
    "thiazide": "sodium/chloride cotransporter inhibitor",
    "beta_blocker": "adrenergic receptor antagonist",
    "corticosteroid": "glucocorticoid receptor agonist",
    "phenothiazine": "dopamine receptor antagonist",
    "profen": "cyclooxygenase inhibitor",
    "tetracycline": "bacterial protein synthesis inhibitor",
    "barbiturate": "GABA receptor modulator",
    "sartan": "angiotensin receptor antagonist",
    "dihydropyridine": "calcium channel blocker",
    "triptan": "serotonin receptor agonist",
}

# Centre and scale bring each descriptor to about -1..1 over drugs; they are fixed, so that the rule reads one
# structure at a time and does not change with the others.
_SCALES = {
    "halogens": (0.5, 1.5),
    "hydroxyls": (0.5, 2.0),
    "carboxyls": (0.5, 0.5),
    "basic_nitrogens": (0.5, 0.75),
    "aromatic_rings": (1.5, 1.0),
    "log_p": (2.5, 2.0),
    "weight": (350.0, 100.0),
}
DESCRIPTORS = list(_SCALES)

_HALOGEN = Chem.MolFromSmarts("[F,Cl,Br,I]")
_HYDROXYL = Chem.MolFromSmarts("[OX2H][#6;!$(C=O)]")
_CARBOXYL = Chem.MolFromSmarts("[CX3](=O)[OX2H1]")
_BASIC_NITROGEN = Chem.MolFromSmarts("[NX3;!$(N[#6]=[O,N,S,C]);!$(N[#16]);!$(N-[a])]")


def drugs() -> pd.DataFrame:
    """The drug table, in the order of its file.

    Returns
    -------
    DataFrame
        One row per drug: name, class, smiles, inchikey, mechanism, broad_id.
    """
    with files("cloome.simulate").joinpath("drugs.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    table["inchikey"] = [Chem.MolToInchiKey(Chem.MolFromSmiles(smiles)) for smiles in table["smiles"]]
    table["mechanism"] = table["class"].map(MECHANISMS)
    table["broad_id"] = table["inchikey"].map(_simulated_id)
    return table


def descriptors(smiles: str) -> dict[str, float]:
    """Count what the planted rule reads off a structure: one number for each of `DESCRIPTORS`."""
    molecule = Chem.MolFromSmiles(smiles)
    return {
        "halogens": len(molecule.GetSubstructMatches(_HALOGEN)),
        "hydroxyls": len(molecule.GetSubstructMatches(_HYDROXYL)),
        "carboxyls": len(molecule.GetSubstructMatches(_CARBOXYL)),
        "basic_nitrogens": len(molecule.GetSubstructMatches(_BASIC_NITROGEN)),
        "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings(molecule),
        "log_p": Crippen.MolLogP(molecule),
        "weight": Descriptors.MolWt(molecule),
    }


def scaled_descriptors(smiles: str) -> np.ndarray:
    """Descriptors in the order of `DESCRIPTORS`, centred, scaled and clipped to -1.5..1.5; float64 (7,)."""
    values = descriptors(smiles)
    scaled = [(values[name] - centre) / scale for name, (centre, scale) in _SCALES.items()]
    return np.clip(scaled, -1.5, 1.5)


def _simulated_id(inchikey: str) -> str:
    """An id in the Broad Institute's form: eight digits, then sample, supplier and check parts."""
    digits = int(hashlib.sha256(inchikey.encode()).hexdigest(), 16) % 10**8
    return f"BRD-S{digits:08d}-001-01-{digits % 10}"
