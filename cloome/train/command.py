"""``cloome train``: train one model on one split."""

import argparse
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from cloome import __version__
from cloome.config import Config
from cloome.config_files import load_config
from cloome.data.files import write_csv
from cloome.data.index import read_index
from cloome.data.molecules import Molecules, read_molecules
from cloome.data.plates import open_plate
from cloome.data.splits import read_split
from cloome.data.train_log import LOG_COLUMNS
from cloome.errors import FormatError
from cloome.model.checkpoint import SECTIONS, save_checkpoint
from cloome.model.clip import build_model
from cloome.model.device import pick_device
from cloome.model.normalisation import Normalisation, measured, paper
from cloome.train.loop import Trainer, be_deterministic
from cloome.train.pairs import Pairs, load_pairs, shuffled
from cloome.train.state import State, key_of

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument("--plates", nargs="+", required=True, metavar="H5", help="plate stores, from `cloome images`")
    parser.add_argument("--index", required=True, metavar="PARQUET", help="index, from `cloome molecules`")
    parser.add_argument("--molecules", required=True, metavar="H5", help="molecules, from `cloome molecules`")
    parser.add_argument("--split", required=True, metavar="CSV", help="split, from `cloome split`")
    parser.add_argument("--method", required=True, choices=["clip", "cloob"], help="InfoNCE, or Hopfield and InfoLOOB")
    parser.add_argument("--seed", required=True, type=int, help="seed of the initial weights and the batches")
    parser.add_argument("--shuffled", action="store_true", help="control: shuffle pairs among the training molecules")
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="folder for resuming a killed run")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="PT", help="model to write; train_log.csv is written beside it"
    )


def run(arguments: argparse.Namespace) -> None:
    """Train, write the log and the model, and remove the state."""
    train(
        load_config(arguments.config),
        arguments.plates,
        arguments.index,
        arguments.molecules,
        arguments.split,
        arguments.method,
        arguments.seed,
        arguments.shuffled,
        arguments.state,
        arguments.out,
    )


def train(
    config: Config,
    plates: list[str],
    index: str | Path,
    molecules: str | Path,
    split: str | Path,
    method: str,
    seed: int,
    shuffle: bool,
    state: str | Path,
    out: str | Path,
) -> None:
    """Train one model; a run that was killed goes on after its last whole epoch.

    Raises
    ------
    FormatError
        If an input cannot be read, contradicts another, or leaves fewer than two pairs to train on.
    ConfigError
        If settings do not fit the images or the number of steps.
    CloomeError
        If the training diverges.
    """
    table, parts, compounds = read_index(index), read_split(split), read_molecules(molecules)
    pairs = load_pairs(table, parts, "train", compounds, plates, config.train.crop)
    validation = load_pairs(table, parts, "validation", compounds, plates, config.train.crop)
    if len(pairs) < 2:
        raise FormatError(f"{split}: {len(pairs)} training images; check that index and split belong together")
    if shuffle:
        pairs = shuffled(pairs, seed)
    log.info(
        "%d training and %d validation images of %s", len(pairs), len(validation), ", ".join(pairs.fields.channels)
    )
    settings = {name: getattr(config, name).model_dump() for name in SECTIONS}
    run = {"split": Path(split).stem, "method": method, "seed": seed, "shuffled": shuffle}
    resume = State(state, _key(settings, run, split, plates, pairs, compounds))
    normalise = _normalisation(config, pairs)

    be_deterministic(seed)
    network = build_model(
        config.model,
        len(pairs.fields.channels),
        compounds.fingerprints.shape[1],
        config.train.inv_tau,
        config.train.learn_inv_tau,
    )
    trainer = Trainer(network, normalise, compounds.fingerprints, config.train, method, seed, pick_device())
    trainer.run(pairs, validation, resume)

    write_csv(pd.DataFrame(trainer.rows, columns=LOG_COLUMNS), Path(out).with_name("train_log.csv"))
    save_checkpoint(out, network, normalise, pairs.fields.channels, settings, run)
    resume.remove()


def _normalisation(config: Config, pairs: Pairs) -> Normalisation:
    channels = pairs.fields.channels
    if config.model.normalisation == "paper":
        return paper(channels)
    return measured(pairs.statistics(), channels)


def _key(
    settings: dict[str, Any],
    run: dict[str, Any],
    split: str | Path,
    plates: list[str],
    pairs: Pairs,
    compounds: Molecules,
) -> str:
    """Key of everything that changes the trained model; images enter by the exact statistics of their plates."""
    statistics = []
    for path in plates:
        with open_plate(path) as plate:
            statistics.append([plate.name, plate.statistics.sum.tolist(), plate.statistics.sum_of_squares.tolist()])
    versions = [__version__, str(torch.__version__)]
    return key_of(
        {"settings": settings, "run": run, "plates": statistics, "versions": versions},
        Path(split).read_bytes(),
        "\n".join(pairs.sample_key).encode(),
        pairs.molecule.tobytes(),
        compounds.fingerprints.tobytes(),
    )
