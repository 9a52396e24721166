"""The archives of the site, named and packed as the real ones (FACTS 5.1, 5.2).

The same content gives the same bytes: no clock time enters a file.
"""

import gzip
import io
import tarfile
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from cloome.data.files import replacing
from cloome.simulate.cells import STAINS

_DATE = (2011, 3, 10, 0, 0, 0)
_STRIP_BYTES = 8192  # the real files hold as many whole rows per strip as fit into this
_DESCRIPTION = "SIMULATED, not a microscope image\r\nExperiment base name:CDP2bioactives\r\nPlate ID:{plate}"


def tiff_bytes(image: np.ndarray, plate: str) -> bytes:
    """A uint16 image (H, W) as an uncompressed TIFF in strips, as the microscope of the screen wrote it."""
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        image,
        byteorder="<",
        photometric="minisblack",
        rowsperstrip=max(1, _STRIP_BYTES // (2 * image.shape[1])),
        resolution=(72, 72),
        resolutionunit="INCH",
        software="cloome simulate",
        description=_DESCRIPTION.format(plate=plate),
        metadata=None,
    )
    return buffer.getvalue()


class PlateArchives:
    """The zip archives of one plate, open for writing; see `plate_archives`."""

    def __init__(self, plate: str, files: dict[str, zipfile.ZipFile]):
        self._plate, self._files = plate, files

    def add(self, well: str, site: int, field: np.ndarray, rng: np.random.Generator) -> None:
        """Add a field, uint16 (5, H, W) in the order of `STAINS`; `rng` draws the ids in the file names."""
        for number, (channel, image) in enumerate(zip(STAINS, field, strict=True), start=1):
            identity = uuid.UUID(bytes=rng.bytes(16), version=4)
            if channel in self._files:
                name = f"{self._plate}-{channel}/cdp2bioactives_{well.lower()}_s{site}_w{number}{identity}.tif"
                entry = zipfile.ZipInfo(name, date_time=_DATE)
                entry.external_attr = 0o644 << 16
                self._files[channel].writestr(
                    entry, tiff_bytes(image, self._plate), zipfile.ZIP_DEFLATED, compresslevel=1
                )


@contextmanager
def plate_archives(folder: Path, plate: str, channels: list[str]) -> Iterator[PlateArchives]:
    """Open the zip archives of a plate, one per channel; they appear together when complete."""
    with ExitStack() as stack:
        files = {}
        for channel in channels:
            temporary = stack.enter_context(replacing(archive_path(folder, plate, channel)))
            files[channel] = stack.enter_context(zipfile.ZipFile(temporary, "w"))
        yield PlateArchives(plate, files)


def archive_path(folder: Path, plate: str, channel: str) -> Path:
    """Where the archive of a plate and channel lies below the site's folder."""
    return folder / "images" / f"plate_{plate}" / f"{plate}-{channel}.zip"


def write_metadata(folder: Path, plate: str, profiles: pd.DataFrame, quality: pd.DataFrame) -> Path:
    """Write the GigaDB-like archive of a plate: well profiles and quality flags; returns its path."""
    path = folder / "metadata" / f"Plate_{plate}.tar.gz"
    members = {"profiles/mean_well_profiles.csv": profiles, "quality_control/qc.csv": quality}
    with (
        replacing(path) as temporary,
        open(temporary, "wb") as raw,
        # The time and name in a gzip header would make the bytes differ from run to run.
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, table in members.items():
            content = table.to_csv(index=False).encode()
            entry = tarfile.TarInfo(f"gigascience_upload/Plate_{plate}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path
