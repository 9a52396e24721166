"""Room on the disk: what lies there at the end and at the peak, beside what is there now and what is free."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cloome.config import Config
from cloome.plan.contents import Contents
from cloome.plan.downloads import File, archive_bytes
from cloome.plan.places import Places
from cloome.plan.text import counted
from cloome.simulate.structures import drugs

# Of a store with images.compression gzip, measured on a real field.
GZIP_RATIO = 0.57
# Well profiles and quality flags of one plate.
WELL_TABLES = 10e6
ILLUMINATION_FUNCTION = 1_447_872  # FACTS 5.2
# Of simulated 16-bit images: the archives against their pixels, measured.
SITE_RATIO = 0.67
FLOAT32 = 4


@dataclass(frozen=True)
class Use:
    """What one kind of file takes up, in bytes."""

    what: str
    folder: Path
    end: float  # when all is done
    now: float  # of this, on the disk already
    peak: float  # at most at a time


@dataclass(frozen=True)
class Disk:
    """One disk, in bytes."""

    folder: Path  # one that lies on it
    needed: float  # beyond what is there now, at the peak
    free: float

    @property
    def missing(self) -> float:
        """What does not fit; 0 if everything does."""
        return max(0, self.needed - self.free)


def list_uses(
    config: Config, contents: Contents, files: list[File], places: Places, parameters: int, at_once: int
) -> list[Use]:
    """Everything that a run puts on disks; logs and reports are too small to be named.

    Parameters
    ----------
    config, contents, files, places
        The experiment.
    parameters : int
        Numbers that one model holds, from `count_parameters`.
    at_once : int
        Plates whose archives lie on the disk at a time. Snakemake deletes them as soon as a plate is stored, and stores
        a plate before it fetches the next, so these are no more than there are jobs at a time, or plates left.
    """
    plates, runs = len(contents.plates), len(config.run_names())
    models = 0 if config.model.source == "published" else runs
    height, width = contents.shape
    store = contents.images * len(config.screen.channels) * height * width
    if config.images.compression == "gzip":
        store *= GZIP_RATIO
    stored = [places.store / f"{plate}.h5" for plate in contents.stored]
    uses = [_lasting("image store", places.store, store, stored)]
    if config.simulate:
        site = places.resources / "site"
        uses.append(_lasting("simulated archive site", site, _plate_of_site(config) * plates, site.rglob("*")))
    elif config.screen.kind == "archives":
        uses += _tables(config, plates, files, places)
    folder, embeddings = places.results / "runs", runs * contents.images * config.model.embedding * FLOAT32
    uses += [
        _lasting("models", folder, models * parameters * FLOAT32, folder.glob("*/model.pt")),
        _lasting("embeddings", folder, embeddings, folder.glob("*/embeddings.h5")),
    ]
    if config.screen.kind == "archives":
        uses.append(_archives(_plate_of_site(config) if config.simulate else archive_bytes(files), places, at_once))
    return uses


def compare(uses: list[Use]) -> list[Disk]:
    """Set what is needed beside what is free, disk by disk: folders may be links to others."""
    disks: dict[int, Disk] = {}
    for use in uses:
        folder = use.folder
        while not folder.exists():
            folder = folder.parent
        device = folder.stat().st_dev
        known = disks.get(device, Disk(folder, 0, shutil.disk_usage(folder).free))
        disks[device] = Disk(known.folder, known.needed + max(0, use.peak - use.now), known.free)
    return list(disks.values())


def count_parameters(config: Config) -> int:
    """Numbers that one model holds."""
    # PyTorch takes seconds to load; here these pass while Snakemake plans.
    from cloome.model.clip import build_model

    channels = len(config.screen.channels)
    network = build_model(config.model, channels, config.molecules.bits, config.train.inv_tau, False, pretrained=False)
    return sum(values.numel() for values in network.state_dict().values())


def _lasting(what: str, folder: Path, end: float, paths: Iterable[Path]) -> Use:
    """What stays: its end is its peak; `paths` are those of its files that may be there."""
    return Use(what, folder, end, _on_disk(paths), end)


def _on_disk(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _tables(config: Config, plates: int, files: list[File], places: Places) -> list[Use]:
    """What is fetched and stays."""
    tables = [file for file in files if not file.plate]
    outputs, sizes = [output for file in tables for output in file.outputs], sum(file.bytes or 0 for file in tables)
    wells, functions = places.resources / "plates", places.resources / "illumination"
    uses = [
        _lasting("tables of the screen", places.resources, sizes, outputs),
        _lasting("tables of the plates", wells, plates * WELL_TABLES, wells.glob("*/*.csv")),
    ]
    if config.images.illumination:
        size = plates * len(config.screen.channels) * ILLUMINATION_FUNCTION
        uses.append(_lasting("illumination functions", functions, size, functions.glob("*/*.mat")))
    return uses


def _plate_of_site(config: Config) -> float:
    """Bytes of the simulated archives of one plate."""
    simulate = config.simulate
    fields = (len(drugs()) + simulate.dmso_wells) * simulate.sites
    return SITE_RATIO * 2 * fields * len(config.screen.channels) * simulate.height * simulate.width


def _archives(plate: float, places: Places, at_once: int) -> Use:
    """The archives of the plates in work, of so many bytes each."""
    folder = places.resources / "archives"
    now = _on_disk(folder.glob("*/*.zip*"))
    return Use(f"archives of {counted(at_once, 'plate')} at a time", folder, 0, now, max(at_once * plate, now))
