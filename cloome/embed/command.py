"""``cloome embed``: the embeddings of all images of an index and of all molecules."""

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch

from cloome.config import Config
from cloome.config_files import load_config
from cloome.data.embeddings import Embeddings, unit_and_length, write_embeddings
from cloome.data.fields import Fields
from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.data.near import copied_near
from cloome.embed.encode import embed_molecules, image_features
from cloome.embed.processes import features_in_processes, wanted_processes
from cloome.errors import FormatError
from cloome.model.checkpoint import Checkpoint, load_checkpoint
from cloome.model.device import pick_device, require_gpu

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument("--plates", nargs="+", required=True, metavar="H5", help="plate stores, from `cloome images`")
    parser.add_argument(
        "--local-disk", metavar="DIR", help="folder of this machine that the plates are copied to first"
    )
    parser.add_argument("--index", required=True, metavar="PARQUET", help="index, from `cloome molecules`")
    parser.add_argument("--molecules", required=True, metavar="H5", help="molecules, from `cloome molecules`")
    parser.add_argument("--model", required=True, metavar="PT", help="model, from `cloome train`, or a published one")
    parser.add_argument("--out", required=True, metavar="H5", help="embeddings to write")


def run(arguments: argparse.Namespace) -> None:
    """Write the embeddings."""
    embed(
        load_config(arguments.config),
        arguments.plates,
        arguments.index,
        arguments.molecules,
        arguments.model,
        arguments.out,
        arguments.local_disk,
    )


def embed(
    config: Config,
    plates: list[str],
    index: str | Path,
    molecules: str | Path,
    model: str | Path,
    out: str | Path,
    local_disk: str | Path | None = None,
) -> None:
    """Embed all images, in the order of the index, and all molecules.

    Raises
    ------
    FormatError
        If an input cannot be read, or the model was made for other channels or fingerprints.
    ConfigError
        If the images are too small for the model.
    CloomeError
        If one of several processes is killed.
    """
    if config.running.gpu:
        require_gpu()
    checkpoint, compounds = load_checkpoint(model), read_molecules(molecules)
    keys = read_index(index)["sample_key"].to_numpy()
    made_for = checkpoint.settings["molecules"]
    expected = f"{made_for['bits']} {'counts' if made_for['counts'] else 'bits'}"
    found = f"{compounds.fingerprints.shape[1]} {'counts' if compounds.counts else 'bits'}"
    if found != expected:
        raise FormatError(f"{model}: made for fingerprints of {expected}, but {molecules} has {found}")
    device = pick_device()
    with copied_near(plates, local_disk) as near:
        features = _features(config, near, keys, model, checkpoint, device)
    image, length = unit_and_length(features)
    molecule = embed_molecules(checkpoint, compounds.fingerprints, config.embed, device)
    embeddings = Embeddings(
        sample_key=keys,
        image=image,
        length=length,
        inchikey=compounds.table["inchikey"].to_numpy(),
        molecule=molecule,
        crop=(config.embed.height, config.embed.width),
        model=checkpoint.digest,
    )
    write_embeddings(embeddings, out)


def _features(
    config: Config, plates: list[str], keys: np.ndarray, model: str | Path, checkpoint: Checkpoint, device: torch.device
) -> np.ndarray:
    """The features of all images, in as many processes as `running.processes` says."""
    fields, start = Fields(plates, keys), time.perf_counter()
    if fields.channels != checkpoint.channels:
        raise FormatError(
            f"{model}: made for the channels {', '.join(checkpoint.channels)}, but the plates have "
            f"{', '.join(fields.channels)}; name the same channels in the same order in screen.channels"
        )
    readers, processes = config.running.readers, wanted_processes(config.running.processes, len(keys))
    if processes == 1:
        features = image_features(checkpoint, fields, config.embed, device, readers)
    else:
        features = features_in_processes(str(model), plates, keys, config.embed, readers, processes)
    seconds = time.perf_counter() - start
    log.info("%d images, %.3g per second, processes: %d", len(keys), len(keys) / seconds, processes)
    return features
