"""Where evaluation computes."""

from typing import Any


def gpu() -> Any:
    """The CUDA device of PyTorch, or None. PyTorch is imported here, so that only work that repays it waits for it."""
    try:
        import torch
    except ImportError:
        return None
    return torch.device("cuda") if torch.cuda.is_available() else None
