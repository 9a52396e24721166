"""Time and memory of the index: 919,265 fields on the 406 plates of the paper's screen.

    python benchmarks/index.py [--plates N]

Makes plate stores without pixels (declared, not allocated) and well and quality tables as large as the published ones
(1,783 features per well, 4 GB in all) in a temporary folder, which it removes. Structures and fingerprints are not
part of the figures.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cloome.config import Config, Quality
from cloome.config_files import load_config
from cloome.data.files import create_h5
from cloome.data.index import read_index, write_index
from cloome.data.plates import KIND, QUALITY, VERSION, sample_key
from cloome.data.refused import beside, left_out_of, write_refused
from cloome.data.wells import plate_names
from cloome.molecules.command import stored_fields
from cloome.molecules.fields import add_inchikeys
from cloome.molecules.quality import leave_out

ROOT = Path(__file__).resolve().parent.parent
FIELDS, FULL_PLATE, SITES = 919_265, 2304, 6  # FACTS 5.1
SHORT_PLATES = 24  # that lack fields, of the copy in IDR
COMPOUNDS, FEATURES, MOCK_WELLS = 30_616, 1783, 64
IMAGE = (520, 696)
FLAGGED, REFUSED = 0.03, 5  # share of blurry and of saturated fields; refused fields of each plate
FILTERS = Quality(drop_blurry=True, drop_saturated=True, minimum_cells=10)

WELLS = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]
METADATA = ["Plate", "Well", "Assay_Plate_Barcode", "Plate_Map_Name", "well_position", "ASSAY_WELL_ROLE"]
METADATA += ["broad_sample", "mmoles_per_liter", "solvent", "pert_id", "pert_well", "pert_type"]


def main() -> None:
    """Make the screen, build and read its index in processes of their own, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, metavar="N", help="the first N plates only, for a small try")
    arguments = parser.parse_args()
    config = load_config([str(ROOT / "config/paper.yaml")])
    names = plate_names(config.screen.model_copy(update={"plates": str(ROOT / config.screen.plates)}))
    counts = dict(zip(names, fields_of_plates(len(names)), strict=True))
    counts = {name: counts[name] for name in names[: arguments.plates]}
    with tempfile.TemporaryDirectory(prefix="cloome-index-") as folder:
        make_screen(Path(folder), counts, config.screen.channels)
        stores = [f"{folder}/{name}.h5" for name in counts]
        steps, memory = in_a_process(build, config, stores, Path(folder))
        reading, memory_of_reading = in_a_process(read, Path(folder))
        size = (Path(folder) / "index.parquet").stat().st_size
    print(f"{sum(counts.values()):,} fields on {len(counts)} plates; index of {size / 1e6:.0f} MB")
    rows = [*steps.items(), ("build and write, in all", sum(steps.values())), *reading.items()]
    for step, seconds in rows:
        print(f"{step:<34}{seconds:8.1f} s")
    print(f"{'peak memory of building':<34}{memory / 1e9:8.2f} GB")
    print(f"{'peak memory of reading':<34}{memory_of_reading / 1e9:8.2f} GB")


def fields_of_plates(plates: int) -> list[int]:
    """Fields of each plate: full ones, and at the end those that lack what is missing to the published total."""
    counts = np.full(plates, FULL_PLATE)
    counts[-SHORT_PLATES:] -= [len(part) for part in np.array_split(np.arange(counts.sum() - FIELDS), SHORT_PLATES)]
    return counts.tolist()


def make_screen(folder: Path, counts: dict[str, int], channels: list[str]) -> None:
    """Write plate stores and tables of a screen with the names, columns and sizes of the published one."""
    random = np.random.default_rng(0)
    compounds = compound_ids()
    features = "".join(f",{value:.9g}" for value in random.normal(size=FEATURES))
    for number, (plate, count) in enumerate(counts.items()):
        well, site = np.repeat(WELLS, SITES)[:count], np.tile(np.arange(1, SITES + 1), len(WELLS))[:count]
        write_store(folder / f"{plate}.h5", plate, well.tolist(), site, channels, random)
        refused = [(sample_key(plate, "P24", SITES + 1 + n), "no Mito image") for n in range(REFUSED)]
        write_refused(beside(folder / f"{plate}.h5"), refused)
        tables = folder / "plates" / plate
        tables.mkdir(parents=True)
        held = np.roll(compounds, -number * (len(WELLS) - MOCK_WELLS))[: len(WELLS) - MOCK_WELLS]
        write_profiles(tables / "mean_well_profiles.csv", plate, held, features)
        write_quality(tables / "qc.csv", plate, random)


