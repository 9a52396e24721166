"""Which molecule each compound id is: the molecules of a screen, and the compounds that are refused."""

from dataclasses import dataclass

import pandas as pd

from cloome.config import Molecules as MoleculeSettings
from cloome.data.molecules import TEXTS, Molecules
from cloome.errors import FormatError
from cloome.molecules.compounds import join_mechanisms
from cloome.molecules.fingerprints import morgan
from cloome.molecules.structures import NO_STRUCTURE, Structure, read_structure

NOT_IN_TABLE = "compound not in the compound table"
TWO_STRUCTURES = "two structures under one id"


@dataclass(frozen=True)
class Resolved:
    """The molecules behind compound ids."""

    molecules: Molecules
    inchikey: dict[str, str]  # by compound id; refused compounds have none
    refused: list[tuple[str, str]]  # (compound id, reason)


def resolve(compounds: pd.DataFrame, used: set[str], settings: MoleculeSettings) -> Resolved:
    """Find the molecule of each compound that the wells hold.

    Ids with the same InChIKey are one molecule, with SMILES and name of the first id and the mechanisms of all.

    Parameters
    ----------
    compounds : DataFrame
        compound, smiles, name, mechanism, as `read_compounds` gives them.
    used : set of str
        Compound ids of treated wells; others are not looked at.
    settings : config.Molecules
        Standardisation and fingerprint.

    Raises
    ------
    FormatError
        If not a single compound has a usable structure.
    """
    compounds = compounds[compounds["compound"].isin(used)]
    read = {smiles: _read(smiles, settings.standardise) for smiles in sorted(set(compounds["smiles"]))}
    refused = [(compound, NOT_IN_TABLE) for compound in used - set(compounds["compound"])]
    rows = []
    for compound, group in compounds.groupby("compound", sort=True):
        found = _one_structure([read[smiles] for smiles in group["smiles"]])
        if isinstance(found, str):
            refused.append((compound, found))
            continue
        name = next((name for name in group["name"] if name), compound)
        rows.append((found.inchikey, found.smiles, found.scaffold, name, group["mechanism"].iloc[0], compound))
    refused.sort()
    if not rows:
        raise FormatError(
            f"not one of the {len(used)} compounds in the wells has a usable structure"
            + (f" (the first, {refused[0][0]!r}: {refused[0][1]})" if refused else "")
            + "; check the columns id and smiles of screen.compounds"
        )
    known = pd.DataFrame(rows, columns=[*TEXTS, "compound"])
    inchikey = dict(zip(known["compound"], known["inchikey"], strict=True))
    return Resolved(_molecules(known, settings), inchikey, refused)


def _read(smiles: str, standardise: bool) -> Structure | str:
    """The structure, or the reason why there is none."""
    try:
        return read_structure(smiles, standardise)
    except FormatError as error:
        return str(error)


def _one_structure(found: list[Structure | str]) -> Structure | str:
    """The structure that all rows of an id agree on, or a reason; rows without a structure do not contradict."""
    found = [structure for structure in found if structure != NO_STRUCTURE] or [NO_STRUCTURE]
    identities = {structure if isinstance(structure, str) else structure.inchikey for structure in found}
    return found[0] if len(identities) == 1 else TWO_STRUCTURES


def _molecules(known: pd.DataFrame, settings: MoleculeSettings) -> Molecules:
    """One row per InChIKey, from rows sorted by compound id."""
    table = known.drop_duplicates("inchikey").sort_values("inchikey", ignore_index=True)[TEXTS]
    # A second id of a molecule may know a mechanism that the first does not.
    mechanism = join_mechanisms(known[["inchikey", "mechanism"]], key="inchikey")
    table["mechanism"] = [mechanism.get(inchikey, "") for inchikey in table["inchikey"]]
    fingerprints = morgan(table["smiles"].tolist(), settings.radius, settings.bits, settings.chirality, settings.counts)
    return Molecules(table, fingerprints, settings.counts)
