"""The network: an image encoder and a molecule encoder that share an embedding space, and their temperature."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from cloome.config import Model
from cloome.model.image_encoder import ResNet
from cloome.model.molecule_encoder import MLP

MAX_INV_TAU = 100.0  # FACTS 4, row 16


class ClipModel(nn.Module):
    """Two encoders and the logarithm of the inverse temperature; see `build_model`.

    Attributes
    ----------
    visual : ResNet
        The image encoder.
    transformer : MLP
        The molecule encoder; the name is that of the published checkpoints.
    logit_inv_tau : Parameter
        Natural logarithm of the inverse temperature, a scalar.
    """

    def __init__(self, visual: ResNet, transformer: MLP, inv_tau: float, learn_inv_tau: bool):
        super().__init__()
        self.visual = visual
        self.transformer = transformer
        self.logit_inv_tau = nn.Parameter(torch.tensor(math.log(inv_tau)), requires_grad=learn_inv_tau)

    @property
    def inv_tau(self) -> torch.Tensor:
        """The inverse temperature, a scalar."""
        return self.logit_inv_tau.exp()

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        """Features of normalised images, float (N, C, H, W), as float32 (N, D) of any length."""
        return self.visual(images).float()

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Embed normalised images, float (N, C, H, W), as float32 (N, D) of unit length."""
        return _unit(self.image_features(images))

    def encode_molecule(self, fingerprints: torch.Tensor) -> torch.Tensor:
        """Embed fingerprints, float (N, bits) of 0 and 1, as float32 (N, D) of unit length."""
        return _unit(self.transformer(fingerprints))

    @torch.no_grad()
    def clamp_inv_tau(self) -> None:
        """Bring the inverse temperature back between 1 and 100."""
        self.logit_inv_tau.clamp_(0.0, math.log(MAX_INV_TAU))


def build_model(model_settings: Model, channels: int, bits: int, inv_tau: float, learn_inv_tau: bool) -> ClipModel:
    """Build the network with new weights.

    Parameters
    ----------
    model_settings : cloome.config.Model
        Sizes of the encoders.
    channels : int
        Channels of the images.
    bits : int
        Length of the fingerprints.
    inv_tau : float
        Initial inverse temperature, 1 to 100.
    learn_inv_tau : bool
        Whether the temperature is trained.
    """
    size = model_settings
    visual = ResNet(channels, size.blocks, size.width, size.pool, size.embedding)
    transformer = MLP(bits, size.hidden, size.hidden_layers, size.embedding)
    return ClipModel(visual, transformer, inv_tau, learn_inv_tau)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    # In float32 also under autocast: half precision would leave lengths off by a thousandth.
    return F.normalize(vectors.float(), dim=1)
