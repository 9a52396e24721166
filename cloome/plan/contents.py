"""How many images a screen has, and of what size: counted where it can be, else estimated from published numbers."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from cloome.config import Config, Images
from cloome.data.pixels import read_pixels
from cloome.data.plates import open_plate
from cloome.data.wells import MOCK, TREATED, plate_names, read_load_data, read_npz_index
from cloome.errors import CloomeError, ConfigError
from cloome.simulate.structures import drugs

# The published screen (FACTS 1.8, 2.2, 5.1): fields of 520 x 696 pixels on 406 plates of 384 wells; wells with a
# compound; fields of compounds that have an activity label.
PUBLISHED_SIZE, PUBLISHED_PLATES, PUBLISHED_FIELDS = (520, 696), 406, 919_265
TREATED_SHARE = 126_798 / (406 * 384)
LABELLED_FIELDS = 284_000


@dataclass(frozen=True)
class Contents:
    """What a screen holds; numbers are averages where a plate has not been stored yet."""

    plates: list[str]
    stored: dict[str, int]  # images in the store of each plate that has one
    fields: dict[str, float]  # fields of view of each plate, as far as their wells are kept
    per_field: float  # images that are stored for each of them
    shape: tuple[int, int]  # height and width of a stored image in pixels
    treated: float  # share of the images that show treated wells
    replicates: float  # share that a split by replicate plate leaves for training; 1 where it is not known
    origin: str  # what these numbers come from, for people

    @cached_property
    def missing(self) -> list[str]:
        """The plates that have no store yet."""
        return [plate for plate in self.plates if plate not in self.stored]

    @cached_property
    def images(self) -> float:
        """Images of the whole screen once all plates are stored."""
        return sum(self.stored.values()) + self.per_field * sum(self.fields[plate] for plate in self.missing)


@dataclass(frozen=True)
class _Counted:
    """Fields of view, before they become images."""

    fields: dict[str, float]
    size: tuple[int, int]
    treated: float
    replicates: float
    origin: str


def read_contents(config: Config, store: Path) -> Contents:
    """Find out what a screen holds.

    Parameters
    ----------
    config : Config
        Uses the sections ``screen``, ``simulate`` and ``images``.
    store : Path
        Folder of the plate stores; those that are there are counted.

    Raises
    ------
    CloomeError
        If a table of the screen or a store cannot be read, or none of the images that a LoadData table names is there.
    ConfigError
        If tiles are larger than the fields.
    """
    plates = plate_names(config.screen)
    stored, shape = _read_stores(store, plates)
    if config.simulate:
        counted = _simulated(config, plates)
    elif config.screen.kind == "archives":
        counted = _published(config, plates)
    else:
        counted = _listed(config, plates)
    per_field, planned = stored_size(*counted.size, config.images)
    origin = f"{counted.origin}; plates that are stored are counted" if stored else counted.origin
    return Contents(
        plates, stored, counted.fields, per_field, shape or planned, counted.treated, counted.replicates, origin
    )


def stored_size(height: int, width: int, images: Images) -> tuple[float, tuple[int, int]]:
    """Images that are stored for each field of a size in pixels, and their height and width."""
    if images.resize:
        height, width = images.resize
    if images.tiles:
        size, stride = images.tiles.size, images.tiles.stride or images.tiles.size
        if size > (smaller := min(height, width)):
            raise ConfigError(
                f"images.tiles.size is {size}, but fields are {height} x {width}; write size: {smaller} or less"
            )
        return ((height - size) // stride + 1) * ((width - size) // stride + 1), (size, size)
    if images.mosaic:
        rows, columns, skip = images.mosaic.rows, images.mosaic.columns, images.mosaic.skip
        return 1 / (rows * columns), (rows * height, columns * (width - skip))
    return 1, (height, width)


def _read_stores(store: Path, plates: list[str]) -> tuple[dict[str, int], tuple[int, int] | None]:
    stored, shape = {}, None
    for plate in plates:
        path = store / f"{plate}.h5"
        if path.is_file():
            with open_plate(path) as opened:
                stored[plate], shape = len(opened.images), opened.images.shape[2:]
    return stored, shape


def _simulated(config: Config, plates: list[str]) -> _Counted:
    treated = len(drugs())
    kept = treated + (config.simulate.dmso_wells if config.images.wells == "all" else 0)
    return _Counted(
        fields=dict.fromkeys(plates, kept * config.simulate.sites),
        size=(config.simulate.height, config.simulate.width),
        treated=treated / kept,
        replicates=1 - 1 / len(plates) if len(plates) > 1 else 1,
        origin="as they will be simulated",
    )


def _published(config: Config, plates: list[str]) -> _Counted:
    fields = {
        "all": PUBLISHED_FIELDS,
        "treated": PUBLISHED_FIELDS * TREATED_SHARE,
        "labelled": LABELLED_FIELDS,
    }[config.images.wells]
    return _Counted(
        fields=dict.fromkeys(plates, fields / PUBLISHED_PLATES),
        size=PUBLISHED_SIZE,
        treated=TREATED_SHARE if config.images.wells == "all" else 1,
        replicates=1,
        origin=f"about, as on average over the published screen's {PUBLISHED_PLATES} plates",
    )


def _listed(config: Config, plates: list[str]) -> _Counted:
    """What the tables of a LoadData or npz screen list."""
    screen = config.screen
    table = read_load_data(screen) if screen.kind == "load_data" else read_npz_index(screen)
    treated = table[table["role"] == TREATED]
    kept = table if config.images.wells == "all" else treated
    if kept.empty:
        raise CloomeError(
            f"screen {screen.name}: not one of its {len(table)} fields is in a treated well (all are {MOCK}); correct "
            "the column of the compounds or of the roles, or write images.wells: all"
        )
    counts = kept["plate"].value_counts()
    return _Counted(
        fields={plate: float(counts.get(plate, 0)) for plate in plates},
        size=_first_size(screen, table) if screen.kind == "load_data" else PUBLISHED_SIZE,
        treated=len(treated) / len(kept),
        replicates=_replicates(treated),
        origin="at most, as its tables list them" if config.images.wells == "labelled" else "as its tables list them",
    )


def _replicates(treated: pd.DataFrame) -> float:
    """Share that stays for training where one plate of each treatment with several is held out."""
    treatment = ["compound", "concentration"] if "concentration" in treated else ["compound"]
    plates = treated.groupby(treatment, dropna=False)["plate"].transform("nunique")
    return float((1 - (plates > 1) / plates).mean()) if len(treated) else 1.0


def _first_size(screen, table: pd.DataFrame) -> tuple[int, int]:
    """Height and width of the first image that is there, looking at one field of each plate."""
    paths = table.drop_duplicates("plate")[f"path_{screen.channels[0]}"]
    for path in paths:
        if Path(path).is_file():
            return read_pixels(path).shape
    raise CloomeError(
        f"{screen.load_data}: names {paths.iloc[0]!r}, which is not there, nor is the first image of any other plate; "
        "correct the columns PathName_Orig*, whose relative paths start at the folder of the table"
    )
