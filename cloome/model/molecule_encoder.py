"""The molecule encoder: fully connected layers on fingerprints (FACTS 1.7)."""

from itertools import pairwise

import torch
from torch import nn


class MLP(nn.Module):
    """Hidden layers with batch normalisation and ReLU, then a linear one; named as in the published checkpoints.

    Parameters
    ----------
    bits : int
        Length of the fingerprint.
    hidden : int
        Width of the hidden layers.
    hidden_layers : int
        Number of hidden layers.
    embedding : int
        Dimension of the output.
    """

    def __init__(self, bits: int, hidden: int, hidden_layers: int, embedding: int):
        super().__init__()
        widths = [bits] + [hidden] * hidden_layers
        layers = [
            nn.Sequential(nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())
            for before, after in pairwise(widths)
        ]
        self.layers = nn.ModuleList([*layers, nn.Sequential(nn.Linear(hidden, embedding))])

    def forward(self, fingerprints: torch.Tensor) -> torch.Tensor:
        """Encode float (N, bits) of bits or counts to float (N, embedding), not normalised."""
        for layer in self.layers:
            fingerprints = layer(fingerprints)
        return fingerprints
