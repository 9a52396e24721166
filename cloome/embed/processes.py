"""Images through a trained network in several processes, one for each GPU."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import numpy as np
import torch

from cloome.config import Embed
from cloome.data.fields import Fields
from cloome.embed.encode import image_features
from cloome.errors import CloomeError
from cloome.model.checkpoint import load_checkpoint


def wanted_processes(asked: int | None, images: int) -> int:
    """As many as asked for, or as GPUs are visible; at least one, and not more than images."""
    return max(1, min(asked or torch.cuda.device_count(), images))


def features_in_processes(
    model: str, plates: Sequence[str], keys: np.ndarray, settings: Embed, readers: int, processes: int
) -> np.ndarray:
    """Features of stored fields, float32 (N, D), as `image_features` gives them, from several processes.

    Each takes an equal share of the fields, on a GPU of its own where there are GPUs.

    Parameters
    ----------
    model : path
        The model; each process loads it.
    plates : sequence of paths
        Plate stores.
    keys : str (N,)
        Sample keys of the fields.
    settings : cloome.config.Embed
        Size of the crop and of the batches of each process.
    readers : int
        Threads that read, for each process.
    processes : int
        How many; not more than fields.

    Raises
    ------
    FormatError
        If an image is damaged.
    CloomeError
        If a process is killed.
    """
    threads = max(1, torch.get_num_threads() // processes)
    # A GPU that the parent has touched cannot be used after a fork, so each process starts afresh.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(_features, rank, threads, model, plates, part, settings, readers)
            for rank, part in enumerate(np.array_split(keys, processes))
        ]
        try:
            return np.concatenate([job.result() for job in jobs])
        except BrokenProcessPool as error:
            raise CloomeError(
                f"one of {processes} processes was killed, as happens when memory runs out; write a smaller "
                "embed.batch, or a smaller running.processes"
            ) from error


def _features(
    rank: int, threads: int, model: str, plates: Sequence[str], keys: np.ndarray, settings: Embed, readers: int
) -> np.ndarray:
    torch.set_num_threads(threads)
    gpus = torch.cuda.device_count()
    device = torch.device("cuda", rank % gpus) if gpus else torch.device("cpu")
    return image_features(load_checkpoint(model), Fields(plates, keys), settings, device, readers)
