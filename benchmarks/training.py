"""Training steps of the paper's model beside the upstream way of doing them, and the loss curves of both.

    python benchmarks/training.py --field ../shared/real/bray/field [--skip-curves]

Both ways start from the same weights and see the same crops in the same order; both are CLOOB with ResNet-50 and five
channels. The upstream way: npz files turned into normalised float32 by the workers of a DataLoader, NCHW, float32 on
a CPU, float16 autocast and GradScaler on a GPU, plain AdamW. The project's way is that of `cloome train`. Steps are
timed one by one, each until the device is done, so that the time in which the next batch is waited for is known.

The curves: as many steps with smaller images, in both ways, set beside what float32 itself leaves open: the upstream
way once more with another number of threads, and with the batches of another seed. The learning rate rises throughout.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from loader import NpzCrops, crops_of
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from cloome.config import PAPER_CHANNELS, Model, Train
from cloome.data.fields import Fields
from cloome.data.pixels import read_pixels
from cloome.data.plates import Field, sample_key, write_plate
from cloome.images.intensity import to_uint8
from cloome.model.clip import ClipModel, build_model
from cloome.model.device import pick_device
from cloome.model.losses import cloob
from cloome.model.normalisation import paper
from cloome.train.batches import Batch, copied_ahead, training_batches
from cloome.train.loop import set_up_torch, usable_precision
from cloome.train.optimiser import decays, make_optimiser
from cloome.train.pairs import Pairs
from cloome.train.processes import Group
from cloome.train.step import Step

BITS, SITES = 1024, 4
DEVICE = pick_device()
ON_GPU = DEVICE.type == "cuda"
SEED = 0


@dataclass(frozen=True)
class Screen:
    """Stored fields of as many molecules as there are wells, and their fingerprints."""

    folder: Path
    pairs: Pairs
    fingerprints: np.ndarray  # uint8 (M, BITS)


@dataclass(frozen=True)
class Times:
    """What steps took, in seconds, and their losses."""

    waiting: list[float]
    computing: list[float]
    losses: list[float]

    def images_per_second(self, batch: int) -> float:
        """Over all steps, waiting included."""
        return batch * len(self.computing) / (sum(self.waiting) + sum(self.computing))


def main() -> None:
    """Write a screen, time both ways on it, draw both curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", type=Path, required=True, help="folder with CHANNEL.tif of a real field")
    parser.add_argument("--fields", type=int, default=1024 if ON_GPU else 64)
    parser.add_argument("--batch", type=int, default=256 if ON_GPU else 16)
    parser.add_argument("--crop", type=int, default=520 if ON_GPU else 224)
    parser.add_argument("--steps", type=int, default=16 if ON_GPU else 3, help="timed steps of each way and round")
    parser.add_argument("--warm", type=int, default=4 if ON_GPU else 1, help="steps before them")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=16 if ON_GPU else 2, help="upstream's; the project reads with 4")
    parser.add_argument("--compile", action="store_true", help="with train.compile")
    parser.add_argument("--curve-steps", type=int, default=50)
    parser.add_argument("--curve-batch", type=int, default=8)
    parser.add_argument("--curve-crop", type=int, default=64)
    parser.add_argument("--skip-curves", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        screen = write_screen(arguments.field, Path(name), arguments.fields)
        settings = Train(
            batch=arguments.batch, crop=arguments.crop, precision="bfloat16", compile=arguments.compile, warmup=0
        )
        compare_speed(screen, settings, arguments.warm, arguments.steps, arguments.rounds, arguments.workers)
        if not arguments.skip_curves:
            short = settings.model_copy(update={"batch": arguments.curve_batch, "crop": arguments.curve_crop})
            compare_curves(screen, short, arguments.curve_steps, arguments.workers)


def write_screen(source: Path, folder: Path, fields: int) -> Screen:
    """A real field many times, shifted, with channels as bright as the molecule has it; as npz and as plate store."""
    random = np.random.default_rng(SEED)
    image = np.stack([to_uint8(read_pixels(source / f"{channel}.tif")) for channel in PAPER_CHANNELS])
    stored = []
    for number in range(fields):
        if number % SITES == 0:
            brightness = random.uniform(0.4, 1.0, (len(PAPER_CHANNELS), 1, 1))
        shifted = np.roll(image, random.integers(0, image.shape[2]), axis=2)
        field = Field(f"W{number // SITES:04d}", number % SITES, (shifted * brightness).astype(np.uint8), 0)
        np.savez(folder / f"{sample_key('P', field.well, field.site)}.npz", sample=np.moveaxis(field.image, 0, -1))
        stored.append(field)
    write_plate(folder / "P.h5", "P", PAPER_CHANNELS, stored, "benchmark", {})
    keys = np.array([sample_key("P", field.well, field.site) for field in stored], dtype=object)
    molecule = np.arange(fields) // SITES
    fingerprints = (random.random((molecule.max() + 1, BITS)) < 0.05).astype(np.uint8)
    return Screen(folder, Pairs(keys, Fields([folder / "P.h5"], keys), molecule, molecule), fingerprints)


def network_for(settings: Train) -> ClipModel:
    """The paper's network with the same weights each time; pooling fits the crop."""
    torch.manual_seed(SEED)
    model = Model(pool=min(7, settings.crop // 32))
    return build_model(model, len(PAPER_CHANNELS), BITS, settings.inv_tau, settings.learn_inv_tau)


class UpstreamWay:
    """Steps of the upstream way (FACTS 4, rows 4, 5, 8, 14 to 19)."""

    def __init__(self, screen: Screen, settings: Train, workers: int, seed: int = SEED):
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = ON_GPU
        self._screen, self._settings, self._workers, self._seed = screen, settings, workers, seed
        self._network = network_for(settings).to(DEVICE).train()
        self._fingerprints = torch.from_numpy(screen.fingerprints).float()
        names = {True: [], False: []}
        for name, parameter in self._network.named_parameters():
            names[decays(name, parameter, "upstream")].append(parameter)
        decay = settings.weight_decay
        groups = [{"params": names[True], "weight_decay": decay}, {"params": names[False], "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self._scaler = torch.amp.GradScaler(DEVICE.type, enabled=ON_GPU)

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Epoch after epoch of normalised float32 images and their molecules."""
        for epoch in count(1):
            crops, molecule = crops_of(self._screen.pairs, self._settings, self._seed, epoch)
            data = NpzCrops(self._screen.folder, crops, molecule, self._settings.crop)
            yield from DataLoader(data, self._settings.batch, num_workers=self._workers, pin_memory=ON_GPU)

    def step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """One step; its loss."""
        images = batch[0].to(DEVICE, non_blocking=True)
        bits = self._fingerprints[batch[1]].to(DEVICE, non_blocking=True)
        self.optimiser.zero_grad()
        with torch.autocast(DEVICE.type, torch.float16, enabled=ON_GPU):
            x, y = self._network.encode_image(images), self._network.encode_molecule(bits)
            loss = cloob(x, y, self._network.inv_tau, self._settings.hopfield_scale)
            self._scaler.scale(loss).backward()
            self._scaler.step(self.optimiser)
        self._scaler.update()
        self._network.clamp_inv_tau()
        return loss.detach()


class ProjectWay:
    """Steps as `cloome train` does them."""

    def __init__(self, screen: Screen, settings: Train):
        set_up_torch(SEED, DEVICE)
        self._pairs, self._settings = screen.pairs, settings
        precision = usable_precision(settings.precision, DEVICE)
        self._network = network_for(settings)
        self._scaler = torch.amp.GradScaler(DEVICE.type, enabled=precision is torch.float16)
        normalise, group = paper(PAPER_CHANNELS), Group.alone(DEVICE)
        self._step = Step(
            self._network, normalise, screen.fingerprints, settings, "cloob", precision, self._scaler, group
        )
        self.optimiser = make_optimiser(self._network, settings)
        self._network.train()

    def batches(self) -> Iterator[Batch]:
        """Epoch after epoch of 8-bit crops."""
        for epoch in count(1):
            yield from copied_ahead(training_batches(self._pairs, self._settings, SEED, epoch, pin=ON_GPU), DEVICE)

    def step(self, batch: Batch) -> torch.Tensor:
        """One step; its loss."""
        loss = self._step.backward(batch)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        self._network.clamp_inv_tau()
        return loss


def run(way: UpstreamWay | ProjectWay, steps: int, rates: np.ndarray | None = None) -> Times:
    """Do steps one by one, each until the device is done; `rates` are the learning rates of each, if they change."""
    times, batches = Times([], [], []), way.batches()
    for step in range(steps):
        for group in way.optimiser.param_groups if rates is not None else ():
            group["lr"] = rates[step]
        begin = time.perf_counter()
        batch = next(batches)
        got = time.perf_counter()
        loss = way.step(batch).item()
        times.waiting.append(got - begin)
        times.computing.append(time.perf_counter() - got)
        times.losses.append(loss)
    batches.close()
    return times


def compare_speed(screen: Screen, settings: Train, warm: int, steps: int, rounds: int, workers: int) -> None:
    """Time both ways in turn; print images per second, waiting, memory and the share of the matrix rate."""
    ways = {
        "upstream": lambda: UpstreamWay(screen, settings, workers),
        "project": lambda: ProjectWay(screen, settings),
    }
    operations = operations_per_image(screen, settings)
    print(f"{settings.batch} images of {settings.crop} x {settings.crop} x {len(PAPER_CHANNELS)} in a batch, {DEVICE}")
    print(f"{operations / 1e9:.1f} billion operations per image, forward and backward")
    rate: dict[str, float] = {}
    for _ in range(rounds):
        for name, make in ways.items():
            if ON_GPU:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            times = run(make(), warm + steps)
            times = Times(times.waiting[warm:], times.computing[warm:], times.losses[warm:])
            found = times.images_per_second(settings.batch)
            waiting = sum(times.waiting) / (sum(times.waiting) + sum(times.computing))
            memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if ON_GPU else ""
            print(f"{name:9} {found:8.2f} images/s, waiting for data {waiting:.1%}{memory}", flush=True)
            rate[name] = max(found, rate.get(name, 0.0))
    print(f"fastest rounds: project {rate['project'] / rate['upstream']:.2f} times upstream")
    precision = usable_precision(settings.precision, DEVICE)
    matrix = matrix_rate(precision)
    share = rate["project"] * operations / matrix
    print(f"project: {share:.1%} of this device's matrix rate in {precision} ({matrix / 1e12:.2f} trillion/s)")


def operations_per_image(screen: Screen, settings: Train) -> float:
    """Additions and multiplications of matrix products and convolutions, counted in one step of two images."""
    way = ProjectWay(screen, settings.model_copy(update={"batch": 2, "compile": False}))
    batches = way.batches()
    with FlopCounterMode(display=False) as counter:
        way.step(next(batches))
    batches.close()
    return counter.get_total_flops() / 2


def matrix_rate(precision: torch.dtype) -> float:
    """Additions and multiplications per second of a large matrix product."""
    size, times = (8192, 20) if ON_GPU else (2048, 5)
    one, other = (torch.randn(size, size, device=DEVICE).to(precision) for _ in range(2))
    best = np.inf
    for _ in range(times):
        begin = time.perf_counter()
        (one @ other)[0, 0].item()
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


def compare_curves(screen: Screen, settings: Train, steps: int, workers: int) -> None:
    """Print the losses of both ways, and how far they are apart beside what else changes them."""
    ways = {
        "upstream": lambda: UpstreamWay(screen, settings, workers),
        "project": lambda: ProjectWay(screen, settings),
        "other threads": lambda: UpstreamWay(screen, settings, workers),
        "other order": lambda: UpstreamWay(screen, settings, workers, SEED + 1),
    }
    threads, curves = torch.get_num_threads(), {}
    rates = settings.learning_rate * np.arange(1, steps + 1) / steps
    for name, make in ways.items():
        torch.set_num_threads(max(1, threads // 2) if name == "other threads" else threads)
        curves[name] = np.array(run(make(), steps, rates).losses)
    torch.set_num_threads(threads)
    print(f"\nlosses of {steps} steps, {settings.batch} images of {settings.crop} x {settings.crop}")
    print(" step " + "".join(f"{name:>15}" for name in curves))
    for step in sorted({*range(0, steps, max(1, steps // 10)), steps - 1}):
        print(f"{step + 1:5} " + "".join(f"{curve[step]:15.4f}" for curve in curves.values()))
    print("from upstream, over all steps:")
    for name in list(curves)[1:]:
        apart = curves[name] - curves["upstream"]
        print(f"  {name:14} mean difference {apart.mean():+.4f}, mean absolute difference {np.abs(apart).mean():.4f}")


if __name__ == "__main__":
    main()
