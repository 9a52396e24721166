"""Images and molecules through a trained network, in batches."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from cloome.config import Embed
from cloome.data.fields import Fields
from cloome.data.read_ahead import READERS, fill_ahead
from cloome.model.checkpoint import Checkpoint
from cloome.model.device import host_memory
from cloome.model.gapnet import FEATURES as GAPNET_FEATURES
from cloome.model.gapnet import GapNet
from cloome.model.images import centre_crop

GAPNET_BATCH = 32  # whole fields; a gigabyte for what lies between its layers


@torch.inference_mode()
def image_features(
    checkpoint: Checkpoint, fields: Fields, settings: Embed, device: torch.device, readers: int = READERS
) -> np.ndarray:
    """Features of the centre crops of stored fields (FACTS 4, rows 6 to 8).

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
    readers : int
        Threads that read.

    Returns
    -------
    float32 (N, D)
        Not of unit length: probing needs the lengths (FACTS 4, row 25).
    """
    network = checkpoint.network.to(device, memory_format=torch.channels_last)
    return _features(
        lambda pixels: network.image_features(checkpoint.normalise(pixels)),
        checkpoint.settings["model"]["embedding"],
        fields,
        (settings.height, settings.width),
        settings.batch,
        device,
        readers,
    )


@torch.inference_mode()
def gapnet_features(network: GapNet, fields: Fields, device: torch.device, readers: int = READERS) -> np.ndarray:
    """GapNet's penultimate features of whole stored fields, float32 (N, 1024) (FACTS 1.4)."""
    network = network.to(device, memory_format=torch.channels_last)
    return _features(network.features, GAPNET_FEATURES, fields, None, GAPNET_BATCH, device, readers)


@torch.inference_mode()
def embed_molecules(
    checkpoint: Checkpoint, fingerprints: np.ndarray, settings: Embed, device: torch.device
) -> np.ndarray:
    """Embed fingerprints, uint8 (M, bits) of bits or counts, as float32 (M, D), unit length."""
    network = checkpoint.network.to(device)
    batches = torch.from_numpy(fingerprints).split(settings.batch)
    return torch.cat([network.encode_molecule(batch.to(device).float()).cpu() for batch in batches]).numpy()


def _features(
    network: Callable[[torch.Tensor], torch.Tensor],
    dimensions: int,
    fields: Fields,
    crop: tuple[int, int] | None,
    batch: int,
    device: torch.device,
    readers: int,
) -> np.ndarray:
    """What a network makes of uint8 images (B, C, h, w) on the device, float32 (N, dimensions)."""
    features = np.empty((len(fields), dimensions), dtype=np.float32)
    waiting = None
    for group, images in _read(fields, crop, batch, device.type == "cuda", readers):
        found = network(images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last))
        # A result is fetched when the next batch is on its way, so that a GPU never waits for the host.
        if waiting is not None:
            features[waiting[0]] = waiting[1].cpu().numpy()
        waiting = group, found
    if waiting is not None:
        features[waiting[0]] = waiting[1].cpu().numpy()
    return features


def _read(
    fields: Fields, crop: tuple[int, int] | None, batch: int, pin: bool, readers: int
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Numbers of the fields of each batch, and their centres or all of them, uint8 (B, C, h, w); in the background."""
    sizes = fields.sizes()
    if crop is not None:
        sizes = np.minimum(sizes, crop)

    def empty(group: np.ndarray) -> torch.Tensor:
        return host_memory((len(group), len(fields.channels), *sizes[group[0]].tolist()), pin)

    def fill(images: torch.Tensor, group: np.ndarray, rows: range) -> None:
        target = images.numpy()
        for row in rows:
            target[row] = centre_crop(fields[group[row]], *target.shape[2:])

    return fill_ahead(empty, fill, ((group, len(group)) for group in _groups(sizes, batch)), readers)


def _groups(sizes: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    """Numbers of the fields of each batch; fields of one batch have one size, though plates may differ."""
    for size in np.unique(sizes, axis=0):
        alike = np.flatnonzero((sizes == size).all(axis=1))
        yield from (alike[start : start + batch] for start in range(0, len(alike), batch))
