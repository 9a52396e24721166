"""Crops of images."""

from typing import TypeVar

import numpy as np
import torch

Images = TypeVar("Images", np.ndarray, torch.Tensor)


def centre_crop(images: Images, height: int, width: int) -> Images:
    """Cut the centre out of images; a view, not a copy.

    Parameters
    ----------
    images : array or tensor (..., H, W)
        Images of one size.
    height, width : int
        Size of the crop in pixels. An image that is smaller is taken whole along that axis.

    Returns
    -------
    array or tensor (..., min(H, height), min(W, width))
        Odd margins are rounded as in torchvision's CenterCrop (FACTS 4, row 6).
    """
    top = max(round((images.shape[-2] - height) / 2), 0)
    left = max(round((images.shape[-1] - width) / 2), 0)
    return images[..., top : top + height, left : left + width]
