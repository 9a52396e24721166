"""How fast a plate's archives become its store: beside the upstream way, and beside inflating the same bytes alone.

    python benchmarks/images.py --field ../shared/real/bray/field
    python benchmarks/images.py --field ../shared/real/bray/field --fields 2304 --ways store   # memory of a full plate

The archives are made of the pixels of one real field, turned, mirrored and shifted, in its own TIFF files; each
archive has the names of a whole plate in its directory. Every way runs in a process of its own, bound to its cores,
round after round; the fastest round counts.
"""

import argparse
import itertools
import multiprocessing
import os
import shutil
import tempfile
import time
import uuid
import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from cloome.config import PAPER_CHANNELS, Config
from cloome.data.plates import open_plate
from cloome.images.command import Inputs, store_plate

PLATE = "24278"
WELLS = [f"{row}{column:02d}" for row in "abcdefghijklmnop" for column in range(1, 25)]
SITES = range(1, 7)
CUT, SCALE = 2.8e-5, 256
UPSTREAM_FIELDS = 60  # its rate does not depend on their number
WAYS = ["upstream", "inflate", "store", "store on 2 cores"]


def make_archives(field: Path, folder: Path, fields: int) -> None:
    """Archives with the names of all 2,304 fields; the first `fields` of them hold images, the others no byte."""
    rng = np.random.default_rng(0)
    looks = [(int(rng.integers(4)), tuple(rng.integers(0, (520, 696)))) for _ in range(fields)]
    with multiprocessing.get_context("spawn").Pool() as pool:
        tasks = [(field, folder, number, looks) for number in range(len(PAPER_CHANNELS))]
        pool.starmap(make_archive, tasks, chunksize=1)
    kept = [well for number, well in enumerate(WELLS) if number * len(SITES) < fields]
    profiles = pd.DataFrame({"Metadata_Plate": PLATE, "Metadata_Well": WELLS})
    profiles["Metadata_ASSAY_WELL_ROLE"] = np.where(profiles["Metadata_Well"].isin(kept), "treated", "mock")
    profiles.assign(Metadata_broad_sample="BRD-1", Metadata_mmoles_per_liter=5.0).to_csv(
        folder / "wells.csv", index=False
    )


