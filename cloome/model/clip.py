"""The network: an image encoder and a molecule encoder that share an embedding space, and their temperature."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from cloome.config import Model
from cloome.errors import ConfigError
from cloome.model.image_encoder import BLOCKS, ResNet
from cloome.model.molecule_encoder import MLP
from cloome.model.timm_encoder import PREFIX, timm_encoder

MAX_INV_TAU = 100.0  # FACTS 4, row 16
FIRST_BIAS = -10.0  # Zhai et al. 2023: an untrained model then calls nearly all pairs negative, as they are


class ClipModel(nn.Module):
    """Two encoders, the logarithm of the inverse temperature and, for SigLIP, a bias; see `build_model`.

    Attributes
    ----------
    visual : ResNet or TimmEncoder
        The image encoder.
    transformer : MLP
        The molecule encoder; the name is that of the published checkpoints.
    logit_inv_tau : Parameter
        Natural logarithm of the inverse temperature, a scalar.
    logit_bias : Parameter or None
        Bias of the loss SigLIP, a scalar, always trained; None for the other losses.
    """

    def __init__(self, visual: nn.Module, transformer: MLP, inv_tau: float, learn_inv_tau: bool, biased: bool = False):
        super().__init__()
        self.visual = visual
        self.transformer = transformer
        self.logit_inv_tau = nn.Parameter(torch.tensor(math.log(inv_tau)), requires_grad=learn_inv_tau)
        self.logit_bias = nn.Parameter(torch.tensor(FIRST_BIAS)) if biased else None

    @property
    def inv_tau(self) -> torch.Tensor:
        """The inverse temperature, a scalar."""
        return self.logit_inv_tau.exp()

    def forward(self, images: torch.Tensor, fingerprints: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed images and molecules, as `encode_image` and `encode_molecule` do."""
        return self.encode_image(images), self.encode_molecule(fingerprints)

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        """Features of normalised images, float (N, C, H, W), as float32 (N, D) of any length."""
        return self.visual(images).float()

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Embed normalised images, float (N, C, H, W), as float32 (N, D) of unit length."""
        return _unit(self.image_features(images))

    def encode_molecule(self, fingerprints: torch.Tensor) -> torch.Tensor:
        """Embed fingerprints, float (N, bits) of bits or counts, as float32 (N, D) of unit length."""
        return _unit(self.transformer(fingerprints))

    @torch.no_grad()
    def clamp_inv_tau(self) -> None:
        """Bring the inverse temperature back between 1 and 100."""
        self.logit_inv_tau.clamp_(0.0, math.log(MAX_INV_TAU))


def build_model(
    model_settings: Model,
    channels: int,
    bits: int,
    inv_tau: float,
    learn_inv_tau: bool,
    *,
    biased: bool = False,
    pretrained: bool = True,
) -> ClipModel:
    """Build the network.

    Parameters
    ----------
    model_settings : cloome.config.Model
        Kind and sizes of the encoders.
    channels : int
        Channels of the images.
    bits : int
        Length of the fingerprints.
    inv_tau : float
        Initial inverse temperature, 1 to 100.
    learn_inv_tau : bool
        Whether the temperature is trained.
    biased : bool
        Whether there is a bias, as the loss SigLIP needs.
    pretrained : bool
        Start a timm backbone from model.encoder_weights, where that names a file. False: weights of a checkpoint
        follow, so the file is not opened.

    Raises
    ------
    ConfigError
        If there is no such encoder, or the ResNets, which start from random weights, are given a file of them.
    CloomeError
        If the encoder needs timm, which is not installed or cannot be loaded.
    FormatError
        If the file of weights cannot be read or belongs to another backbone.
    """
    size = model_settings
    transformer = MLP(bits, size.hidden, size.hidden_layers, size.embedding)
    return ClipModel(_visual(size, channels, pretrained), transformer, inv_tau, learn_inv_tau, biased)


def _visual(size: Model, channels: int, pretrained: bool) -> nn.Module:
    if size.encoder.startswith(PREFIX):
        weights = size.encoder_weights if pretrained else None
        return timm_encoder(size.encoder.removeprefix(PREFIX), channels, size.embedding, weights)
    if size.encoder_weights is not None:
        raise ConfigError(
            f"model.encoder_weights is {size.encoder_weights}, but {size.encoder} starts from random weights; write "
            f"encoder_weights: null, or an encoder of timm such as {PREFIX}resnet50"
        )
    return ResNet(channels, BLOCKS[size.encoder], size.width, size.pool, size.embedding)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    # In float32 also under autocast: half precision would leave lengths off by a thousandth.
    return F.normalize(vectors.float(), dim=1)
