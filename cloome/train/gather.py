"""The embeddings of the whole batch, from the parts that the processes of a training hold (FACTS 4, row 20)."""

import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable

from cloome.train.processes import Group


def gather(tensor: torch.Tensor, group: Group, with_gradient: bool) -> torch.Tensor:
    """Put the parts of all processes below each other; each process gets the whole.

    Every process then computes the same loss L of the whole batch, and DistributedDataParallel averages over the W
    processes what each found as gradient of the weights. There are two ways.

    with_gradient: each part's gradient is summed over the processes, W times dL / d part. Averaged, that is the
    gradient that one process finds for the whole batch.

    local, as upstream: what others hold is constant, so each part gets its gradient only from its own process's L,
    dL / d part. Averaged, that is the same gradient divided by W. AdamW does not see such a factor (only its epsilon
    and a limit on the gradient's length do). The temperature, of which every process finds the whole gradient,
    gets it undivided either way.

    Parameters
    ----------
    tensor : (B, ...)
        This process's part, of the same shape in each process.
    group : Group
        The processes.
    with_gradient : bool
        Whether gradients reach the parts of other processes.

    Returns
    -------
    (world * B, ...), in the order of the ranks
    """
    if group.world == 1:
        return tensor
    if with_gradient:
        return gather_with_gradient(tensor)
    parts = _parts(tensor.detach())
    parts[group.rank] = tensor
    return torch.cat(parts)


def gather_with_gradient(tensor: torch.Tensor) -> torch.Tensor:
    """Put the parts (B, ...) of all processes below each other; the gradient of each is the sum of all processes'."""
    return _Gather.apply(tensor)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: torch.Tensor) -> torch.Tensor:
        ctx.rows = len(tensor)
        return torch.cat(_parts(tensor))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        # A copy: the gradient itself may belong to others.
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[dist.get_rank() * ctx.rows :][: ctx.rows]


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    own = tensor.contiguous()
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    return parts
