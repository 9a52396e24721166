"""Where networks run."""

import torch


def pick_device() -> torch.device:
    """A GPU if this process sees one, else the CPU; ``CUDA_VISIBLE_DEVICES=`` hides all GPUs."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
