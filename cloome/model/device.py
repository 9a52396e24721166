"""Where networks run, and the memory that images are handed over in."""

import numpy as np
import torch


def pick_device() -> torch.device:
    """A GPU if this process sees one, else the CPU; ``CUDA_VISIBLE_DEVICES=`` hides all GPUs."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def host_memory(shape: tuple[int, ...], pin: bool) -> torch.Tensor:
    """Empty uint8 memory for images; page-locked if wanted, from which a GPU copies in the background.

    PyTorch keeps page-locked memory for the next batch, once the copies from it to the GPU are done. Other memory is
    new each time; NumPy asks for it in large pages, which the system prepares several times faster.
    """
    if pin:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
    return torch.from_numpy(np.empty(shape, dtype=np.uint8))
