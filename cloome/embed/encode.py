"""Images and molecules through a trained network, in batches."""

from collections.abc import Iterator

import numpy as np
import torch

from cloome.config import Embed
from cloome.data.embeddings import unit_and_length
from cloome.data.fields import Fields
from cloome.data.read_ahead import read_ahead
from cloome.model.checkpoint import Checkpoint
from cloome.model.images import centre_crop


@torch.inference_mode()
def embed_images(
    checkpoint: Checkpoint, fields: Fields, settings: Embed, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Embed the centre crops of stored fields (FACTS 4, rows 6 to 8).

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    fields : Fields
        N images with the model's channels; those smaller than the crop are taken whole.
    settings : cloome.config.Embed
        Size of the crop and of the batches.
    device : torch.device
        Where to compute.

    Returns
    -------
    embedding : float32 (N, D), unit length
    length : float32 (N,)
        Length of the features before it was made 1; probing needs it (FACTS 4, row 25).
    """
    network = checkpoint.network.to(device, memory_format=torch.channels_last)
    features = np.empty((len(fields), checkpoint.settings["model"]["embedding"]), dtype=np.float32)

    def read(group: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        images = np.stack([centre_crop(fields[number], settings.height, settings.width) for number in group])
        return group, torch.from_numpy(images)

    for group, images in read_ahead(read, _groups(fields, settings.batch)):
        pixels = checkpoint.normalise(images.to(device)).contiguous(memory_format=torch.channels_last)
        features[group] = network.image_features(pixels).cpu().numpy()
    return unit_and_length(features)


@torch.inference_mode()
def embed_molecules(
    checkpoint: Checkpoint, fingerprints: np.ndarray, settings: Embed, device: torch.device
) -> np.ndarray:
    """Embed fingerprints, uint8 (M, bits) of 0 and 1, as float32 (M, D), unit length."""
    network = checkpoint.network.to(device)
    batches = torch.from_numpy(fingerprints).split(settings.batch)
    return torch.cat([network.encode_molecule(batch.to(device).float()).cpu() for batch in batches]).numpy()


def _groups(fields: Fields, batch: int) -> Iterator[np.ndarray]:
    """Numbers of the fields of each batch; fields of one batch have one size, though plates may differ."""
    sizes = fields.sizes()
    for size in np.unique(sizes, axis=0):
        alike = np.flatnonzero((sizes == size).all(axis=1))
        yield from (alike[start : start + batch] for start in range(0, len(alike), batch))
