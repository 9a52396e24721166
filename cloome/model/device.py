"""Where networks run, and the memory that images are handed over in."""

import numpy as np
import torch

from cloome.errors import ConfigError


def pick_device() -> torch.device:
    """A GPU if this process sees one, else the CPU; ``CUDA_VISIBLE_DEVICES=`` hides all GPUs."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def require_gpu() -> None:
    """Raise a ConfigError that says what to do if this process cannot compute on a GPU."""
    if torch.cuda.is_available():
        return
    if torch.version.cuda is None:
        why = (
            f"PyTorch {torch.__version__} here is a build for the CPU; make the environment again from "
            "envs/train.gpu.yaml, or install a CUDA build"
        )
    else:
        why = (
            "this process sees none; ask for one (on Slurm, `gpu` and the partition in profiles/slurm/profile.yaml), "
            "and look at nvidia-smi and CUDA_VISIBLE_DEVICES on the same machine"
        )
    raise ConfigError(f"running.gpu is true, but {why}; or write running: {{gpu: false}} to compute on the CPU")


def host_memory(shape: tuple[int, ...], pin: bool) -> torch.Tensor:
    """Empty uint8 memory for images; page-locked if wanted, from which a GPU copies in the background.

    PyTorch keeps page-locked memory for the next batch, once the copies from it to the GPU are done. Other memory is
    new each time; NumPy asks for it in large pages, which the system prepares several times faster.
    """
    if pin:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
    return torch.from_numpy(np.empty(shape, dtype=np.uint8))
