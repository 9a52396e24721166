"""BatchNorm whose statistics are those of the batches of all processes together."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cloome.errors import ConfigError
from cloome.train.gather import gather_with_gradient

KNOWN = (nn.BatchNorm1d, nn.BatchNorm2d)


def synchronised(network: nn.Module) -> nn.Module:
    """Let every BatchNorm of a network take its statistics over all processes.

    On a GPU this is torch's SyncBatchNorm, which refuses CPUs; there it is `SynchronisedBatchNorm`. Layers are replaced
    in place; parameters and buffers keep their names and remain the same objects.

    Parameters
    ----------
    network : nn.Module
        The network, on its device.

    Returns
    -------
    The network

    Raises
    ------
    ConfigError
        If it has a BatchNorm that does more than normalise, which the replacement would lose.
    """
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and type(module) not in KNOWN:
            raise ConfigError(
                f"train.sync_batchnorm cannot replace the layer {name}, a {type(module).__name__}; "
                "write sync_batchnorm: false, or one of the encoders resnet14 to resnet152"
            )
    if any(parameter.is_cuda for parameter in network.parameters()):
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, KNOWN):
                setattr(parent, name, SynchronisedBatchNorm.like(child))
    return network


class SynchronisedBatchNorm(_BatchNorm):
    """BatchNorm of (N, C) or (N, C, ...) with statistics over all processes, on any device.

    In evaluation, and where there is one process, it is BatchNorm. Processes may hold different numbers of rows.
    """

    @classmethod
    def like(cls, layer: _BatchNorm) -> "SynchronisedBatchNorm":
        """The same layer, with the very parameters and buffers of the one given."""
        new = cls(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        new._parameters, new._buffers, new.training = layer._parameters, layer._buffers, layer.training
        return new

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise per channel."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(x)
        across, shape = [0, *range(2, x.dim())], [1, -1] + [1] * (x.dim() - 2)
        mean, variance, count = _statistics(x.float(), across, shape)
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        out = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1.0 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)

    def _check_input_dim(self, x: torch.Tensor) -> None:
        if x.dim() < 2:
            raise ValueError(f"expected (N, C, ...), got {x.dim()} dimensions")


def _statistics(
    values: torch.Tensor, across: list[int], shape: list[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and variance (C,) over all processes, and how many values of a channel they have.

    Each process sums squares around its own mean: squares of raw values would lose digits.
    """
    own_mean = values.mean(across)
    own_squares = (values - own_mean.view(shape)).square().sum(across)
    own_count = torch.full((1,), float(values.numel() // values.shape[1]), device=values.device)
    all_of_them = gather_with_gradient(torch.cat([own_mean, own_squares, own_count])[None])
    means, squares, counts = all_of_them.split([values.shape[1], values.shape[1], 1], dim=1)
    counts = counts.detach()
    mean = (means * counts).sum(0) / counts.sum()
    variance = (squares + counts * (means - mean).square()).sum(0) / counts.sum()
    return mean, variance, counts.sum()


@contextmanager
def running_statistics_kept(network: nn.Module) -> Iterator[None]:
    """Forward passes inside leave the running statistics of every BatchNorm as they are."""
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