def make_archive(field: Path, folder: Path, number: int, looks: list[tuple[int, tuple[int, int]]]) -> None:
    """The archive of one channel; `looks` says how each field is mirrored and shifted."""
    channel = PAPER_CHANNELS[number]
    content = (field / f"{channel}.tif").read_bytes()
    with tifffile.TiffFile(field / f"{channel}.tif") as file:
        pixels, start = file.asarray(), file.pages[0].dataoffsets[0]
        assert sum(file.pages[0].databytecounts) == pixels.nbytes, "the pixels are expected in one piece"
    with zipfile.ZipFile(folder / f"{PLATE}-{channel}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for place, (well, site) in enumerate(itertools.product(WELLS, SITES)):
            name = f"{PLATE}-{channel}/cdp2bioactives_{well}_s{site}_w{number + 1}{uuid.uuid4()}.tif"
            image = b""
            if place < len(looks):
                mirrored, shift = looks[place]
                view = np.roll(pixels[:: 1 - 2 * (mirrored & 1), :: 1 - (mirrored & 2)], shift, (0, 1))
                image = content[:start] + view.tobytes() + content[start + pixels.nbytes :]
            archive.writestr(name, image)


def upstream(folder: Path, out: Path, fields: int) -> None:
    """The upstream way, written anew: one archive opened per image, pixel by pixel in Python where it does so."""
    out.mkdir(exist_ok=True)
    names = {}
    for channel in PAPER_CHANNELS:
        with zipfile.ZipFile(folder / f"{PLATE}-{channel}.zip") as archive:
            names[channel] = archive.namelist()[:fields]
    for number in range(fields):
        images = []
        for channel in PAPER_CHANNELS:
            with (
                zipfile.ZipFile(folder / f"{PLATE}-{channel}.zip") as archive,
                archive.open(names[channel][number]) as member,
            ):
                pixels = np.array(Image.open(member))
            n = int(np.around(pixels.shape[0] * pixels.shape[1] * CUT))
            brightest = np.argpartition(pixels, -n, axis=None)[-n:]
            rows, columns = np.unravel_index(brightest, pixels.shape)
            threshold = min([pixels[row, column] for row, column in zip(rows, columns, strict=True)])
            scaled = pixels * (float(SCALE) / threshold)
            scaled[scaled > 255] = 255
            images.append(scaled.astype(np.uint8))
        np.savez(out / f"{number}.npz", sample=np.stack(images, axis=-1))


def store(folder: Path, out: Path, threads: int) -> None:
    """This package: the whole stage, with its measures."""
    screen = {"kind": "archives", "name": "benchmark", "plates": [PLATE]}
    store_plate(Config.model_validate({"screen": screen}), PLATE, Inputs(folder, folder / "wells.csv"), out, threads)


def packed_members(folder: Path, fields: int) -> list[bytes]:
    """What `inflate` inflates, as it lies in the archives."""
    found = []
    for channel in PAPER_CHANNELS:
        path = folder / f"{PLATE}-{channel}.zip"
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            for info in archive.infolist()[:fields]:
                file.seek(info.header_offset + 30 + len(info.filename))
                found.append(file.read(info.compress_size))
    return found


def inflate(packed: list[bytes]) -> None:
    """Inflating alone, with the fastest library, into memory that is used again; nothing is done with the result."""
    buffer = bytearray(1 << 20)
    for member in packed:
        imagecodecs.deflate_decode(member, raw=True, out=buffer)


def measure(way: str, folder: Path, out: Path, fields: int, answer) -> None:
    """Run one way on its cores; answer with seconds and the process's peak memory in MB."""
    cores = 2 if way == "store on 2 cores" else 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    packed = packed_members(folder, fields) if way == "inflate" else []
    shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    begin = time.perf_counter()
    match way:
        case "upstream":
            upstream(folder, out, min(fields, UPSTREAM_FIELDS))
        case "inflate":
            inflate(packed)
        case _:
            store(folder, out, threads=cores)
    seconds = time.perf_counter() - begin
    # Not from getrusage, which passes on the peak of the process that started this one.
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    answer.put((seconds, int(status["VmHWM"].split()[0]) / 1024))


def give_back(held: list[np.ndarray], child: multiprocessing.Process) -> None:
    """Free memory bit by bit while a way runs, at the rate at which files take it.

    A virtual machine takes memory from its host at the first touch, and many give it back as soon as it is free: the
    host's work would count as time for writing, three times as long as on a machine that has its memory.
    """
    while held and child.is_alive():
        time.sleep(0.01)
        held.pop()


def same_bytes(npz: Path, plate: Path, fields: int) -> bool:
    """Whether the store holds what the upstream way wrote."""
    with open_plate(plate) as found:
        return all(
            np.array_equal(np.load(npz / f"{number}.npz")["sample"], np.moveaxis(found.images[number], 0, -1))
            for number in range(fields)
        )


def main() -> None:
    """Make the archives, run the ways in turn, print their rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", type=Path, required=True, help="folder with CHANNEL.tif of a real field")
    parser.add_argument("--fields", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        make_archives(arguments.field, folder, arguments.fields)
        outs = {way: folder / ("upstream" if way == "upstream" else f"{way}.h5") for way in arguments.ways}
        best = {}
        for _, way in itertools.product(range(arguments.rounds), arguments.ways):
            held = [np.ones(1 << 22, np.uint8) for _ in range(2 * arguments.fields)]
            answer = context.Queue()
            child = context.Process(target=measure, args=(way, folder, outs[way], arguments.fields, answer))
            child.start()
            give_back(held, child)
            best[way] = min(best.get(way, (np.inf, 0)), answer.get())
            child.join()
        upstream_fields = min(arguments.fields, UPSTREAM_FIELDS)
        done = {way: upstream_fields if way == "upstream" else arguments.fields for way in arguments.ways}
        rates = {way: done[way] / seconds for way, (seconds, _) in best.items()}
        for way, rate in rates.items():
            print(f"{way:18} {rate:8.1f} fields/s  {best[way][1]:6.0f} MB at its peak")
        if set(WAYS) <= set(rates):
            print(f"store / upstream        {rates['store'] / rates['upstream']:.2f}  (goal: 8)")
            print(f"store / inflate         {rates['store'] / rates['inflate']:.2f}  (goal: 0.65)")
            print(f"2 cores / 1 core        {rates['store on 2 cores'] / rates['store']:.2f}  (goal: 1.8)")
            print(f"same bytes as upstream  {same_bytes(outs['upstream'], outs['store'], upstream_fields)}")


if __name__ == "__main__":
    main()
