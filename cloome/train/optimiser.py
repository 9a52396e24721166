"""AdamW with upstream's choice of what decays, and the learning rate of each step (FACTS 1.7; 4, row 17)."""

import math
from collections.abc import Callable

import torch
from torch import nn

from cloome.config import Train
from cloome.errors import ConfigError

# Upstream leaves out parameters with one of these in the name. The normalisation layers of the molecule encoder and
# of the downsampling branches have none of them, nor has logit_inv_tau, so these decay.
UPSTREAM_WITHOUT_DECAY = ("bn", "ln", "bias", "logit_scale")


def make_optimiser(network: nn.Module, settings: Train) -> torch.optim.AdamW:
    """AdamW over all trained parameters, in one group that decays and one that does not.

    On a GPU all of them are updated in one kernel (fused); make it after the network was moved there.
    """
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    decaying = [p for name, p in trained if decays(name, p, settings.decay)]
    others = [p for name, p in trained if not decays(name, p, settings.decay)]
    return torch.optim.AdamW(
        [{"params": decaying, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        fused=True if trained[0][1].is_cuda else None,
    )


def decays(name: str, parameter: torch.Tensor, rule: str) -> bool:
    """Whether a parameter decays by the rule 'upstream' (by its name) or 'weights' (by its dimensions)."""
    if rule == "weights":
        return parameter.ndim >= 2
    return not any(part in name for part in UPSTREAM_WITHOUT_DECAY)


def make_schedule(settings: Train, total: int) -> Callable[[int], float]:
    """The learning rate as a function of the step, counted from 0.

    It rises linearly from 0 over the warm-up, then falls to 0 as half a cosine; with restarts it falls so in each of
    several equal cycles and jumps back to the peak between them.

    Parameters
    ----------
    settings : cloome.config.Train
        Peak, warm-up, schedule, restarts and epochs.
    total : int
        Steps of the whole training, the same number in each epoch.

    Raises
    ------
    ConfigError
        If the warm-up does not end before the training.
    """
    warmup = _warmup(settings, total)
    cycles = settings.restarts if settings.schedule == "cosine_restarts" else 1

    def learning_rate(step: int) -> float:
        if step < warmup:
            return settings.learning_rate * step / warmup
        progress = (step - warmup) / (total - warmup)
        within = 1.0 if progress >= 1.0 else cycles * progress % 1.0
        return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * within))

    return learning_rate


def _warmup(settings: Train, total: int) -> int:
    """Steps of the warm-up, from train.warmup_epochs if it is given, else train.warmup."""
    if settings.warmup_epochs is not None:
        if settings.warmup_epochs >= settings.epochs:
            raise ConfigError(
                f"train.warmup_epochs is {settings.warmup_epochs:g}, but train.epochs is {settings.epochs}; "
                f"write warmup_epochs: {settings.epochs / 10:g}, a tenth of them, or train for more epochs"
            )
        return min(round(settings.warmup_epochs * total / settings.epochs), total - 1)
    if settings.warmup >= total:
        raise ConfigError(
            f"train.warmup is {settings.warmup} steps, but the training has {total}; "
            f"write warmup: {total // 10}, a tenth of them, or train for more epochs"
        )
    return settings.warmup
