"""A trained model for use: images and structures into the shared space."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from cloome.data.embeddings import unit_and_length
from cloome.errors import CloomeError, FormatError
from cloome.images.intensity import eight_bit
from cloome.model.checkpoint import Checkpoint, load_checkpoint
from cloome.model.images import centre_crop
from cloome.molecules.fingerprints import morgan
from cloome.molecules.structures import read_structure

# A field of five channels takes 7 MB as floats and many times that inside the network.
IMAGES_AT_ONCE = 16


class Cloome:
    """A trained model; make one with `Cloome.load`.

    Attributes
    ----------
    channels : list of str
        The channels that images must have, in this order.
    dimension : int
        D, the dimension of the shared space.
    standardise : bool
        Whether structures were standardised for training; `encode_molecules` then does so too.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu"):
        self.channels: list[str] = list(checkpoint.channels)
        self.dimension: int = checkpoint.settings["model"]["embedding"]
        self.standardise: bool = checkpoint.settings["molecules"]["standardise"]
        self._checkpoint = checkpoint
        self._device = _device(device)
        self._network = checkpoint.network.to(self._device).eval()

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> "Cloome":
        """Load a model.

        Parameters
        ----------
        path : path
            A ``model.pt`` of this project, or a published CLOOME checkpoint (FACTS 5.4).
        device : str
            Where to compute, as torch names it: ``cpu``, ``cuda``, ``cuda:1``.

        Raises
        ------
        FormatError
            If the file is missing, truncated or no such checkpoint.
        CloomeError
            If there is no such device.
        """
        return cls(load_checkpoint(path), device)

    @property
    def digest(self) -> str:
        """Digest of the weights, the same as in the embeddings that this model made."""
        return self._checkpoint.digest

    def encode_images(self, images: np.ndarray, crop: tuple[int, int] | None = None) -> np.ndarray:
        """Embed fields of view, whole or their centres.

        Parameters
        ----------
        images : uint8 or uint16 (N, C, H, W)
            Channels in the order of `channels`. 16-bit fields must be whole, as the microscope took them: their
            brightest pixels are cut and the rest scaled to 8 bit, per channel, as in training. 8-bit fields are taken
            to be scaled already.
        crop : (int, int) or None
            Height and width in pixels of the centre to embed; it is cut out after scaling. None: the whole field.

        Returns
        -------
        float32 (N, D), unit length

        Raises
        ------
        FormatError
            If the shape or type of the images does not fit the model.
        """
        return unit_and_length(self.image_features(images, crop))[0]

    def image_features(self, images: np.ndarray, crop: tuple[int, int] | None = None) -> np.ndarray:
        """Features of fields of view before their length is made 1, as probing uses them (FACTS 4 row 25).

        Parameters, errors and shape are those of `encode_images`.
        """
        images = self._checked(images)
        features = [np.zeros((0, self.dimension), np.float32)]
        for start in range(0, len(images), IMAGES_AT_ONCE):
            fields = self._eight_bit(images[start : start + IMAGES_AT_ONCE])
            fields = fields if crop is None else centre_crop(fields, *crop)
            pixels = torch.from_numpy(np.ascontiguousarray(fields)).to(self._device)
            features.append(self._run(self._network.image_features, self._checkpoint.normalise(pixels)))
        return np.concatenate(features)

    def encode_molecules(self, smiles: Sequence[str]) -> np.ndarray:
        """Embed structures.

        Parameters
        ----------
        smiles : sequence of str
            N structures; they are standardised where the model's training did so.

        Returns
        -------
        float32 (N, D), unit length

        Raises
        ------
        FormatError
            If a SMILES is empty or invalid; the message names it.
        """
        if isinstance(smiles, str):
            raise CloomeError(f"encode_molecules takes a list of SMILES; write [{smiles!r}]")
        strange = [position for position, one in enumerate(smiles) if not isinstance(one, str)]
        if strange:
            raise CloomeError(f"encode_molecules takes SMILES; number {strange[0]} is {smiles[strange[0]]!r}")
        if not len(smiles):
            return np.zeros((0, self.dimension), np.float32)
        if self.standardise:
            smiles = [read_structure(one, standardise=True).smiles for one in smiles]
        settings = self._checkpoint.settings["molecules"]
        names = ("radius", "bits", "chirality", "counts")
        fingerprints = morgan(smiles, **{name: settings[name] for name in names})
        return self._run(self._network.encode_molecule, torch.from_numpy(fingerprints).to(self._device).float())

    def _run(self, encode, inputs: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return encode(inputs).float().cpu().numpy()

    def _checked(self, images: np.ndarray) -> np.ndarray:
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[1] != len(self.channels):
            raise FormatError(
                f"images have the shape {images.shape}; this model takes (N, {len(self.channels)}, H, W) with the "
                f"channels {', '.join(self.channels)}"
            )
        if images.dtype not in (np.uint8, np.uint16):
            raise FormatError(f"images are {images.dtype}; give 8 or 16 bit, unsigned (numpy.uint8 or numpy.uint16)")
        return images

    def _eight_bit(self, images: np.ndarray) -> np.ndarray:
        if images.dtype == np.uint8:
            return images
        intensity = self._checkpoint.settings["images"]["intensity"]
        if intensity == "none":
            raise FormatError("images have 16 bit, but this model was trained on ready 8-bit images; scale them alike")
        return np.stack([[eight_bit(channel, intensity) for channel in image] for image in images])


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CloomeError(f"no device {name!r} here; use cpu ({str(error).splitlines()[0]})") from error
    return device
