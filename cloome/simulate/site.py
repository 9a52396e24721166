"""Writing the simulated archive site: plates, well metadata, compound tables, labels and the table of sources.

Everything is simulated but the structures, names and mechanisms of the drugs. The table of sources is written last:
where it lies, the site is complete.
"""

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cloome.config import Config, Simulate
from cloome.data.files import write_csv
from cloome.data.sources import COLUMNS as SOURCE_COLUMNS
from cloome.data.wells import MOCK, TREATED
from cloome.errors import ConfigError
from cloome.simulate.archives import archive_path, plate_archives, write_metadata
from cloome.simulate.assays import simulated_labels, write_labels
from cloome.simulate.camera import photograph, plate_condition, well_density
from cloome.simulate.cells import STAINS, Textures, draw
from cloome.simulate.phenotype import TRAITS, looks
from cloome.simulate.structures import drugs

log = logging.getLogger(__name__)

SOURCES = "sources.csv"
_WELL_ROWS, _WELL_COLUMNS = "ABCDEFGHIJKLMNOP", 24
_FLAGGED = 0.01  # share of fields that are blurred, and as many that are saturated
_CONCENTRATION = 5.0  # mmol/l of the stock, as the real tables give it
# What the drawing of each part starts from, beside the seed; fixed, so that one part's draws never shift another's.
_LAYOUT, _FLAGS, _CONDITION, _FIELD, _LABELS = range(5)


@dataclass(frozen=True)
class _Common:
    """What all plates are made from."""

    table: pd.DataFrame  # of the drugs
    look: np.ndarray  # float64 (drugs, traits)
    textures: Textures
    channels: list[str]
    simulate: Simulate


def write_site(config: Config, folder: Path) -> Path:
    """Write the archive site of a configuration.

    Parameters
    ----------
    config : Config
        Uses the sections ``simulate`` and ``screen``.
    folder : Path
        Where to write; it is made if needed.

    Returns
    -------
    Path
        The table of sources.

    Raises
    ------
    ConfigError
        If the plates or channels of the screen are not those that can be simulated.
    """
    table = drugs()
    check(config, len(table))
    simulate, screen = config.simulate, config.screen
    (folder / SOURCES).unlink(missing_ok=True)
    common = _Common(table, looks(table, simulate.effect), Textures(simulate.seed), screen.channels, simulate)
    sources = []
    for number, plate in enumerate(screen.plates):
        metadata = _write_plate(folder, plate, number, common)
        sources += [
            _source(folder, "plate_archive", archive_path(folder, plate, channel), plate, channel)
            for channel in screen.channels
        ]
        sources.append(_source(folder, "plate_metadata", metadata, plate))
        log.info("plate %s of simulated cells is written", plate)
    sources += _write_tables(folder, table, simulate)
    write_csv(pd.DataFrame(sources, columns=SOURCE_COLUMNS), folder / SOURCES)
    return folder / SOURCES


def check(config: Config, compounds: int) -> None:
    """Refuse, with a ConfigError, what cannot be simulated."""
    simulate, screen = config.simulate, config.screen
    if simulate is None:
        raise ConfigError("simulate is null, so there is nothing to simulate; write a section simulate")
    if isinstance(screen.plates, str):
        raise ConfigError(f"screen.plates names the file {screen.plates}; to simulate, list the plate ids themselves")
    strange = [plate for plate in screen.plates if not re.fullmatch(r"\d{5}", plate)]
    if strange or len(set(screen.plates)) < len(screen.plates):
        raise ConfigError(f"screen.plates is {', '.join(screen.plates)}; write different ids of five digits each")
    unknown = [channel for channel in screen.channels if channel not in STAINS]
    if unknown:
        raise ConfigError(f"screen.channels has {', '.join(unknown)}; simulated are {', '.join(STAINS)}")
    room = len(_WELL_ROWS) * _WELL_COLUMNS - compounds
    if simulate.dmso_wells > room:
        raise ConfigError(f"simulate.dmso_wells is {simulate.dmso_wells}; a plate has room for {room} beside the drugs")


def _write_plate(folder: Path, plate: str, number: int, common: _Common) -> Path:
    """Write the image archives and the metadata of one plate; returns the path of the metadata."""
    simulate = common.simulate
    wells = _layout(common.table, simulate.dmso_wells, _rng(simulate, _LAYOUT, number))
    quality = _flags(wells, plate, simulate, _rng(simulate, _FLAGS, number))
    shape = (simulate.height, simulate.width)
    condition = plate_condition(shape, simulate.nuisance, _rng(simulate, _CONDITION, number))
    means = []
    with plate_archives(folder, plate, common.channels) as archives:
        for well_number, well in enumerate(wells.itertuples()):
            seeded = _rng(simulate, _FIELD, number, well_number)
            look = common.look[well.drug].copy() if well.drug >= 0 else np.zeros(len(TRAITS))
            look[TRAITS.index("density")] += well_density(well.on_rim, simulate.nuisance, seeded)
            fields = []
            for flags in quality[quality["Well"] == well.position.lower()].itertuples():
                stains = draw(look, shape, common.textures, seeded)
                field = photograph(
                    stains, condition, simulate.nuisance, seeded, bool(flags.isBlurry), bool(flags.isSaturated)
                )
                archives.add(well.position, flags.Site, field, seeded)
                fields.append(field)
            means.append(np.mean(fields, axis=(0, 2, 3)))
    return write_metadata(folder, plate, _profiles(wells, plate, np.array(means)), quality)


