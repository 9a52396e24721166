"""From SMILES to a structure: InChIKey, canonical SMILES and Murcko scaffold."""

from dataclasses import dataclass

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize
from rdkit.Chem.Scaffolds import MurckoScaffold

from cloome.errors import FormatError

NO_STRUCTURE = "no structure"


@dataclass(frozen=True)
class Structure:
    """What a molecule is: its identity and its scaffold."""

    inchikey: str
    smiles: str  # canonical
    scaffold: str  # Murcko scaffold as SMILES, without stereochemistry; empty for acyclic molecules


def parse(smiles: str) -> Chem.Mol:
    """Read a SMILES.

    Raises
    ------
    FormatError
        If the SMILES is empty ("no structure") or cannot be read; the message says why.
    """
    if not smiles.strip():
        raise FormatError(NO_STRUCTURE)
    # RDKit prints each problem to stderr; here it becomes the reason in the error instead.
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            raise FormatError(f"invalid SMILES: {smiles!r}: {_why_invalid(smiles)}")
    if molecule.GetNumAtoms() == 0:
        raise FormatError(NO_STRUCTURE)
    return molecule


def read_structure(smiles: str, standardise: bool) -> Structure:
    """The structure that a SMILES stands for.

    Parameters
    ----------
    smiles : str
        The structure as the compound table writes it.
    standardise : bool
        Normalise the groups and keep the largest organic fragment (the parent of a salt); without it the structure
        is taken as it is.

    Raises
    ------
    FormatError
        If there is no structure, the SMILES is invalid, or it has no InChIKey; the message is a reason for
        the table of refusals.
    """
    molecule = parse(smiles)
    with rdBase.BlockLogs():
        if standardise:
            molecule = rdMolStandardize.FragmentParent(molecule)  # cleans up first
            # A fragment comes without its rings perceived.
            Chem.SanitizeMol(molecule)
        inchikey = Chem.MolToInchiKey(molecule)
        scaffold = MurckoScaffold.MurckoScaffoldSmiles(mol=molecule)
    if not inchikey:
        raise FormatError(f"invalid SMILES: {smiles!r}: it has no InChIKey, so it is no single definite structure")
    return Structure(inchikey, Chem.MolToSmiles(molecule), scaffold)


def _why_invalid(smiles: str) -> str:
    molecule = Chem.MolFromSmiles(smiles, sanitize=False)
    if molecule is None:
        return "wrong syntax"
    problems = Chem.DetectChemistryProblems(molecule)
    return problems[0].Message() if problems else "RDKit cannot read it"
