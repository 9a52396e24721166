"""The molecules: one row per molecule, not per image. HDF5.

``/inchikey``, ``/smiles``, ``/scaffold``, ``/name``, ``/mechanism`` (several separated by ``|``, empty: unknown) and
``/fingerprint`` uint8 (M, bits / 8), packed bits. Attributes: bits, settings (JSON).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cloome.data.files import create_h5, open_h5

KIND, VERSION = "molecules", 1
TEXTS = ["inchikey", "smiles", "scaffold", "name", "mechanism"]


@dataclass(frozen=True)
class Molecules:
    """All molecules of a screen, sorted by InChIKey."""

    table: pd.DataFrame  # columns TEXTS
    fingerprints: np.ndarray  # uint8 (M, bits), 0 or 1

    def mechanisms(self) -> dict[str, list[str]]:
        """The mechanisms of each molecule, by InChIKey; molecules without one are left out."""
        known = self.table[self.table["mechanism"] != ""]
        return {row.inchikey: row.mechanism.split("|") for row in known.itertuples()}


def write_molecules(molecules: Molecules, path: str | Path, settings: dict) -> None:
    """Write the molecules and the settings of their fingerprints."""
    with create_h5(path, KIND, VERSION) as file:
        for name in TEXTS:
            file.create_dataset(name, data=molecules.table[name].tolist(), dtype=h5py.string_dtype())
        file.create_dataset("fingerprint", data=np.packbits(molecules.fingerprints, axis=1))
        file.attrs["bits"] = molecules.fingerprints.shape[1]
        file.attrs["settings"] = json.dumps(settings, sort_keys=True)


def read_molecules(path: str | Path) -> Molecules:
    """Read the molecules; raises FormatError for another version or a truncated file."""
    with open_h5(path, KIND, VERSION) as file:
        table = pd.DataFrame({name: file[name].asstr()[()] for name in TEXTS})
        bits = np.unpackbits(file["fingerprint"][()], axis=1, count=int(file.attrs["bits"]))
    return Molecules(table, bits)
