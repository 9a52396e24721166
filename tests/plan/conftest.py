"""A small archive screen, its table of sources, and plates that are stored."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cloome.config import Config
from cloome.config_files import check_config
from cloome.data.plates import Field, write_plate
from cloome.data.sources import COLUMNS
from cloome.plan.places import Places

PLATES, CHANNELS = ["24277", "24278"], ["Mito", "Hoechst"]
ARCHIVE, METADATA, COMPOUNDS = 1_000_000, 30_000, 2_000


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder in which the command runs; paths of an experiment are relative to it."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"source": "plate_archive", "url": "https://a.org/{plate}-{channel}.zip", "about_bytes": str(ARCHIVE)},
        {
            "source": "plate_metadata",
            "url": "https://b.org/{plate}",
            "mirrors": "https://c.org/{plate} https://b.org/x",
        },
        {"source": "plate_metadata", "plate": "24278", "url": "https://b.org/8", "bytes": str(METADATA)},
        {"source": "compounds", "url": "tables/compounds.csv", "bytes": str(COMPOUNDS)},
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv("sources.csv", index=False)
    return tmp_path


@pytest.fixture
def configured(folder) -> Callable[..., Config]:
    """Make the configuration of the archive screen, with other sections where they are given."""

    def make(**sections) -> Config:
        screen = {"kind": "archives", "name": "small", "sources": "sources.csv", "plates": PLATES, "channels": CHANNELS}
        screen |= {"labels": False} | sections.pop("screen", {})
        model = {"normalisation": "measured"} | sections.pop("model", {})
        return check_config({"name": "plan", "screen": screen, "model": model, **sections})

    return make


@pytest.fixture
def store() -> Callable[[Config, str, int], Path]:
    """Write the store of a plate with some images of 8 x 10 pixels."""

    def write(config: Config, plate: str, images: int) -> Path:
        path = Places.of(config).store / f"{plate}.h5"
        channels = config.screen.channels
        image = np.zeros((len(channels), 8, 10), np.uint8)
        write_plate(path, plate, channels, [Field("A01", site, image, 0) for site in range(images)], "test", {})
        return path

    return write
