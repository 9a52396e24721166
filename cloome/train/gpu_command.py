"""The command ``cloome gpu``: whether a GPU can be used here, before hours are spent on the way to the training."""

import argparse
import socket
import time
from pathlib import Path

import torch

from cloome.data.files import replacing
from cloome.model.device import require_gpu


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``cloome gpu``."""
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="text file: the GPUs that were found")


def run(arguments: argparse.Namespace) -> None:
    """Multiply two matrices on each visible GPU, and write down what these are.

    Raises
    ------
    ConfigError
        If PyTorch is built without CUDA, or sees no GPU.
    """
    require_gpu()
    lines = [f"torch {torch.__version__} on {socket.gethostname()}"]
    for number in range(torch.cuda.device_count()):
        start = time.perf_counter()
        ones = torch.ones(1024, 1024, device=f"cuda:{number}")
        assert (ones @ ones)[0, 0].item() == 1024
        lines.append(f"{torch.cuda.get_device_name(number)}: {time.perf_counter() - start:.2f} s for a first product")
    with replacing(arguments.out) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
