"""A trained model in one file, written by `cloome train` or published with CLOOME.

An own file holds one dictionary of tensors, numbers and texts; nothing in it can run code when it is loaded.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cloome import __version__
from cloome.config import PAPER_CHANNELS, Images, Model, Molecules, Train
from cloome.data.files import replacing
from cloome.errors import FormatError
from cloome.model.clip import ClipModel, build_model
from cloome.model.normalisation import Normalisation, paper

FORMAT, VERSION = "cloome", 2
SECTIONS = {"model": Model, "images": Images, "molecules": Molecules, "train": Train}
PUBLISHED_PREFIX = "module."


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, ready for use."""

    network: ClipModel  # in evaluation mode, on the CPU
    normalise: Normalisation  # uint8 (N, C, H, W) to the network's float32 input
    channels: list[str]  # of the images, in order
    settings: dict[str, dict[str, Any]]  # the sections model, images, molecules, train
    run: dict[str, Any]  # split, method, seed, control
    versions: dict[str, str]  # of the software that trained it; empty for published files

    @property
    def mean(self) -> list[float]:
        """Mean per channel that is subtracted."""
        return self.normalise.mean

    @property
    def std(self) -> list[float]:
        """Number per channel that is divided by."""
        return self.normalise.std

    @property
    def digest(self) -> str:
        """SHA-256 of the names and values of the weights, hexadecimal: tells whether two files hold one model."""
        digest = hashlib.sha256()
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def save_checkpoint(
    path: str | Path,
    network: ClipModel,
    normalise: Normalisation,
    channels: list[str],
    settings: dict[str, dict[str, Any]],
    run: dict[str, Any],
) -> None:
    """Write a trained model; the file is whole or absent.

    Parameters
    ----------
    path : path
        File to write.
    network, normalise
        The network, on any device, and its normalisation.
    channels : list of str
        Channels of the images, in order.
    settings : dict
        The sections model, images, molecules and train of the configuration, as plain values.
    run : dict
        Split, method, seed, and which control it is, or None.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        # Copies in the standard layout, so that equal weights give equal files on every device.
        "weights": {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()},
        "mean": normalise.mean,
        "std": normalise.std,
        "channels": channels,
        "settings": settings,
        "run": run,
        "versions": {"cloome": __version__, "torch": str(torch.__version__)},
    }
    with replacing(path) as temporary:
        write_torch(content, temporary)


def write_torch(content: dict[str, Any], path: str | Path) -> None:
    """Write tensors, numbers and texts, by way of memory.

    PyTorch's own writer reports a full disk as an error without a reason; and given a name, it would write it into the
    file, so that equal contents would differ in it. Raises OSError if the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    Path(path).write_bytes(buffer.getbuffer())


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Load a trained model: an own file, or one published with CLOOME.

    Raises
    ------
    FormatError
        If the file is missing, truncated, of another version, or holds something else.
    """
    content = _read(path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return _own(content, path)
    if _is_published(content):
        return _published(content["state_dict"], path)
    raise FormatError(
        f"{path}: neither a model of `cloome train` nor a published CLOOME checkpoint (a dictionary with state_dict, "
        f"names under {PUBLISHED_PREFIX!r})"
    )


def _read(path: str | Path) -> Any:
    if not Path(path).is_file():
        raise FormatError(f"{path}: no such file; run the stage train, or download the published weights")
    with open(path, "rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in whichever part of the reader first meets the damage
            raise FormatError(
                f"{path}: truncated, or not a file of PyTorch weights; delete it and train or download it again"
            ) from error


def _own(content: dict[str, Any], path: str | Path) -> Checkpoint:
    if content.get("version") != VERSION:
        raise FormatError(f"{path}: model file version {content.get('version')}, expected {VERSION}; train again")
    try:
        settings = {name: SECTIONS[name].model_validate(content["settings"][name]) for name in SECTIONS}
        channels, mean, std = (list(content[key]) for key in ("channels", "mean", "std"))
        if not len(channels) == len(mean) == len(std):
            raise ValueError("channels and their statistics differ in number")
        network = _network(settings, len(channels), content["weights"])
        return Checkpoint(
            network, Normalisation(mean, std), channels, content["settings"], content["run"], content["versions"]
        )
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise FormatError(f"{path}: a model file whose content does not fit together ({error}); train again") from error


def _is_published(content: Any) -> bool:
    weights = content.get("state_dict") if isinstance(content, dict) else None
    return (
        isinstance(weights, dict)
        and len(weights) > 0
        and all(isinstance(name, str) and name.startswith(PUBLISHED_PREFIX) for name in weights)
    )


def _published(weights: dict[str, torch.Tensor], path: str | Path) -> Checkpoint:
    settings = {name: section() for name, section in SECTIONS.items()}
    weights = {name.removeprefix(PUBLISHED_PREFIX): tensor for name, tensor in weights.items()}
    try:
        network = _network(settings, len(PAPER_CHANNELS), weights)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise FormatError(
            f"{path}: not the network of the paper (ResNet-50, five channels, {settings['molecules'].bits} bits)"
        ) from error
    plain = {name: section.model_dump() for name, section in settings.items()}
    run = {"split": "published", "method": None, "seed": None, "control": None}
    return Checkpoint(network, paper(PAPER_CHANNELS), list(PAPER_CHANNELS), plain, run, {})


def _network(settings: dict[str, Any], channels: int, weights: dict[str, torch.Tensor]) -> ClipModel:
    train = settings["train"]
    network = build_model(
        settings["model"],
        channels,
        settings["molecules"].bits,
        train.inv_tau,
        train.learn_inv_tau,
        biased="logit_bias" in weights,
        pretrained=False,
    )
    network.load_state_dict(weights)
    return network.eval()
