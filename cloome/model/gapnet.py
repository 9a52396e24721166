"""GapNet, the network that the paper compares with: published weights, penultimate features (hti-cnn; FACTS 1.4, 5.4).

Hofmarcher et al. (JCIM 2019, 59:1163) trained it for the 209 assays. The four blocks of convolutions are averaged over
the field each and put side by side; three fully connected layers follow. The paper takes what enters the last SELU,
from whole fields whose pixels are neither scaled nor normalised (0 to 255).
"""

from pathlib import Path

import torch
from torch import nn

from cloome.errors import FormatError

FEATURES = 1024
CHANNELS, TASKS = 5, 209
# Of the convolutions of a block: channels, stride, and padding, which is the dilation as well; padding of its pooling.
BLOCKS = [
    ([(32, 2, 1)], 0),
    ([(64, 2, 1), (64, 1, 1), (64, 1, 1)], 1),
    ([(128, 1, 1), (128, 1, 1), (128, 1, 1)], 0),
    ([(256, 1, 2), (256, 1, 2), (256, 1, 4)], None),
]
PUBLISHED_PREFIX = "module."


class GapNet(nn.Module):
    """The published network, with the names of the published state dict."""

    def __init__(self):
        super().__init__()
        width = CHANNELS
        averaged = 0
        for number, (convolutions, pooling) in enumerate(BLOCKS, 1):
            layers = []
            for channels, stride, padding in convolutions:
                layers += [nn.Conv2d(width, channels, 3, stride, padding, dilation=padding), nn.SELU()]
                width = channels
            if pooling is not None:
                layers.append(nn.MaxPool2d(2, padding=pooling))
            setattr(self, f"block{number}", nn.Sequential(*layers))
            averaged += width
        # The places of the dropout layers, which do nothing here, keep the published numbers of the others.
        self.classifier = nn.Sequential(
            nn.Linear(averaged, FEATURES),
            nn.SELU(),
            nn.Identity(),
            nn.Linear(FEATURES, FEATURES),
            nn.SELU(),
            nn.Identity(),
            nn.Linear(FEATURES, TASKS),
        )

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Penultimate features of images (N, 5, H, W) of values 0 to 255, float32 (N, 1024), before the last SELU."""
        pixels, means = images.float(), []
        for number in range(1, len(BLOCKS) + 1):
            pixels = getattr(self, f"block{number}")(pixels)
            means.append(pixels.mean(dim=(2, 3)))
        return self.classifier[:4](torch.cat(means, dim=1))


def load_gapnet(path: str | Path) -> GapNet:
    """Load the published weights, in evaluation mode on the CPU; nothing in the file is run.

    Raises
    ------
    FormatError
        If the file is missing, truncated, or holds another network.
    """
    if not Path(path).is_file():
        raise FormatError(f"{path}: no such file; fetch GapNet's weights (docs/sources.md), or write gapnet: null")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in whichever part of the reader first meets the damage
        raise FormatError(f"{path}: truncated, or not a file of PyTorch weights; fetch it again") from error
    network = GapNet()
    try:
        weights = {name.removeprefix(PUBLISHED_PREFIX): tensor for name, tensor in content["state_dict"].items()}
        network.load_state_dict(weights)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
        raise FormatError(
            f"{path}: not GapNet as published (a dictionary with state_dict: five channels, 209 tasks)"
        ) from error
    return network.eval()