def compound_ids() -> list[str]:
    """As many ids as the screen has, written as its own."""
    return [f"BRD-K{number:08d}-001-01-1" for number in range(COMPOUNDS)]


def write_store(
    path: Path, plate: str, well: list[str], site: np.ndarray, channels: list[str], random: np.random.Generator
) -> None:
    """A plate store whose images are declared only: it takes no room."""
    count, text = len(well), h5py.string_dtype()
    pixels = np.uint64(IMAGE[0] * IMAGE[1])
    mean = random.uniform(5, 50, (count, len(channels)))
    with create_h5(path, KIND, VERSION) as file:
        file.create_dataset("images", (count, len(channels), *IMAGE), np.uint8, chunks=(1, len(channels), *IMAGE))
        keys = [sample_key(plate, w, s) for w, s in zip(well, site, strict=True)]
        file.create_dataset("sample_key", data=keys, dtype=text)
        file.create_dataset("well", data=well, dtype=text)
        file.create_dataset("site", data=site.astype(np.int16))
        file.create_dataset("measures/cell_count", data=random.poisson(60, count).astype(np.int32))
        sums = {"sum": mean * pixels, "sum_of_squares": 2 * mean**2 * pixels}
        for name, values in sums.items():
            file.create_dataset(f"measures/{name}", data=values.astype(np.uint64))
            file.create_dataset(f"statistics/{name}", data=values.astype(np.uint64).sum(axis=0))
        file.create_dataset("statistics/pixels", data=np.full(len(channels), count * pixels))
        for name in QUALITY:
            file.create_dataset(f"measures/{name}", data=random.random(mean.shape, dtype=np.float32))
        file.attrs.update({"plate": plate, "channels": channels, "source": "benchmark", "settings": "{}"})


def write_profiles(path: Path, plate: str, compounds: np.ndarray, features: str) -> None:
    """The wells of a plate; all have the same features, which nothing reads."""
    held = [("treated", compound, "0.005", "trt") for compound in compounds]
    held += [("mock", "DMSO", "0", "control")] * MOCK_WELLS
    header = ",".join([f"Metadata_{name}" for name in METADATA] + [f"Cells_{n}" for n in range(FEATURES)])
    with open(path, "w") as file:
        file.write(header + "\n")
        for well, (role, compound, concentration, kind) in zip(WELLS, held, strict=True):
            cells = [plate, well.lower(), plate, "H-BIOA-004-3", well, role, compound, concentration, "DMSO"]
            file.write(",".join([*cells, compound[:13], well, kind]) + features + "\n")


def write_quality(path: Path, plate: str, random: np.random.Generator) -> None:
    """The flags of all fields of a full plate."""
    table = {"Image_Metadata_Plate": plate, "Well": np.char.lower(np.repeat(WELLS, SITES))}
    table["Site"] = np.tile(np.arange(1, SITES + 1), len(WELLS))
    for flag in ("isSaturated", "isBlurry"):
        table[flag] = (random.random(FULL_PLATE) < FLAGGED).astype(int)
    pd.DataFrame(table).to_csv(path, index=False)


def in_a_process(work: Callable, *arguments) -> tuple[dict[str, float], int]:
    """What a function returns, and the peak memory in bytes of the fresh process that ran it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_with_memory, work, *arguments).result()


def _with_memory(work: Callable, *arguments) -> tuple[dict[str, float], int]:
    return work(*arguments), 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def build(config: Config, stores: list[str], folder: Path) -> dict[str, float]:
    """Seconds of each step from the plate stores to the index."""
    start = time.perf_counter()
    fields = stored_fields(config, stores, folder)
    joined = time.perf_counter()
    kept, left_out = leave_out(fields, config.quality)
    write_refused(left_out_of(folder / "index.parquet"), left_out)
    inchikey = {compound: f"{compound[5:19]}-UHFFFAOYSA-N" for compound in compound_ids()}
    write_index(add_inchikeys(kept, inchikey), folder / "index.parquet")
    written = time.perf_counter()
    leave_out(fields, FILTERS)
    filtered = time.perf_counter()
    return {
        "read stores and tables, join": joined - start,
        "InChIKeys, write": written - joined,
        "filters, if all three are on": filtered - written,
    }


def read(folder: Path) -> dict[str, float]:
    """Seconds of reading the index."""
    start = time.perf_counter()
    read_index(folder / "index.parquet")
    return {"read": time.perf_counter() - start}


if __name__ == "__main__":
    main()
