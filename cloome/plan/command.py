"""``cloome plan``: what a run will fetch, store, do and take; it runs nothing and writes nothing of its own."""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from cloome.config import Config
from cloome.config_files import load_config
from cloome.errors import CloomeError
from cloome.plan.contents import Contents, read_contents
from cloome.plan.disk import Use, compare, count_parameters, list_uses
from cloome.plan.downloads import File, list_files
from cloome.plan.jobs import count_jobs
from cloome.plan.places import Places
from cloome.plan.text import aligned, amount, counted, duration, rounded
from cloome.plan.work import IMAGES, Past, Work, list_past, list_work

LINES = {"100 Mbit/s": 100e6 / 8, "1 Gbit/s": 1e9 / 8}  # bytes per second


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--configfile", nargs="+", required=True, metavar="FILE", help="configuration files, later ones override"
    )
    parser.add_argument(
        "--cores",
        type=int,
        default=os.cpu_count(),
        metavar="N",
        help="cores that the run will have (default: all %(default)s of this machine)",
    )
    parser.add_argument(
        "--gpu-images-per-second",
        type=float,
        metavar="X",
        help="training rate of your GPU, as in train_log.csv of a run: gives the GPU hours",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the plan.

    Raises
    ------
    CloomeError
        If the configuration or a table cannot be used, or Snakemake cannot plan the run.
    """
    for option, value in (("--cores", arguments.cores), ("--gpu-images-per-second", arguments.gpu_images_per_second)):
        if value is not None and value <= 0:
            raise CloomeError(f"{option} {value:g}: give a number above 0")
    config = load_config(arguments.configfile)
    places = Places.of(config)
    with ThreadPoolExecutor(1) as pool:
        # Its seconds pass while everything else is looked up.
        dry_run = pool.submit(count_jobs, arguments.configfile)
        contents = read_contents(config, places.store)
        files = list_files(config, contents, places)
        parameters = count_parameters(config)
        jobs = dry_run.result()
    uses = list_uses(config, contents, files, places, parameters, min(jobs.get(IMAGES, 0), arguments.cores))
    work = list_work(config, contents, jobs, places)
    sections = [
        _heading(config, contents),
        _downloads(config, contents, files, jobs),
        _disk(uses),
        _jobs(jobs),
        _time(config, work, arguments.cores, arguments.gpu_images_per_second),
        _past(list_past(config, jobs, places)),
    ]
    texts = ["\n".join(section) for section in sections]
    print("\n\n".join(text for text in texts if text))


def _heading(config: Config, contents: Contents) -> Iterator[str]:
    plates, runs = counted(len(contents.plates), "plate"), counted(len(config.run_names()), "run")
    yield f"{config.name}: {plates} of the screen {config.screen.name}, {runs}"
    size = " x ".join(map(str, (len(config.screen.channels), *contents.shape)))
    yield f"{rounded(contents.images)} images of {size} pixels ({contents.origin})"


def _downloads(config: Config, contents: Contents, files: list[File], jobs: dict[str, int]) -> Iterator[str]:
    yield "Downloads"
    if not files:
        yield "  none: the screen is simulated here" if config.simulate else "  none: the screen's files are one's own"
        return
    uses = list(dict.fromkeys(file.use for file in files))
    groups = [[file for file in files if file.use == use] for use in uses]
    rows = [["", "files", "done", "to fetch", "from"]]
    rows += [[group[0].use, *_counts(group), " or ".join(group[0].hosts)] for group in groups]
    rows.append(["all", *_counts(files), ""])
    yield from aligned(rows, left=(0, 4))
    if left := sum(file.left or 0 for file in files):
        yield "  " + ", ".join(f"at {line} {duration(left / rate)}" for line, rate in LINES.items())
    if unknown := sum(file.left is None for file in files):
        yield f"  {counted(unknown, 'file')} of unknown size not counted"
    again = jobs.get(IMAGES, 0) - len(contents.missing)
    if again > 0:
        yield f"  {counted(again, 'stored plate')} will be redone; the archives for this are not counted"


def _counts(files: list[File]) -> list[str]:
    """Number of files, of those that are done, and what is to be fetched."""
    known = [file for file in files if file.left]
    size = amount(sum(file.left for file in known))
    if any(file.about for file in known):
        size = f"about {size}"
    elif not known and any(file.left is None for file in files):
        size = "unknown"
    return [f"{len(files):,}", f"{sum(file.finished for file in files):,}", size]


def _disk(uses: list[Use]) -> Iterator[str]:
    yield "Disk"
    rows = [["", "at the peak", "at the end", "there now"]]
    rows += [[use.what, amount(use.peak), amount(use.end), amount(use.now)] for use in uses]
    rows.append(["all", *(amount(sum(getattr(use, key) for use in uses)) for key in ("peak", "end", "now"))])
    yield from aligned(rows)
    for disk in compare(uses):
        verdict = f"it DOES NOT FIT: {amount(disk.missing)} are missing" if disk.missing else "it fits"
        yield f"  {amount(disk.needed)} more on the disk of {disk.folder.resolve()}"
        yield f"  {amount(disk.free)} free there: {verdict}"


def _jobs(jobs: dict[str, int]) -> Iterator[str]:
    yield "Jobs"
    if not jobs:
        yield "  none: everything is there and up to date"
        return
    yield from aligned([[rule, f"{count:,}"] for rule, count in [*jobs.items(), ("all", sum(jobs.values()))]])


def _time(config: Config, work: list[Work], cores: int, gpu: float | None) -> Iterator[str]:
    yield "Time"
    rows = [["", "to do", "on 1 core", f"on {counted(cores, 'core')}", ""]]
    for stage in work:
        seconds = stage.core_seconds
        times = ["?", "?"] if seconds is None else [duration(seconds), duration(seconds / cores)]
        rows.append([stage.stage, f"{rounded(stage.items)} {stage.unit}", *times, stage.basis])
    yield from aligned(rows, left=(0, 4))
    training = work[1]
    if gpu:
        yield f"  training on a GPU of {rounded(gpu)} images/s: {duration(training.items / gpu)}"
    elif training.items:
        yield "  training on a GPU: no rate measured; give that of yours with --gpu-images-per-second"
    if config.train.precision == "bfloat16":
        yield "  times are of float32; bfloat16 is faster on a processor with AVX-512, and not used on one without"
    if config.screen.kind == "archives" and any(s.kind == "replicate" for s in config.runs.splits.values()):
        yield "  at most: a split of kind replicate trains on fewer images than all"


def _past(stages: list[Past]) -> Iterator[str]:
    if stages:
        yield "Time, as this experiment's past jobs took it, one after another"
        rows = [["", "jobs left", "each", "all", ""]]
        for past in stages:
            times = [duration(past.seconds), duration(past.jobs * past.seconds)]
            rows.append([past.stage, f"{past.jobs:,}", *times, f"the longest of {counted(past.seen, 'past job')}"])
        yield from aligned(rows, left=(0, 4))
