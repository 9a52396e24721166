"""``cloome train``: train one model on one split."""

import argparse
import json
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cloome import __version__
from cloome.config import CONTROLS, METHODS, Config
from cloome.config_files import load_config
from cloome.data.index import read_index
from cloome.data.locks import alone
from cloome.data.molecules import Molecules, read_molecules
from cloome.data.near import copied_near
from cloome.data.plates import open_plate
from cloome.data.splits import by_molecule, read_split
from cloome.errors import FormatError
from cloome.model.checkpoint import SECTIONS, save_checkpoint
from cloome.model.clip import build_model
from cloome.model.device import require_gpu
from cloome.model.normalisation import Normalisation, measured, paper
from cloome.train.loop import Trainer, set_up_torch
from cloome.train.pairs import Pairs, load_pairs, shuffled_molecules, shuffled_wells
from cloome.train.processes import Group, is_first, launch
from cloome.train.state import State, digest, flat
from cloome.train.watch import Watch

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
    parser.add_argument("--split", required=True, metavar="CSV", help="split, from `cloome split`")
    parser.add_argument("--method", required=True, choices=METHODS, help="the loss; see runs.methods")
    parser.add_argument("--seed", required=True, type=int, help="seed of the initial weights and the batches")
    parser.add_argument(
        "--control",
        choices=CONTROLS,
        help="shuffled: train on shuffled pairs; untrained: write the network as it is before training",
    )
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="folder for resuming a killed run")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="PT", help="model to write; train_log.csv grows beside it"
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
        arguments.control,
        arguments.state,
        arguments.out,
        arguments.local_disk,
    )


def train(
    config: Config,
    plates: list[str],
    index: str | Path,
    molecules: str | Path,
    split: str | Path,
    method: str,
    seed: int,
    control: str | None,
    state: str | Path,
    out: str | Path,
    local_disk: str | Path | None = None,
) -> None:
    """Train one model, in as many processes as `running.processes` says; a run that was killed goes on.

    Raises
    ------
    FormatError
        If an input cannot be read, contradicts another, or leaves fewer than two pairs to train on.
    ConfigError
        If settings do not fit the images, the number of steps, or this machine.
    CloomeError
        If the training diverges, or memory runs out.
    """
    if config.running.gpu:
        require_gpu()
    # A training that outlived its killed workflow has the same state. Of the processes of one training, one asks.
    one_training = alone(f"{state}.lock") if is_first() else nullcontext()
    # Of an untrained network's plates, only the statistics are read.
    with one_training, copied_near(plates, None if control == "untrained" else local_disk) as near:
        inputs = Inputs(near, Path(index), Path(molecules), Path(split))
        launch(_train, config.running.processes, config, inputs, method, seed, control, Path(state), Path(out))


@dataclass(frozen=True)
class Inputs:
    """The files that a training reads."""

    plates: list[str]
    index: Path
    molecules: Path
    split: Path


def _train(
    group: Group, config: Config, inputs: Inputs, method: str, seed: int, control: str | None, state: Path, out: Path
) -> None:
    """What each process does; the first one writes the log and the model, and removes the state."""
    first = group.rank == 0
    table, parts, compounds = read_index(inputs.index), read_split(inputs.split), read_molecules(inputs.molecules)
    pairs = load_pairs(table, parts, "train", compounds, inputs.plates, config.train.crop)
    validation = load_pairs(table, parts, "validation", compounds, inputs.plates, config.train.crop)
    if len(pairs) < 2:
        raise FormatError(f"{inputs.split}: {len(pairs)} training images; check that index and split belong together")
    if control == "shuffled":
        pairs = shuffled_molecules(pairs, seed) if by_molecule(parts) else shuffled_wells(pairs, seed)
    log.info(
        "%d training and %d validation images of %s; processes: %d",
        len(pairs),
        len(validation),
        ", ".join(pairs.fields.channels),
        group.world,
    )
    settings = {name: getattr(config, name).model_dump() for name in SECTIONS}
    run = {"split": inputs.split.stem, "method": method, "seed": seed, "control": control}
    normalise = _normalisation(config, pairs)
    watch = Watch(out.parent if first else None, config.train.epochs, config.running.tensorboard)

    set_up_torch(seed, group.device)
    network = build_model(
        config.model,
        len(pairs.fields.channels),
        compounds.fingerprints.shape[1],
        config.train.inv_tau,
        config.train.learn_inv_tau,
        biased=method == "siglip",
    )
    save = partial(save_checkpoint, out, network, normalise, pairs.fields.channels, settings, run)
    if control == "untrained":
        watch.write([])
        if first:
            save()
        return
    resume = State(state, _matters(config, settings, run, inputs, pairs, validation, compounds), speaks=first)
    trainer = Trainer(
        network, normalise, compounds.fingerprints, config.train, method, seed, group, config.running.readers
    )
    trainer.run(pairs, validation, resume, watch)
    if first:
        save()
        resume.remove()


def _normalisation(config: Config, pairs: Pairs) -> Normalisation:
    channels = pairs.fields.channels
    if config.model.normalisation == "paper":
        return paper(channels)
    return measured(pairs.statistics(), channels)


def _matters(
    config: Config,
    settings: dict[str, Any],
    run: dict[str, Any],
    inputs: Inputs,
    pairs: Pairs,
    validation: Pairs,
    compounds: Molecules,
) -> dict[str, Any]:
    """Everything that changes the trained model; images enter by the exact statistics of their plates.

    Not among it: the section running, the number of processes, and where the files lie.
    """
    statistics = []
    for path in inputs.plates:
        with open_plate(path) as plate:
            statistics.append([plate.name, plate.statistics.sum.tolist(), plate.statistics.sum_of_squares.tolist()])
    weights = config.model.encoder_weights
    contents = {
        "the plates": [json.dumps(statistics).encode()],
        "the split": [inputs.split.read_bytes()],
        "the training images": ["\n".join(pairs.sample_key).encode()],
        "the molecules of the training images": [pairs.molecule.tobytes()],
        "the validation images": ["\n".join(validation.sample_key).encode(), validation.molecule.tobytes()],
        "the fingerprints": [compounds.fingerprints.tobytes()],
        "the content of model.encoder_weights": [Path(weights).read_bytes()] if weights else [],
    }
    versions = {"cloome": __version__, "torch": str(torch.__version__)}
    return {**flat({**settings, "run": run, "versions": versions}), **{n: digest(*c) for n, c in contents.items()}}
