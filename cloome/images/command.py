"""``cloome images``: one plate's microscope files become its 8-bit store."""

import argparse
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloome.config import Config
from cloome.config_files import load_config
from cloome.data.plates import write_plate
from cloome.data.refused import write_refused
from cloome.errors import ConfigError, FormatError
from cloome.images.archives import open_archives
from cloome.images.fields import Source, stored_fields
from cloome.images.illumination import Functions, read_function
from cloome.images.load_data import ListedImages, illumination_files
from cloome.images.preprocessed import Preprocessed
from cloome.images.wells import Kept, read_kept

log = logging.getLogger(__name__)

NONE_TREATED = (
    "plate {plate}: no treated well among its {fields} fields; write images.wells: all, or leave the plate out"
)
REASONS = 3  # that an error names of a table of refusals


@dataclass(frozen=True)
class Inputs:
    """What a plate is made of."""

    origin: Path  # the folder with the plate's archives, the LoadData table, or the listing of all npz files
    wells: Path | None = None  # the plate map; for a screen of kind archives only
    illumination: Path | None = None  # folder with {channel}.mat; for kind archives with images.illumination
    labelled: Path | None = None  # compounds with an activity label; for images.wells: labelled


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration; later files override earlier ones")
    parser.add_argument("--plate", required=True, help="plate id")
    parser.add_argument(
        "--in",
        dest="origin",
        required=True,
        type=Path,
        metavar="PATH",
        help="screen of kind archives: folder with PLATE-CHANNEL.zip of each channel; load_data: the LoadData CSV; "
        "npz: the folder from `cloome listing`",
    )
    parser.add_argument("--wells", type=Path, metavar="CSV", help="mean_well_profiles.csv; for kind archives")
    parser.add_argument(
        "--illumination", type=Path, metavar="DIR", help="CHANNEL.mat of each channel; for images.illumination"
    )
    parser.add_argument(
        "--labelled", type=Path, metavar="CSV", help="from `cloome labelled`; for images.wells: labelled"
    )
    parser.add_argument("--threads", type=int, default=1, help="fields that are worked on at once (default 1)")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="H5", help="plate store; *.refused.csv is written beside it"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the plate store."""
    inputs = Inputs(arguments.origin, arguments.wells, arguments.illumination, arguments.labelled)
    store_plate(load_config(arguments.config), arguments.plate, inputs, arguments.out, arguments.threads)


def store_plate(config: Config, plate: str, inputs: Inputs, out: Path, threads: int = 1) -> None:
    """Write the store of a plate and, beside it, ``*.refused.csv`` with columns item, reason.

    Parameters
    ----------
    config : Config
        Uses the sections ``screen`` and ``images``.
    plate : str
        Plate id.
    inputs : Inputs
        The files it is made of.
    out : Path
        The HDF5 file to write.
    threads : int
        Fields that are worked on at once.

    Raises
    ------
    ConfigError
        If an input that the settings need is not given.
    CloomeError
        If an archive is missing or truncated, a table cannot be read, or no field can be used; the message says why.
    """
    channels, images = config.screen.channels, config.images
    functions = _functions(config, plate, inputs) if images.illumination else None
    keep = read_kept(images.wells, inputs.labelled)
    with _opened(config, keep, plate, inputs) as source:
        made = stored_fields(source, plate, channels, images, functions, threads)
        try:
            with closing(made) as fields:  # no thread is left to read from a source that is closed
                kept = images.model_dump()
                written = write_plate(out, plate, channels, fields, source.source, kept, images.compression)
        except FormatError as error:
            mock = 0 if source.fields else _count_fields(config, plate, inputs)
            problem = NONE_TREATED.format(plate=plate, fields=mock) if mock else str(error)
            raise FormatError(problem + _first_reasons(source.refused)) from error
        finally:
            write_refused(out.with_suffix(".refused.csv"), source.refused)
    log.info("plate %s: %d images stored, %d refused", plate, written, len(source.refused))


def _functions(config: Config, plate: str, inputs: Inputs) -> Functions:
    """The illumination correction function of each channel."""
    screen = config.screen
    if screen.kind == "load_data":
        files = illumination_files(screen, inputs.origin, plate)
    elif inputs.illumination is None:
        raise ConfigError("images.illumination is true; give the folder of the functions with --illumination")
    else:
        files = [inputs.illumination / f"{channel}.mat" for channel in screen.channels]
    return [read_function(file) for file in files]


def _count_fields(config: Config, plate: str, inputs: Inputs) -> int:
    """Number of complete fields in wells of either role."""
    with _opened(config, Kept("all"), plate, inputs) as source:
        return len(source.fields)


def _first_reasons(refused: list[tuple[str, str]]) -> str:
    # The table of refusals does not say it: the workflow removes what a failed job wrote.
    reasons = list(dict.fromkeys(reason for _, reason in refused))[:REASONS]
    return f"; {len(refused)} refused: {'; '.join(reasons)}" if refused else ""


@contextmanager
def _opened(config: Config, keep: Kept, plate: str, inputs: Inputs) -> Iterator[Source]:
    screen = config.screen
    if screen.kind == "npz":
        yield Preprocessed(screen, inputs.origin, plate, keep)
        return
    if screen.kind == "load_data":
        yield ListedImages(screen.model_copy(update={"load_data": str(inputs.origin)}), plate, keep)
        return
    if inputs.wells is None:
        raise ConfigError("a screen of kind 'archives' needs its plate map; give mean_well_profiles.csv with --wells")
    with open_archives(inputs.origin, plate, screen.channels, inputs.wells, keep) as archives:
        yield archives
