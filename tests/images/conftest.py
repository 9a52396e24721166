"""A plate of archives in small, and what runs the stage on it."""

import io
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from cloome.config import PAPER_CHANNELS, Config
from cloome.data.refused import read_refused
from cloome.images.command import store_plate

PLATE = "24278"
NUMBERS = {"Hoechst": 1, "ERSyto": 2, "ERSytoBleed": 3, "Ph_golgi": 4, "Mito": 5}


class ArchivedPlate:
    """Wells A01 and A02 (treated) and A03 (mock), two sites each, five channels of 16-bit noise."""

    plate = PLATE

    def __init__(self, folder: Path):
        self.folder, self.wells, self.out = folder / "archives", folder / "wells.csv", folder / f"{PLATE}.h5"
        self.folder.mkdir()
        self.content = {channel: {} for channel in PAPER_CHANNELS}
        rng = np.random.default_rng(0)
        for channel in PAPER_CHANNELS:
            for well in ("a01", "a02", "a03"):
                for site in (1, 2):
                    pixels = rng.integers(0, 4096, (40, 50), dtype=np.uint16)
                    self.content[channel][self.name(channel, well, site)] = self.tiff(pixels)

    @staticmethod
    def tiff(pixels: np.ndarray, **options) -> bytes:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, **({"photometric": "minisblack"} | options))
        return buffer.getvalue()

    @staticmethod
    def name(channel: str, well: str, site: int, plate: str = PLATE) -> str:
        identity = uuid.uuid5(uuid.NAMESPACE_OID, f"{plate}{channel}{well}{site}")
        return f"{plate}-{channel}/cdp2bioactives_{well}_s{site}_w{NUMBERS[channel]}{identity}.tif"

    def zip_path(self, channel: str) -> Path:
        return self.folder / f"{PLATE}-{channel}.zip"

    def write(self, roles: Mapping[str, str] | None = None) -> None:
        """Write archives and plate map."""
        for channel, members in self.content.items():
            with zipfile.ZipFile(self.zip_path(channel), "w", zipfile.ZIP_DEFLATED) as file:
                for name, data in members.items():
                    file.writestr(name, data)
        self.write_wells(roles or {"a01": "treated", "a02": "treated", "a03": "mock"})

    def write_wells(self, roles: Mapping[str, str], plate: str = PLATE) -> None:
        """Write the plate map as GigaDB ships it."""
        table = pd.DataFrame({"Metadata_Well": list(roles), "Metadata_ASSAY_WELL_ROLE": list(roles.values())})
        others = {"Metadata_Plate": plate, "Metadata_broad_sample": "BRD-1", "Metadata_mmoles_per_liter": 5.0}
        table.assign(**others).to_csv(self.wells, index=False)

    def store(self, **images) -> dict[str, str]:
        """Run the stage; what was refused, as reason by item."""
        store_plate(self.config(**images), PLATE, self.folder, self.wells, self.out)
        return self.refused()

    @staticmethod
    def config(**images) -> Config:
        screen = {"kind": "archives", "name": "s", "plates": [PLATE]}
        return Config.model_validate({"screen": screen, "images": images})

    def refused(self) -> dict[str, str]:
        table = read_refused(self.out.with_suffix(".refused.csv"))
        return dict(zip(table["item"], table["reason"], strict=True))


@pytest.fixture
def archived(tmp_path) -> ArchivedPlate:
    return ArchivedPlate(tmp_path)
