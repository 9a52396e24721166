"""A moving average of the weights, which is less noisy than the weights of any one step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Average:
    """Exponential moving average of a network's parameters, and a copy of its other values (those of BatchNorm).

    After step t (from 1) the average moves towards the parameters by 1 - d, where d is `decay`, but at first
    (1 + t) / (10 + t): the random initial weights would otherwise stay in it for 1 / (1 - decay) steps.

    Parameters
    ----------
    network : Module
        The network in training, already on its device.
    decay : float
        d of later steps, 0 to 1, both excluded.
    """

    def __init__(self, network: nn.Module, decay: float):
        self._decay = decay
        self._parameters = [p.detach() for p in network.parameters()]
        self._others = list(network.buffers())
        self._averages = [p.clone() for p in self._parameters]
        self._copies = [b.clone() for b in self._others]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        torch._foreach_lerp_(self._averages, self._parameters, 1.0 - min(self._decay, (1 + step) / (10 + step)))
        _copy(self._others, self._copies)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The network holds the average inside the block, and bit for bit its own weights again afterwards."""
        own = [value.clone() for value in self._parameters + self._others]
        self.put()
        try:
            yield
        finally:
            _copy(own, self._parameters + self._others)

    def put(self) -> None:
        """Copy the average into the network."""
        _copy(self._averages + self._copies, self._parameters + self._others)

    def state_dict(self) -> dict[str, list[torch.Tensor]]:
        """The average, to be saved."""
        return {"averages": self._averages, "copies": self._copies}

    def load_state_dict(self, values: dict[str, list[torch.Tensor]]) -> None:
        """The average as saved."""
        _copy(values["averages"] + values["copies"], self._averages + self._copies)


@torch.no_grad()
def _copy(sources: list[torch.Tensor], targets: list[torch.Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
