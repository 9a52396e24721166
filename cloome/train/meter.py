"""What one epoch's training takes: images, seconds, time without work, memory."""

import resource
import time
from collections.abc import Iterable, Iterator

import torch

from cloome.train.batches import Batch


class Meter:
    """Counts over one epoch; on a GPU without making it wait.

    Parameters
    ----------
    device : torch.device
        Where the network is trained.
    world : int
        Processes that train; each sees an equal part of a batch.
    """

    def __init__(self, device: torch.device, world: int = 1):
        self._device, self._world = device, world
        self._gaps: list[tuple] = []
        self._since: float | None = None
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self._images, self._seconds, self._waited = 0, 0.0, 0.0
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats(self._device)

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, one by one; measures how long each is waited for."""
        self._since = time.perf_counter()
        iterator = iter(batches)
        while True:
            before = self._now()
            batch = next(iterator, None)
            if batch is None:
                break
            self._gaps.append((before, self._now()))
            self._images += len(batch.images) * self._world
            yield batch

    def settle(self) -> None:
        """Add up the time so far; all work that was given to the GPU is done when this is called."""
        for before, after in self._gaps:
            self._waited += before.elapsed_time(after) / 1000 if self._on_gpu else after - before
        self._gaps.clear()
        now = time.perf_counter()
        if self._since is not None:
            self._seconds += now - self._since
            self._since = now

    def stop(self) -> None:
        """As `settle`; what follows, such as the validation, is not counted."""
        self.settle()
        self._since = None

    @property
    def images_per_second(self) -> float:
        """Images of all processes per second of training."""
        return self._images / self._seconds if self._seconds else 0.0

    @property
    def waiting_share(self) -> float:
        """Share of the time in which there was nothing to compute because images were not there, 0 to 1."""
        return self._waited / self._seconds if self._seconds else 0.0

    def peak_memory(self) -> float:
        """Largest memory in MB: of the GPU in this epoch, or of this process."""
        if self._on_gpu:
            return torch.cuda.max_memory_allocated(self._device) / 1e6
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

    def state_dict(self) -> dict[str, float]:
        """What was counted so far, to be saved."""
        return {"images": self._images, "seconds": self._seconds, "waited": self._waited}

    def load_state_dict(self, values: dict[str, float]) -> None:
        """As saved."""
        self._images, self._seconds, self._waited = values["images"], values["seconds"], values["waited"]

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def _now(self):
        """A moment; on a GPU the one at which it has done what it was given, so that a gap is time without work."""
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event
