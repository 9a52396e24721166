"""The retrieval gallery: for drawn molecules their nearest images, for drawn images their nearest molecules."""

from pathlib import Path

import numpy as np
import pandas as pd

from cloome.data.plates import open_plate
from cloome.errors import FormatError
from cloome.report.held_out import HeldOut
from cloome.report.pictures import channel_colours, composite, structure, thumbnail

MOLECULES, IMAGES_EACH = 6, 5
IMAGES, MOLECULES_EACH = 6, 5


def retrieve(held_out: HeldOut, seed: int) -> tuple[list[dict], list[dict]]:
    """Draw queries from the test part and rank everything else of it.

    Parameters
    ----------
    held_out : HeldOut
        At least one image and one molecule.
    seed : int
        Seed of the draw; nothing is picked by hand.

    Returns
    -------
    by_molecule, by_image : lists of dict
        Keys ``query`` (row) and ``hits``: a list of dict with ``row`` and ``verdict``, best first. The verdict is
        'right', 'same mechanism' or ''.
    """
    rng = np.random.default_rng(seed)
    own = held_out.molecule_of_image()
    molecules = np.sort(rng.choice(len(held_out.molecules), min(MOLECULES, len(held_out.molecules)), replace=False))
    images = _one_image_each(own, rng)
    by_molecule = [
        {
            "query": int(m),
            "hits": [
                {"row": int(i), "verdict": _verdict(held_out, m, own[i])}
                for i in _best(held_out.images @ held_out.structures[m], IMAGES_EACH)
            ],
        }
        for m in molecules
    ]
    by_image = [
        {
            "query": int(i),
            "hits": [
                {"row": int(m), "verdict": _verdict(held_out, own[i], m)}
                for m in _best(held_out.structures @ held_out.images[i], MOLECULES_EACH)
            ],
        }
        for i in images
    ]
    return by_molecule, by_image


def gallery(held_out: HeldOut, plates: list[str | Path], nuclei: str | None, seed: int) -> dict:
    """The gallery with its pictures.

    Parameters
    ----------
    held_out : HeldOut
        Test part of a run.
    plates : list of path
        Plate stores, named after their plates.
    nuclei : str or None
        Channel to show in blue.
    seed : int
        Seed of the draw.

    Returns
    -------
    dict
        ``by_molecule`` and ``by_image``: as of `retrieve`, each row replaced by picture, name and note.

    Raises
    ------
    FormatError
        If a plate is not among the stores.
    """
    by_molecule, by_image = retrieve(held_out, seed)
    shown = [hit["row"] for entry in by_molecule for hit in entry["hits"]] + [entry["query"] for entry in by_image]
    pictures = _pictures(held_out.fields.iloc[sorted(set(shown))], plates, nuclei)

    names = held_out.molecules["name"].where(held_out.molecules["name"] != "", held_out.molecules["inchikey"])
    own = held_out.molecule_of_image()

    def of_image(row: int) -> dict:
        key = held_out.fields["sample_key"].iloc[row]
        return {"picture": pictures[key], "name": key, "note": f"holds {names.iloc[own[row]]}"}

    def of_molecule(row: int) -> dict:
        molecule = held_out.molecules.iloc[row]
        return {
            "picture": structure(molecule["smiles"], f"Structure of {names.iloc[row]}"),
            "name": names.iloc[row],
            "note": molecule["mechanism"].replace("|", ", "),
        }

    return {
        "by_molecule": _with(by_molecule, of_molecule, of_image),
        "by_image": _with(by_image, of_image, of_molecule),
    }


def _with(entries: list[dict], of_query, of_hit) -> list[dict]:
    return [
        of_query(entry["query"]) | {"hits": [of_hit(hit["row"]) | {"verdict": hit["verdict"]} for hit in entry["hits"]]}
        for entry in entries
    ]


def _one_image_each(own: np.ndarray, rng: np.random.Generator) -> list[int]:
    """One image of each of several drawn molecules."""
    drawn = rng.choice(np.unique(own), min(IMAGES, len(np.unique(own))), replace=False)
    return [int(rng.choice(np.flatnonzero(own == molecule))) for molecule in np.sort(drawn)]


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(-scores, kind="stable")[:count]


def _verdict(held_out: HeldOut, wanted: int, found: int) -> str:
    if wanted == found:
        return "right"
    mechanisms = [set(held_out.molecules["mechanism"].iloc[row].split("|")) - {""} for row in (wanted, found)]
    return "same mechanism" if mechanisms[0] & mechanisms[1] else ""


def _pictures(fields: pd.DataFrame, plates: list[str | Path], nuclei: str | None) -> dict[str, str]:
    """Composite of each field as data URI, by sample_key."""
    stores = {Path(path).stem: path for path in plates}
    pictures = {}
    for name, wanted in fields.groupby("plate"):
        if name not in stores:
            raise FormatError(f"plate {name} is in the index but not among --plates; name all plate stores")
        with open_plate(stores[name]) as plate:
            row_of_key = pd.Index(plate.fields()["sample_key"])
            colours = channel_colours(plate.channels, nuclei)
            for key in wanted["sample_key"]:
                pictures[key] = thumbnail(composite(plate.images[row_of_key.get_loc(key)], colours))
    return pictures
