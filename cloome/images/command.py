"""``cloome images``: one plate's microscope files become its 8-bit store."""

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloome.config import ArchiveScreen, Config, LoadDataScreen
from cloome.config_files import load_config
from cloome.data.plates import write_plate
from cloome.data.refused import write_refused
from cloome.errors import ConfigError, FormatError
from cloome.images.archives import open_archives
from cloome.images.fields import Source, stored_fields
from cloome.images.load_data import ListedImages

log = logging.getLogger(__name__)

NONE_TREATED = (
    "plate {plate}: no treated well among its {fields} fields; write images.wells: all, or leave the plate out"
)
REASONS = 3  # that an error names of a table of refusals


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
        help="screen of kind archives: folder with PLATE-CHANNEL.zip of each channel; load_data: the LoadData CSV",
    )
    parser.add_argument("--wells", type=Path, metavar="CSV", help="mean_well_profiles.csv; for kind archives")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="H5", help="plate store; *.refused.csv is written beside it"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the plate store."""
    store_plate(load_config(arguments.config), arguments.plate, arguments.origin, arguments.wells, arguments.out)


def store_plate(config: Config, plate: str, origin: Path, wells: Path | None, out: Path) -> None:
    """Write the store of a plate and, beside it, ``*.refused.csv`` with columns item, reason.

    Parameters
    ----------
    config : Config
        Uses the sections ``screen`` and ``images``.
    plate : str
        Plate id.
    origin : Path
        The folder with the plate's archives, or the LoadData table.
    wells : Path or None
        The plate map; for a screen of kind ``archives`` only.
    out : Path
        The HDF5 file to write.

    Raises
    ------
    ConfigError
        If a screen of kind ``archives`` comes without a plate map.
    CloomeError
        If an archive is missing or truncated, a table cannot be read, or no field can be used; the message says why.
    """
    channels = config.screen.channels
    with _opened(config.screen, config.images.wells, plate, origin, wells) as source:
        fields = stored_fields(source, plate, channels, config.images)
        try:
            written = write_plate(out, plate, channels, fields, source.source, config.images.model_dump())
        except FormatError as error:
            mock = 0 if source.fields else _count_fields(config.screen, plate, origin, wells)
            problem = NONE_TREATED.format(plate=plate, fields=mock) if mock else str(error)
            raise FormatError(problem + _first_reasons(source.refused)) from error
        finally:
            write_refused(out.with_suffix(".refused.csv"), source.refused)
    log.info("plate %s: %d fields stored, %d refused", plate, written, len(source.refused))


def _count_fields(screen: ArchiveScreen | LoadDataScreen, plate: str, origin: Path, wells: Path | None) -> int:
    """Number of complete fields in wells of either role."""
    with _opened(screen, "all", plate, origin, wells) as source:
        return len(source.fields)


def _first_reasons(refused: list[tuple[str, str]]) -> str:
    # The table of refusals does not say it: the workflow removes what a failed job wrote.
    reasons = list(dict.fromkeys(reason for _, reason in refused))[:REASONS]
    return f"; {len(refused)} refused: {'; '.join(reasons)}" if refused else ""


@contextmanager
def _opened(
    screen: ArchiveScreen | LoadDataScreen, keep: str, plate: str, origin: Path, wells: Path | None
) -> Iterator[Source]:
    if screen.kind == "load_data":
        yield ListedImages(screen.model_copy(update={"load_data": str(origin)}), plate, keep)
        return
    if wells is None:
        raise ConfigError("a screen of kind 'archives' needs its plate map; give mean_well_profiles.csv with --wells")
    with open_archives(origin, plate, screen.channels, wells, keep) as archives:
        yield archives
