"""How good a model is on the validation part, and the weights of the best epoch."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cloome.config import Train

ROWS = 4096  # images compared with all molecules at once: bounds the memory


@dataclass(frozen=True)
class Score:
    """What one validation found; NaN without a validation part."""

    loss: float = math.nan  # mean over the batches (FACTS 4, row 24)
    image_to_molecule: float = math.nan  # top-1 accuracy, 0 to 1
    molecule_to_image: float = math.nan

    @property
    def retrieval(self) -> float:
        """Mean of both top-1 accuracies."""
        return (self.image_to_molecule + self.molecule_to_image) / 2


class Best:
    """Keeps the weights of the best epoch, on the host, and says when no better one is to be waited for.

    Parameters
    ----------
    settings : cloome.config.Train
        criterion and patience.
    """

    def __init__(self, settings: Train):
        self._criterion, self._patience = settings.criterion, settings.patience
        self._value, self.epoch = -math.inf, 0
        self._weights: dict[str, torch.Tensor] = {}

    def offer(self, score: Score, epoch: int, network: nn.Module) -> None:
        """Keep the network's weights if they are better than all before; of equal ones, the earlier."""
        value = -score.loss if self._criterion == "loss" else score.retrieval
        if value > self._value:
            self._value, self.epoch = value, epoch
            self._weights = {name: tensor.to("cpu", copy=True) for name, tensor in network.state_dict().items()}

    def given_up(self, epoch: int) -> bool:
        """Whether the last `patience` epochs up to this one brought nothing better."""
        return self._patience is not None and epoch - self.epoch >= self._patience

    def put(self, network: nn.Module) -> None:
        """Copy the best weights into the network."""
        network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Everything, to be saved."""
        return {"value": self._value, "epoch": self.epoch, "weights": self._weights}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """As saved."""
        self._value, self.epoch, self._weights = values["value"], values["epoch"], values["weights"]


def top1(x: torch.Tensor, y: torch.Tensor, molecule: torch.Tensor) -> tuple[float, float]:
    """Top-1 accuracies among N pairs, from image to molecule and from molecule to image.

    An image is right if its own molecule has a higher score than each other molecule; a molecule, if one of its own
    images has a higher score than each image of the others. An equal score counts against both, as in
    `cloome.evaluate`, so that a network that maps everything to one point gets 0.

    Parameters
    ----------
    x, y : float (N, D)
        Embeddings of the images and of their molecules, unit length.
    molecule : int64 (N,)
        The molecule of each pair; rows of `y` with the same molecule are equal.
    """
    distinct, of = torch.unique(molecule, return_inverse=True)
    first = torch.empty_like(distinct)
    first[of] = torch.arange(len(of), device=of.device)  # one row of each molecule, no matter which
    columns = torch.arange(len(distinct), device=of.device)
    own_best = x.new_full((len(distinct),), -math.inf)
    other_best, right = own_best.clone(), 0
    for images, own in zip(x.split(ROWS), of.split(ROWS), strict=True):
        scores = images @ y[first].T
        is_own = own[:, None] == columns
        owns, others = scores.masked_fill(~is_own, -math.inf), scores.masked_fill(is_own, -math.inf)
        right += int((owns.amax(1) > others.amax(1)).sum())
        own_best, other_best = torch.maximum(own_best, owns.amax(0)), torch.maximum(other_best, others.amax(0))
    return right / len(x), float((own_best > other_best).float().mean())
