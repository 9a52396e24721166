"""``cloome encode``: embeddings of one's own structures or plates."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cloome.data.embeddings import Embeddings, unit_and_length, write_embeddings
from cloome.data.files import read_csv
from cloome.data.plates import open_plate
from cloome.data.refused import write_refused
from cloome.errors import CloomeError, FormatError
from cloome.molecules.structures import read_structure
from cloome.use import IMAGES_AT_ONCE, Cloome

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--model", required=True, metavar="PT", help="trained model")
    parser.add_argument("--smiles-file", metavar="CSV", help="table of structures (CSV, or TSV by its name)")
    parser.add_argument("--column", default="SMILES", help="its column with the structure (default: %(default)s)")
    parser.add_argument("--plates", nargs="+", default=[], metavar="H5", help="plate stores, from `cloome images`")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="H5",
        help="embeddings to write; structures that were refused are listed beside it, in *.refused.csv",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the embeddings, and beside them ``*.refused.csv`` with the structures that cannot be read.

    Fields are embedded whole, whatever their size.

    Raises
    ------
    CloomeError
        If there is nothing to encode, or a file does not fit the model.
    """
    if not (arguments.smiles_file or arguments.plates):
        raise CloomeError("nothing to encode; give --smiles-file or --plates")
    model = Cloome.load(arguments.model, arguments.device)
    smiles, refused = {}, []
    if arguments.smiles_file:
        smiles, refused = _structures(arguments.smiles_file, arguments.column, model.standardise)
    fields = [batch for path in arguments.plates for batch in _plate(model, path)]
    image, length = unit_and_length(
        np.concatenate([np.zeros((0, model.dimension), np.float32), *(features for _, features in fields)])
    )
    embeddings = Embeddings(
        sample_key=np.concatenate([np.array([], dtype=object), *(keys for keys, _ in fields)]),
        image=image,
        length=length,
        inchikey=np.array(list(smiles), dtype=object),
        molecule=model.encode_molecules(list(smiles.values())),
        crop=None,
        model=model.digest,
    )
    write_refused(arguments.out.with_suffix(".refused.csv"), refused)
    write_embeddings(embeddings, arguments.out)
    log.info("%d images, %d molecules; %d structures refused", len(embeddings.image), len(smiles), len(refused))


def _structures(path: str, column: str, standardise: bool) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """SMILES by InChIKey, each molecule once, and what cannot be read as (SMILES, reason)."""
    smiles, refused = {}, []
    for one in read_csv(path, [column], dtype=str, keep_default_na=False)[column]:
        try:
            smiles.setdefault(read_structure(one, standardise).inchikey, one)
        except FormatError as error:
            refused.append((one, str(error)))
    return smiles, refused


def _plate(model: Cloome, path: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Names and features of a plate's fields, some at a time."""
    with open_plate(path) as plate:
        if plate.channels != model.channels:
            raise FormatError(
                f"{path}: channels {', '.join(plate.channels)}, the model has {', '.join(model.channels)}; make the "
                "plate store with the model's channels, in its order"
            )
        keys = plate.fields()["sample_key"].to_numpy()
        for start in range(0, len(keys), IMAGES_AT_ONCE):
            some = slice(start, start + IMAGES_AT_ONCE)
            yield keys[some], model.image_features(plate.images[some])
