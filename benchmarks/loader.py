"""How fast batches of training crops are read: from the plate store, and in upstream's way, from one npz per field.

    python benchmarks/loader.py --field ../shared/real/bray/field

Both give the same 520 x 520 crops in the same order, on the same cores, with nothing else to do: upstream as
normalised float32 from the worker processes of a DataLoader, the store as uint8 from threads, since the normalisation
runs on the device. The files lie in the operating system's cache. The fastest of several epochs counts.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from crops import SIDE, write_both
from torch.utils.data import DataLoader, Dataset

from cloome.config import PAPER_CHANNELS, Train
from cloome.data.fields import Fields
from cloome.model.normalisation import PAPER_MEAN
from cloome.train.batches import Batch, training_batches
from cloome.train.pairs import Pairs

Crop = tuple[str, int, int]  # sample key, top, left


class NpzCrops(Dataset):
    """Upstream's data set: the whole field as float, channels first (ToTensor), RandomCrop, Normalize."""

    def __init__(self, folder: Path, crops: list[Crop], molecule: list[int], side: int):
        self.folder, self.crops, self.molecule, self.side = folder, crops, molecule, side
        self.mean = torch.tensor(PAPER_MEAN).view(-1, 1, 1)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        key, top, left = self.crops[number]
        with np.load(self.folder / f"{key}.npz") as file:
            image = torch.from_numpy(file["sample"].astype(np.float32)).permute(2, 0, 1).contiguous()
        crop = image[:, top : top + self.side, left : left + self.side]
        return (crop - self.mean) / self.mean, self.molecule[number]


class Places:
    """Stands for stored fields: each pixel says where it lies, so that a crop tells where it was cut."""

    channels = ("row", "row / 256", "column", "column / 256")

    def __init__(self, sizes: np.ndarray):
        self._sizes = sizes
        rows, columns = np.indices(sizes.max(axis=0))
        self._image = np.stack([rows % 256, rows // 256, columns % 256, columns // 256]).astype(np.uint8)

    def __getitem__(self, number: int) -> np.ndarray:
        return self._image

    def sizes(self) -> np.ndarray:
        """Height and width of each field."""
        return self._sizes


def crops_of(pairs: Pairs, settings: Train, seed: int, epoch: int) -> tuple[list[Crop], list[int]]:
    """What the batches of an epoch show, one after another, and of which molecule."""
    crops, molecule = [], []
    places = Pairs(pairs.sample_key, Places(pairs.fields.sizes()), pairs.molecule, pairs.well)
    for batch in training_batches(places, settings, seed, epoch):
        corner = batch.images[:, :, 0, 0].int()
        top, left = corner[:, 0] + 256 * corner[:, 1], corner[:, 2] + 256 * corner[:, 3]
        crops += zip(batch.keys, top.tolist(), left.tolist(), strict=True)
        molecule += batch.molecule.tolist()
    return crops, molecule


def main() -> None:
    """Write the files, read epochs of batches from them, print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", type=Path, required=True, help="folder with CHANNEL.tif of a real field")
    parser.add_argument("--fields", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    settings, pin = Train(batch=arguments.batch, crop=SIDE), torch.cuda.is_available()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        keys = np.array(write_both(arguments.field, folder, arguments.fields), dtype=object)
        number = np.arange(len(keys))
        plain, packed = (
            Pairs(keys, Fields([folder / f"{compression}.h5"], keys), number, number)
            for compression in ("none", "gzip")
        )
        npz = NpzCrops(folder, *crops_of(plain, settings, seed=0, epoch=2), SIDE)

        def upstream() -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
            return DataLoader(npz, arguments.batch, num_workers=arguments.cores, pin_memory=pin, drop_last=True)

        def store(pairs: Pairs, readers: int) -> Iterable[Batch]:
            return training_batches(pairs, settings, seed=0, epoch=2, pin=pin, readers=readers)

        check_same(upstream(), store(plain, 4))
        ways: dict[str, Callable[[], Iterable]] = {f"npz, float32, {arguments.cores} workers": upstream}
        ways |= {f"store, {readers} readers": lambda readers=readers: store(plain, readers) for readers in (1, 2, 4)}
        ways["store, gzip, 4 readers"] = lambda: store(packed, 4)
        report(ways, arguments.rounds, len(npz), PAPER_CHANNELS)


def check_same(upstream: Iterable[tuple[torch.Tensor, torch.Tensor]], store: Iterable[Batch]) -> None:
    """Stop unless both ways show the same."""
    mean = torch.tensor(PAPER_MEAN).view(1, -1, 1, 1)
    for (images, molecule), batch in zip(upstream, store, strict=True):
        assert torch.equal(images, (batch.images.float() - mean) / mean)
        assert torch.equal(molecule, batch.molecule)


def report(ways: dict[str, Callable[[], Iterable]], rounds: int, crops: int, channels: list[str]) -> None:
    """Read one epoch in each way, in turn, several times; print the fastest of each."""
    best = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for way, batches in ways.items():
            begin = time.perf_counter()
            for _batch in batches():
                pass
            best[way] = min(best[way], time.perf_counter() - begin)
    slowest = next(iter(best.values()))
    print(f"crops of {SIDE} x {SIDE} x {len(channels)}, {crops} in an epoch")
    for way, seconds in best.items():
        print(f"{way:26} {crops / seconds:8.0f} crops/s  {slowest / seconds:6.1f} times npz")


if __name__ == "__main__":
    main()
