"""How fast training crops are read: from the plate store, and from upstream's files, one npz per field.

    python benchmarks/crops.py --field ../shared/real/bray/field

Both ways cut the same random 520 x 520 crops from the same fields, one after another on one core, and end with what
they put into a batch: upstream float32, the store uint8, since the normalisation runs on the device. The files lie in
the operating system's cache. The fastest of several rounds counts.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from cloome.config import PAPER_CHANNELS
from cloome.data.fields import Fields
from cloome.data.pixels import read_pixels
from cloome.data.plates import Field, write_plate
from cloome.images.intensity import to_uint8

SIDE = 520


def write_both(source: Path, folder: Path, fields: int) -> list[str]:
    """The same fields as npz files and as plate stores, plain and compressed; returns their sample keys."""
    image = np.stack([to_uint8(read_pixels(source / f"{channel}.tif")) for channel in PAPER_CHANNELS])
    shifted = [Field("A01", site, np.roll(image, 7 * site, axis=2), 0) for site in range(fields)]
    for field in shifted:
        np.savez(folder / f"P-A01-{field.site}.npz", sample=np.moveaxis(field.image, 0, -1))
    for compression in ("none", "gzip"):
        write_plate(folder / f"{compression}.h5", "P", PAPER_CHANNELS, shifted, "benchmark", {}, compression)
    return [f"P-A01-{field.site}" for field in shifted]


def from_npz(folder: Path, key: str, top: int, left: int) -> np.ndarray:
    """Upstream's way: the whole field as float, channels first (ToTensor), then the crop into the batch."""
    with np.load(folder / f"{key}.npz") as file:
        image = np.ascontiguousarray(file["sample"].astype(np.float32).transpose(2, 0, 1))
    return image[:, top : top + SIDE, left : left + SIDE].copy()


def main() -> None:
    """Write the files, read crops from them, print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", type=Path, required=True, help="folder with CHANNEL.tif of a real field")
    parser.add_argument("--fields", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        keys = write_both(arguments.field, folder, arguments.fields)
        rng = np.random.default_rng(0)
        lefts = rng.integers(0, 696 - SIDE + 1, len(keys))
        order = rng.permutation(len(keys))
        stores = {compression: Fields([folder / f"{compression}.h5"], keys) for compression in ("none", "gzip")}
        crop = np.empty((len(PAPER_CHANNELS), SIDE, SIDE), np.uint8)

        def from_store(fields: Fields, number: int) -> np.ndarray:
            crop[...] = fields[number][:, :, lefts[number] : lefts[number] + SIDE]
            return crop

        for number in order:
            expected = from_npz(folder, keys[number], 0, lefts[number])
            assert all((from_store(fields, number) == expected).all() for fields in stores.values())
        ways = {"npz, float32": lambda number: from_npz(folder, keys[number], 0, lefts[number])}
        ways |= {
            f"store, {c}": lambda number, fields=fields: from_store(fields, number) for c, fields in stores.items()
        }
        best = dict.fromkeys(ways, np.inf)
        for _ in range(arguments.rounds):
            for way, read in ways.items():
                begin = time.perf_counter()
                for number in order:
                    read(number)
                best[way] = min(best[way], time.perf_counter() - begin)
        for way, seconds in best.items():
            print(f"{way:14} {len(keys) / seconds:8.0f} crops/s  {best['npz, float32'] / seconds:6.1f} times npz")


if __name__ == "__main__":
    main()