def _rng(simulate: Simulate, *key: int) -> np.random.Generator:
    return np.random.default_rng([simulate.seed, *key])


def _layout(table: pd.DataFrame, dmso_wells: int, rng: np.random.Generator) -> pd.DataFrame:
    """Which drug lies where: one well per drug and the mock wells, at places drawn for this plate.

    Replicates lie at different places on purpose: a model cannot know a drug by its place on the plate.
    """
    places = np.sort(rng.choice(len(_WELL_ROWS) * _WELL_COLUMNS, len(table) + dmso_wells, replace=False))
    row, column = np.divmod(places, _WELL_COLUMNS)
    drug = rng.permutation(np.concatenate([np.arange(len(table)), np.full(dmso_wells, -1)]))
    return pd.DataFrame(
        {
            "position": [f"{_WELL_ROWS[r]}{c + 1:02d}" for r, c in zip(row, column, strict=True)],
            "on_rim": np.isin(row, (0, len(_WELL_ROWS) - 1)) | np.isin(column, (0, _WELL_COLUMNS - 1)),
            "drug": drug,
            "broad_id": [table["broad_id"].iloc[d] if d >= 0 else "DMSO" for d in drug],
        }
    )


def _flags(wells: pd.DataFrame, plate: str, simulate: Simulate, rng: np.random.Generator) -> pd.DataFrame:
    """The table qc.csv: which fields are blurred and which saturated; none of them without nuisance."""
    fields = [(well.lower(), site) for well in wells["position"] for site in range(1, simulate.sites + 1)]
    each = max(1, round(_FLAGGED * len(fields))) if simulate.nuisance > 0 else 0
    chosen = rng.permutation(len(fields))
    numbers = np.arange(len(fields))
    return pd.DataFrame(
        {
            "Image_Metadata_Plate": plate,
            "Well": [well for well, _ in fields],
            "Site": [site for _, site in fields],
            "isSaturated": np.isin(numbers, chosen[:each]).astype(int),
            "isBlurry": np.isin(numbers, chosen[each : 2 * each]).astype(int),
        }
    )


def _profiles(wells: pd.DataFrame, plate: str, means: np.ndarray) -> pd.DataFrame:
    """The table mean_well_profiles.csv: what each well holds, and its mean intensity per channel, 0..1."""
    treated = wells["drug"] >= 0
    return pd.DataFrame(
        {
            "Metadata_Plate": plate,
            "Metadata_Well": wells["position"].str.lower(),
            "Metadata_Assay_Plate_Barcode": plate,
            "Metadata_Plate_Map_Name": f"SIMULATED-{plate}",
            "Metadata_well_position": wells["position"],
            "Metadata_ASSAY_WELL_ROLE": np.where(treated, TREATED, MOCK),
            "Metadata_broad_sample": wells["broad_id"],
            "Metadata_mmoles_per_liter": np.where(treated, _CONCENTRATION, 0.0),
            "Metadata_solvent": "DMSO",
            "Metadata_pert_id": wells["broad_id"].str[:13],
            "Metadata_pert_well": wells["position"],
            "Metadata_pert_type": np.where(treated, "trt", "control"),
        }
        | {f"Image_Intensity_MeanIntensity_{name}": means[:, c] / 65535 for c, name in enumerate(STAINS)}
    )


def _write_tables(folder: Path, table: pd.DataFrame, simulate: Simulate) -> list[dict]:
    """Write compounds, mechanisms and labels; returns their rows of the table of sources."""
    annotations = pd.DataFrame(
        {
            "BROAD_ID": table["broad_id"],
            "CPD_NAME": table["name"],
            "CPD_NAME_TYPE": "INN",
            "CPD_SAMPLE_ID": "",
            "DOS_LIBRARY": "",
            "SOURCE_NAME": "simulated",
            "CHEMIST_NAME": "",
            "VENDOR_CATALOG_ID": "",
            "CPD_SMILES": table["smiles"],
            "USERCOMMENT": "real structure, simulated images",
        }
    )
    mechanisms = pd.DataFrame({"BROAD_ID": table["broad_id"], "MOA": table["mechanism"]})
    compounds_path, mechanisms_path = folder / "tables/chemical_annotations.csv", folder / "tables/mechanisms.csv"
    write_csv(annotations, compounds_path)
    write_csv(mechanisms, mechanisms_path)
    # Sorted by molecule, so that the order of the labels tells nothing about the classes.
    labels = simulated_labels(table.sort_values("inchikey"), _rng(simulate, _LABELS))
    written = {"compounds": compounds_path, "mechanisms": mechanisms_path} | dict(
        zip(("labels_matrix", "labels_rows", "labels_columns"), write_labels(labels, folder / "labels"), strict=True)
    )
    return [_source(folder, name, path) for name, path in written.items()]


def _source(folder: Path, name: str, path: Path, plate: str = "", channel: str = "") -> dict[str, str | int]:
    """One row of the table of sources, with the size and checksum of the file as written."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "source": name,
        "plate": plate,
        "channel": channel,
        "version": "",
        "url": path.relative_to(folder).as_posix(),
        "mirrors": "",
        "bytes": path.stat().st_size,
        "about_bytes": "",
        "sha256": digest,
        "licence": "CC0-1.0",
        "date": "",
        "what": "simulated",
    }
