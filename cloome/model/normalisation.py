"""Normalisation of 8-bit images per channel, on the scale 0 to 255 (FACTS 4, rows 4 and 5)."""

from dataclasses import dataclass

import torch

from cloome.config import PAPER_CHANNELS
from cloome.data.plates import Statistics
from cloome.errors import ConfigError, FormatError

# Upstream's numbers, in the order of PAPER_CHANNELS; its standard deviation equals the mean (FACTS 4, row 5).
PAPER_MEAN = [47.1314, 40.8138, 53.7692, 46.2656, 28.7243]


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel, on the scale of the stored grey values."""

    mean: list[float]
    std: list[float]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise uint8 (N, C, H, W), 0 to 255, to float32 (N, C, H, W); values are not divided by 255."""
        shape = (1, -1, 1, 1)
        # Made on the host and copied without waiting: otherwise each batch would wait for the one before it.
        mean = torch.tensor(self.mean).to(images.device, non_blocking=True).view(shape)
        std = torch.tensor(self.std).to(images.device, non_blocking=True).view(shape)
        return (images.float() - mean) / std


def paper(channels: list[str]) -> Normalisation:
    """Upstream's normalisation; raises ConfigError for other channels than the paper's, in its order."""
    if channels != PAPER_CHANNELS:
        raise ConfigError(
            f"model.normalisation 'paper' holds numbers for {', '.join(PAPER_CHANNELS)}, but the images have "
            f"{', '.join(channels)}; write normalisation: measured"
        )
    return Normalisation(PAPER_MEAN, PAPER_MEAN)


def measured(statistics: Statistics, channels: list[str]) -> Normalisation:
    """Normalisation by exact statistics; raises FormatError where a channel has one value throughout."""
    for channel, std in zip(channels, statistics.std, strict=True):
        if std == 0.0:
            raise FormatError(f"channel {channel} has the same value in every pixel; remove it from screen.channels")
    return Normalisation(statistics.mean.tolist(), statistics.std.tolist())
