"""One training: epochs of forward pass, loss, backward pass and step (FACTS 4, rows 14 to 17)."""

import logging
import time
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from cloome.config import Train
from cloome.data.train_log import LOG_COLUMNS
from cloome.errors import CloomeError, ConfigError
from cloome.model.clip import ClipModel
from cloome.model.normalisation import Normalisation
from cloome.train.average import Average
from cloome.train.batches import Batch, copied_ahead, steps_per_epoch, training_batches, validation_batches
from cloome.train.best import Best, Score, top1
from cloome.train.guard import Losses
from cloome.train.meter import Meter
from cloome.train.optimiser import make_optimiser, make_schedule
from cloome.train.pairs import Pairs
from cloome.train.processes import Group
from cloome.train.state import State
from cloome.train.step import Step
from cloome.train.watch import Watch

log = logging.getLogger(__name__)

READ_EVERY = 50  # steps; a GPU finishes what it has to do before losses are read
SAVE_SECONDS = 300  # between two states within an epoch


class Trainer:
    """A network in training: its optimiser, schedule, arithmetic and log.

    Parameters
    ----------
    network : ClipModel
        The network; it is moved to the group's device and trained in place.
    normalise : Normalisation
        From 8-bit images to the network's input.
    fingerprints : uint8 (M, bits)
        Fingerprints of all molecules.
    settings : cloome.config.Train
        How to train.
    method : str
        clip, cloob, siglip or cwcl.
    seed : int
        Seed of the batches.
    group : Group
        This process among all that train; each holds a Trainer, the first one also validates and saves.
    readers : int
        Threads that read images.
    """

    def __init__(
        self,
        network: ClipModel,
        normalise: Normalisation,
        fingerprints: np.ndarray,
        settings: Train,
        method: str,
        seed: int,
        group: Group,
        readers: int,
    ):
        self.network = network
        self.rows: list[dict[str, float]] = []
        self._settings, self._seed, self._group, self._readers = settings, seed, group, readers
        precision = usable_precision(settings.precision, group.device)
        self._scaler = torch.amp.GradScaler(group.device.type, enabled=precision is torch.float16)
        self._step = Step(network, normalise, fingerprints, settings, method, precision, self._scaler, group)
        self._optimiser = make_optimiser(network, settings)
        self._average = Average(network, settings.ema) if settings.ema and self._is_first else None
        self._best = Best(settings) if settings.keep == "best" and self._is_first else None
        self._meter = Meter(group.device, group.world)
        self._losses: list[float] = []  # of the epoch that is being trained
        self._steps = 0  # of all epochs

    def run(self, pairs: Pairs, validation: Pairs, state: State, watch: Watch) -> None:
        """Train to the end, going on from `state`, and leave in the network the weights that are the model.

        Raises
        ------
        ConfigError
            If the schedule does not fit the number of steps, or there is no validation part to find the best epoch.
        CloomeError
            If a loss is no longer a number, or memory runs out.
        """
        settings = self._settings
        if settings.keep == "best" and not len(validation):
            raise ConfigError(
                "train.keep is best, but the split has no validation part; give it one, or write keep: last"
            )
        steps = steps_per_epoch(pairs, settings)
        self._schedule = make_schedule(settings, settings.epochs * steps)
        self._restore(state.load())
        watch.write(self.rows)
        while len(self.rows) < settings.epochs and not self._given_up():
            start, epoch = time.perf_counter(), len(self.rows) + 1
            watch.begin(epoch, steps, len(self._losses))
            try:
                self._train(pairs, epoch, steps, state, watch)
            finally:
                watch.close()
            score = self._validate(validation, epoch)
            self._end_epoch(epoch, score, time.perf_counter() - start)
            if self._is_first:
                state.save(self._values())
            watch.end(self.rows)
        self._put_model()

    def _train(self, pairs: Pairs, epoch: int, steps: int, state: State, watch: Watch) -> None:
        """Train for what is left of an epoch."""
        self.network.train()
        # What is read is added to self._losses itself, so that it is in the state.
        losses, saved = Losses(epoch, self._losses), time.monotonic()
        for batch in self._meter.over(self._batches(pairs, epoch, steps)):
            losses.add(self._one_step(batch), batch)
            watch.step()
            save = self._is_first and time.monotonic() - saved >= SAVE_SECONDS
            if losses.waiting >= READ_EVERY or watch.due or save:
                losses.read()
                self._meter.settle()
                watch.say(losses.mean, self._meter.images_per_second)
            if save:
                state.save(self._values())
                saved = time.monotonic()
        losses.read()
        self._meter.stop()

    def _batches(self, pairs: Pairs, epoch: int, steps: int):
        start = len(self._losses)
        if start == steps:  # saved after the last step, killed before the end of the validation
            return ()
        batches = training_batches(
            pairs,
            self._settings,
            self._seed,
            epoch,
            start=start,
            rank=self._group.rank,
            world=self._group.world,
            pin=self._on_gpu,
            readers=self._readers,
        )
        # A batch that passes in parts may be larger than the GPU's memory, so its parts are copied one by one.
        return batches if self._settings.micro_batch else copied_ahead(batches, self._group.device)

    def _one_step(self, batch: Batch) -> torch.Tensor:
        """Learn from one batch; returns its loss, which stays on the device."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule(self._steps)
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._step.backward(batch)
        if self._settings.gradient_clip is not None:
            self._scaler.unscale_(self._optimiser)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.gradient_clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self.network.clamp_inv_tau()
        self._steps += 1
        if self._average is not None:
            self._average.update(self._steps)
        return loss

    def _validate(self, validation: Pairs, epoch: int) -> Score:
        """How good the model is; only the first process finds out. The best model so far is kept."""
        if not self._is_first or not len(validation):
            return Score()
        if self._average is None:
            return self._judge(validation, epoch)
        with self._average.in_use():
            return self._judge(validation, epoch)

    @torch.no_grad()
    def _judge(self, validation: Pairs, epoch: int) -> Score:
        self.network.eval()
        losses, seen = [], []
        for batch in validation_batches(
            validation, self._settings, self._seed, pin=self._on_gpu, readers=self._readers
        ):
            molecule = batch.molecule.to(self._group.device, non_blocking=True)
            x, y = self._step.embed(batch)
            losses.append(self._step.loss(x, y, molecule))
            seen.append((x, y, molecule))
        loss = torch.stack(losses).double().mean().item()
        if not np.isfinite(loss):
            raise CloomeError(
                f"the validation loss is {loss} after epoch {epoch}, although the training losses are numbers; "
                "write a smaller train.learning_rate or train.precision: bfloat16"
            )
        score = Score(loss, *top1(*(torch.cat(part) for part in zip(*seen, strict=True))))
        if self._best is not None:
            self._best.offer(score, epoch, self.network)
        return score

    def _end_epoch(self, epoch: int, score: Score, seconds: float) -> None:
        row = [
            epoch,
            self._steps,
            self._optimiser.param_groups[0]["lr"],
            self.network.inv_tau.item(),
            float(np.mean(self._losses)),
            score.loss,
            score.image_to_molecule,
            score.molecule_to_image,
            self._meter.images_per_second,
            self._meter.waiting_share,
            self._meter.peak_memory(),
            seconds,
        ]
        self.rows.append(dict(zip(LOG_COLUMNS, row, strict=True)))
        self._losses = []
        self._meter.reset()

    def _given_up(self) -> bool:
        """Whether no better epoch is waited for; the first process decides for all."""
        given_up = self._best is not None and self._best.given_up(len(self.rows))
        if given_up:
            log.info("no epoch was better than %d; training ends after %d", self._best.epoch, len(self.rows))
        if self._group.world > 1:
            shared = torch.tensor(int(given_up), device=self._group.device)
            dist.broadcast(shared, src=0)
            given_up = bool(shared)
        return given_up

    def _put_model(self) -> None:
        """Bring the weights that are the model into the network."""
        if self._best is not None:
            self._best.put(self.network)
            log.info("the model is that of epoch %d, the best on the validation part", self._best.epoch)
        elif self._average is not None:
            self._average.put()

    def _values(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "step": self._steps,
            "rows": self.rows,
            "losses": self._losses,
            "meter": self._meter.state_dict(),
            "average": self._average and self._average.state_dict(),
            "best": self._best and self._best.state_dict(),
            # Batches do not depend on it, but a backbone may drop features at random.
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state(self._group.device) if self._on_gpu else None,
        }

    def _restore(self, values: dict[str, Any] | None) -> None:
        if values is None:
            return
        self.network.load_state_dict(values["network"])
        self._optimiser.load_state_dict(values["optimiser"])
        if values["scaler"]:  # empty where no scaler was needed, on another machine
            self._scaler.load_state_dict(values["scaler"])
        self._steps, self.rows, self._losses = values["step"], values["rows"], values["losses"]
        self._meter.load_state_dict(values["meter"])
        for kept, name in ((self._average, "average"), (self._best, "best")):
            if kept is not None:
                kept.load_state_dict(values[name])
        torch.set_rng_state(values["random"])
        if self._on_gpu and values["random_gpu"] is not None:
            torch.cuda.set_rng_state(values["random_gpu"], self._group.device)
        within = f" and {len(self._losses)} batches of the next" if self._losses else ""
        log.info("going on after epoch %d%s", len(self.rows), within)

    @property
    def _is_first(self) -> bool:
        return self._group.rank == 0

    @property
    def _on_gpu(self) -> bool:
        return self._group.device.type == "cuda"


def set_up_torch(seed: int, device: torch.device) -> None:
    """Seed the initial weights, and choose between the same bits each time and speed.

    On a CPU the same number of threads gives the same model, bit for bit, at no cost in time. On a GPU:

    * cuDNN times its algorithms at the first batch and keeps the fastest, which pays as all batches have one size.
      Another algorithm may win next time, so two trainings there agree closely but not in every bit.
    * float32 stays float32: TensorFloat-32 would round the images' features to 10 bits, and who wants speed has
      bfloat16. The similarities in the loss, multiplied by up to 100, are always taken in full float32.
    """
    torch.manual_seed(seed)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        return
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling memory that is overwritten anyway would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False


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
