"""The losses of an epoch, read from the device now and then, and what is said when one is not a number."""

import math
from dataclasses import dataclass

import torch

from cloome.errors import CloomeError
from cloome.train.batches import Batch

NAMED = 3  # sample keys in a message
ADVICE = (
    "training diverged; write a smaller train.learning_rate, a longer train.warmup, train.gradient_clip: 1.0 "
    "or train.precision: bfloat16"
)


@dataclass(frozen=True)
class Waiting:
    """A loss that is still on the device, and the batch that it belongs to."""

    loss: torch.Tensor
    number: int
    keys: tuple[str, ...]


class Losses:
    """The loss of each batch of an epoch, in order.

    Reading a number from a GPU waits until it is computed, so losses are read many at once.

    Parameters
    ----------
    epoch : int
        Number of the epoch, for messages.
    values : list of float
        Losses of the batches that were done before a killed run went on; those that are read are added to it.
    """

    def __init__(self, epoch: int, values: list[float]):
        self.values = values
        self._epoch = epoch
        self._waiting: list[Waiting] = []

    def add(self, loss: torch.Tensor, batch: Batch) -> None:
        """Note the loss of a batch, a scalar."""
        self._waiting.append(Waiting(loss, batch.number, batch.keys[:NAMED]))

    @property
    def waiting(self) -> int:
        """How many losses have not been read."""
        return len(self._waiting)

    def read(self) -> None:
        """Read all losses that were added.

        Raises
        ------
        CloomeError
            If one is not a finite number; names the first such batch.
        """
        if not self._waiting:
            return
        values = torch.stack([waiting.loss for waiting in self._waiting]).tolist()
        for value, waiting in zip(values, self._waiting, strict=True):
            if not math.isfinite(value):
                raise CloomeError(
                    f"the loss is {value} in epoch {self._epoch}, batch {waiting.number} "
                    f"(images {', '.join(waiting.keys)}, ...): {ADVICE}"
                )
        self.values += values
        self._waiting.clear()

    @property
    def mean(self) -> float:
        """Mean of the losses read so far."""
        return math.fsum(self.values) / len(self.values)
