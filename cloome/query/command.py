"""``cloome query``: the images that look like a structure's effect, or the structures that look like an image."""

import argparse
import sys

import numpy as np
import pandas as pd

from cloome.data.embeddings import Embeddings, read_embeddings
from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.errors import CloomeError, FormatError
from cloome.query.channel_files import read_field
from cloome.query.nearest import nearest
from cloome.use import Cloome

WELL_COLUMNS = ["plate", "well", "compound"]
MOLECULE_COLUMNS = ["smiles", "name"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--model", required=True, metavar="PT", help="trained model")
    parser.add_argument("--embeddings", required=True, metavar="H5", help="embeddings that this model made")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--smiles", nargs="+", metavar="SMILES", help="structures: find images")
    query.add_argument(
        "--image",
        nargs="+",
        metavar="FILE",
        help="one whole field of view: find molecules. One file per channel in the model's order, or CHANNEL=FILE; "
        "it is cropped as the images of the embeddings were",
    )
    parser.add_argument("--index", metavar="PARQUET", help="index: adds plate, well and compound to found images")
    parser.add_argument("--molecules", metavar="H5", help="molecules: adds SMILES and name to found molecules")
    parser.add_argument("--top", type=int, default=10, help="how many to find (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu or cuda (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Print a table of the nearest, tab separated, to stdout.

    Raises
    ------
    CloomeError
        If the options do not go together, or the query or a file does not fit the model.
    """
    _check(arguments)
    model = Cloome.load(arguments.model, arguments.device)
    embeddings = read_embeddings(arguments.embeddings)
    if embeddings.model != model.digest:
        raise CloomeError(
            f"{arguments.embeddings}: made by another model than {arguments.model}; give the embeddings that this "
            "model made"
        )
    if arguments.smiles:
        found = find_images(model, embeddings, arguments.smiles, arguments.top)
        found = _joined(found, arguments.index and read_index(arguments.index), "sample_key", WELL_COLUMNS)
    else:
        field = read_field(arguments.image, model.channels)
        found = find_molecules(model, embeddings, field, arguments.top)
        found = _joined(
            found, arguments.molecules and read_molecules(arguments.molecules).table, "inchikey", MOLECULE_COLUMNS
        )
    found.to_csv(sys.stdout, sep="\t", index=False, float_format="%.4f")


def find_images(model: Cloome, embeddings: Embeddings, smiles: list[str], top: int) -> pd.DataFrame:
    """The images nearest to each structure: columns query, rank, similarity, sample_key."""
    order, similarity = nearest(model.encode_molecules(smiles), _some(embeddings.image, "images"), top)
    shape = order.shape
    return pd.DataFrame(
        {
            "query": np.repeat(smiles, shape[1]),
            "rank": np.tile(np.arange(1, shape[1] + 1), shape[0]),
            "similarity": similarity.ravel(),
            "sample_key": embeddings.sample_key[order.ravel()],
        }
    )


def find_molecules(model: Cloome, embeddings: Embeddings, field: np.ndarray, top: int) -> pd.DataFrame:
    """The molecules nearest to a field of view (C, H, W), cropped as the images of the embeddings were.

    Columns rank, similarity, inchikey.
    """
    image = model.encode_images(field[np.newaxis], embeddings.crop)
    order, similarity = nearest(image, _some(embeddings.molecule, "molecules"), top)
    rank = np.arange(1, order.shape[1] + 1)
    return pd.DataFrame({"rank": rank, "similarity": similarity[0], "inchikey": embeddings.inchikey[order[0]]})


def _check(arguments: argparse.Namespace) -> None:
    if arguments.top < 1:
        raise CloomeError(f"--top {arguments.top}: ask for at least 1")
    if arguments.image and arguments.index:
        raise CloomeError("--index describes found images, but --image finds molecules; give --molecules instead")
    if arguments.smiles and arguments.molecules:
        raise CloomeError("--molecules describes found molecules, but --smiles finds images; give --index instead")


def _some(candidates: np.ndarray, what: str) -> np.ndarray:
    if not len(candidates):
        raise FormatError(f"the embeddings hold no {what}; give embeddings of a screen")
    return candidates


def _joined(found: pd.DataFrame, table: pd.DataFrame | None, key: str, columns: list[str]) -> pd.DataFrame:
    """`found` with more columns, where a table is given that has them."""
    if table is None:
        return found
    unknown = ~found[key].isin(table[key])
    if unknown.any():
        raise FormatError(f"{found[key][unknown].iloc[0]} is not in the table given; give that of the same screen")
    return found.merge(table[[key, *columns]], on=key, how="left")
