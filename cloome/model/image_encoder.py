"""The image encoder: a ResNet with average-pooled strides and centre-weighted pooling (FACTS 4, row 13).

Modules have the names of the published checkpoints.
"""

from collections import OrderedDict

import torch
from torch import nn

from cloome.errors import ConfigError
from cloome.model.feature_map import feature_cells

EXPANSION = 4
# Residual blocks of the four stages, by the name in model.encoder; the paper's is resnet50 (FACTS 1.7).
BLOCKS = {
    "resnet14": [1, 1, 1, 1],
    "resnet26": [2, 2, 2, 2],
    "resnet50": [3, 4, 6, 3],
    "resnet101": [3, 4, 23, 3],
    "resnet152": [3, 8, 36, 3],
}


class ResNet(nn.Module):
    """Residual network for images of any number of channels.

    Parameters
    ----------
    channels : int
        Channels of the images.
    blocks : list of int
        Residual blocks of the four stages, as in `BLOCKS`.
    width : int
        Channels after the stem; the stages have 1, 2, 4 and 8 times as many before expansion.
    pool : int
        Window of the first average pooling, in cells of the feature map. The means of all windows are averaged
        again, so border cells, which lie in fewer windows, weigh less than those in the centre.
    embedding : int
        Dimension of the output.
    """

    def __init__(self, channels: int, blocks: list[int], width: int, pool: int, embedding: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(width * EXPANSION, width * 2, blocks[1], stride=2)
        self.layer3 = _stage(width * 2 * EXPANSION, width * 4, blocks[2], stride=2)
        self.layer4 = _stage(width * 4 * EXPANSION, width * 8, blocks[3], stride=2)
        self.avgpool = nn.AvgPool2d(pool, stride=1)
        self.fc = nn.Linear(width * 8 * EXPANSION, embedding)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Encode normalised images.

        Parameters
        ----------
        images : float (N, C, H, W)
            Normalised images.

        Returns
        -------
        float (N, embedding), not normalised

        Raises
        ------
        ConfigError
            If the images are too small for the pooling window.
        """
        height, width = feature_cells(images.shape[-2]), feature_cells(images.shape[-1])
        pool = self.avgpool.kernel_size
        if min(height, width) < pool:
            raise ConfigError(
                f"images of {images.shape[-2]} x {images.shape[-1]} pixels give {height} x {width} cells of the "
                f"feature map, but model.pool is {pool}; use larger images, or train with a smaller pool"
            )
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        return self.fc(self.avgpool(features).mean(dim=(2, 3)))


class Bottleneck(nn.Module):
    """Residual block of 1 x 1, 3 x 3 and 1 x 1 convolutions; an average pooling takes the place of a stride."""

    def __init__(self, channels: int, planes: int, stride: int):
        super().__init__()
        expanded = planes * EXPANSION
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, expanded, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(expanded)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(channels, expanded, stride) if stride > 1 or channels != expanded else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, 4 x planes, H / stride, W / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.avgpool(self.relu(self.bn2(self.conv2(out))))
        out = self.bn3(self.conv3(out))
        out += identity
        return self.relu(out)


def _stage(channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [Bottleneck(planes * EXPANSION, planes, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(channels, planes, stride), *rest)


def _downsample(channels: int, expanded: int, stride: int) -> nn.Sequential:
    # The pooling is named -1, so that convolution and normalisation keep the names 0 and 1 of torchvision's weights.
    pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
    convolution = nn.Conv2d(channels, expanded, 1, bias=False)
    return nn.Sequential(OrderedDict([("-1", pool), ("0", convolution), ("1", nn.BatchNorm2d(expanded))]))
