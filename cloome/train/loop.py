"""One training: epochs of forward pass, loss, backward pass and step (FACTS 4, rows 14 to 17)."""

import logging
import os
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from cloome.config import Train
from cloome.data.train_log import LOG_COLUMNS
from cloome.errors import CloomeError
from cloome.model.clip import ClipModel
from cloome.model.losses import cloob, info_nce
from cloome.model.normalisation import Normalisation
from cloome.train.optimiser import make_optimiser, make_schedule
from cloome.train.pairs import Batch, Pairs, steps_per_epoch, training_batches, validation_batches
from cloome.train.state import State

log = logging.getLogger(__name__)


def be_deterministic(seed: int) -> None:
    """Seed the initial weights, and choose algorithms that give the same bits each time.

    On a CPU the same number of threads gives the same model; on a GPU a few operations may still vary, with a warning.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling memory that is overwritten anyway would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False


class Trainer:
    """A network in training: its optimiser, schedule, arithmetic and log.

    Parameters
    ----------
    network : ClipModel
        The network; it is moved to the device and trained in place.
    normalise : Normalisation
        From 8-bit images to the network's input.
    fingerprints : uint8 (M, bits)
        Fingerprints of all molecules, 0 or 1.
    settings : cloome.config.Train
        How to train.
    method : str
        clip or cloob.
    seed : int
        Seed of the batches.
    device : torch.device
        Where to train.
    """

    def __init__(
        self,
        network: ClipModel,
        normalise: Normalisation,
        fingerprints: np.ndarray,
        settings: Train,
        method: str,
        seed: int,
        device: torch.device,
    ):
        # Measured faster on CPUs in float32 and bfloat16; the tensor cores of GPUs work in this layout.
        self.network = network.to(device, memory_format=torch.channels_last)
        self.rows: list[dict[str, float]] = []
        self._normalise = normalise
        self._fingerprints = torch.from_numpy(fingerprints).to(device)
        self._settings, self._method, self._seed, self._device = settings, method, seed, device
        self._precision = usable_precision(settings.precision, device)
        self._optimiser = make_optimiser(network, settings)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._precision is torch.float16)
        self._step = 0

    def run(self, pairs: Pairs, validation: Pairs, state: State) -> None:
        """Train to the last epoch, going on from `state` and saving into it after each epoch.

        Raises
        ------
        ConfigError
            If the schedule does not fit the number of steps.
        CloomeError
            If the loss is no longer a number.
        """
        settings = self._settings
        steps = steps_per_epoch(pairs, settings.batch)
        self._schedule = make_schedule(settings, settings.epochs * steps)
        self._restore(state.load())
        for epoch in range(len(self.rows) + 1, settings.epochs + 1):
            start = time.perf_counter()
            loss, images = self._train(training_batches(pairs, settings, self._seed, epoch, self._on_gpu), epoch)
            middle = time.perf_counter()
            validation_loss = self._validate(validation_batches(validation, settings, self._seed, self._on_gpu))
            row = [
                epoch,
                self._step,
                self._optimiser.param_groups[0]["lr"],
                self.network.inv_tau.item(),
                loss,
                validation_loss,
                images / (middle - start),
                time.perf_counter() - start,
            ]
            self.rows.append(dict(zip(LOG_COLUMNS, row, strict=True)))
            state.save(self._values())
            log.info(
                "epoch %d of %d: loss %.4f, validation %.4f, %.0f images/s",
                epoch,
                settings.epochs,
                loss,
                validation_loss,
                images / (middle - start),
            )

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def _train(self, batches: Iterable[Batch], epoch: int) -> tuple[float, int]:
        """Mean loss of one epoch, and how many images it saw."""
        self.network.train()
        # Losses stay on the device until the epoch ends, so that a GPU never waits for the host.
        losses, images = [], 0
        for batch in batches:
            for group in self._optimiser.param_groups:
                group["lr"] = self._schedule(self._step)
            loss = self._loss(batch)
            self._optimiser.zero_grad(set_to_none=True)
            self._scaler.scale(loss).backward()
            self._scaler.step(self._optimiser)
            self._scaler.update()
            self.network.clamp_inv_tau()
            self._step += 1
            losses.append(loss.detach())
            images += len(batch.images)
        mean = torch.stack(losses).mean().item()
        if not np.isfinite(mean):
            raise CloomeError(
                f"the loss of epoch {epoch} is not a number: training diverged; write a smaller train.learning_rate, "
                "a longer train.warmup or precision: bfloat16"
            )
        return mean, images

    @torch.no_grad()
    def _validate(self, batches: Iterable[Batch]) -> float:
        """Mean over the batches of their losses (FACTS 4, row 24); NaN without a batch."""
        self.network.eval()
        losses = [self._loss(batch).item() for batch in batches]
        return float(np.mean(losses)) if losses else float("nan")

    def _loss(self, batch: Batch) -> torch.Tensor:
        images = batch.images.to(self._device, non_blocking=True)
        molecule = batch.molecule.to(self._device, non_blocking=True)
        pixels = self._normalise(images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, self._precision, enabled=self._precision is not torch.float32):
            x = self.network.encode_image(pixels)
            y = self.network.encode_molecule(self._fingerprints[molecule].float())
        positives = self._settings.duplicates == "positives"
        same = molecule[:, None] == molecule[None, :] if positives else None
        inv_tau = self.network.inv_tau
        if self._method == "clip":
            return info_nce(x, y, inv_tau, same=same)
        return cloob(x, y, inv_tau, self._settings.hopfield_scale, same=same)

    def _values(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "step": self._step,
            "rows": self.rows,
        }

    def _restore(self, values: dict[str, Any] | None) -> None:
        if values is None:
            return
        self.network.load_state_dict(values["network"])
        self._optimiser.load_state_dict(values["optimiser"])
        self._scaler.load_state_dict(values["scaler"])
        self._step, self.rows = values["step"], values["rows"]
        log.info("going on after epoch %d", len(self.rows))


def usable_precision(precision: str, device: torch.device) -> torch.dtype:
    """The arithmetic for a device: float32, with a line in the log, where another is missing or only emulated."""
    if device.type == "cpu":
        if precision == "float16":
            log.info("train.precision float16 needs a GPU; training in float32")
            precision = "float32"
        # Measured on such a processor: 12 images/s in bfloat16, 400 in float32.
        if precision == "bfloat16" and torch.backends.cpu.get_cpu_capability() == "AVX2":
            log.info("train.precision bfloat16 is slow on a processor without AVX-512; training in float32")
            precision = "float32"
    return getattr(torch, precision)
