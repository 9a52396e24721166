"""The molecules: one row per molecule, not per image. HDF5.

``/inchikey``, ``/smiles``, ``/scaffold``, ``/name``, ``/mechanism`` (several separated by ``|``, empty: unknown) and
``/fingerprint`` uint8: packed bits (M, bits / 8), or counts (M, bits). Attributes: bits, counts, settings (JSON).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cloome.data.files import create_h5, open_h5
from cloome.errors import FormatError

KIND, VERSION = "molecules", 2
TEXTS = ["inchikey", "smiles", "scaffold", "name", "mechanism"]


@dataclass(frozen=True)
class Molecules:
    """All molecules of a screen, sorted by InChIKey."""

    table: pd.DataFrame  # columns TEXTS
    fingerprints: np.ndarray  # uint8 (M, bits), 0 or 1, or counts up to 255
    counts: bool = False  # which of both

    def mechanisms(self) -> dict[str, list[str]]:
        """The mechanisms of each molecule, by InChIKey; molecules without one are left out."""
        known = self.table[self.table["mechanism"] != ""]
        return {row.inchikey: row.mechanism.split("|") for row in known.itertuples()}


def write_molecules(molecules: Molecules, path: str | Path, settings: dict) -> None:
    """Write the molecules and the settings of their fingerprints.

    Raises
    ------
    FormatError
        If fingerprints that are said to be bits hold counts.
    """
    if not molecules.counts and molecules.fingerprints.max(initial=0) > 1:
        raise FormatError(f"{path}: fingerprints of bits hold counts; make them again with the settings of the run")
    with create_h5(path, KIND, VERSION) as file:
        for name in TEXTS:
            file.create_dataset(name, data=molecules.table[name].tolist(), dtype=h5py.string_dtype())
        fingerprints = molecules.fingerprints
        file.create_dataset("fingerprint", data=fingerprints if molecules.counts else np.packbits(fingerprints, axis=1))
        file.attrs["counts"] = molecules.counts
        file.attrs["bits"] = molecules.fingerprints.shape[1]
        file.attrs["settings"] = json.dumps(settings, sort_keys=True)


def read_molecules(path: str | Path) -> Molecules:
    """Read the molecules; raises FormatError for another version or a truncated file."""
    with open_h5(path, KIND, VERSION) as file:
        table = pd.DataFrame({name: file[name].asstr()[()] for name in TEXTS})
        fingerprints, counts = file["fingerprint"][()], bool(file.attrs["counts"])
        if not counts:
            fingerprints = np.unpackbits(fingerprints, axis=1, count=int(file.attrs["bits"]))
    return Molecules(table, fingerprints, counts)
