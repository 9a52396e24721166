"""A plate of archives in small, and what runs the stage on it."""

import io
import resource
import shutil
import signal
import tarfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from cloome.config import PAPER_CHANNELS, Config
from cloome.data.plates import open_plate
from cloome.data.refused import read_refused
from cloome.images.command import Inputs, store_plate
from cloome.images.npz_listing import write_listing

PLATE = "24278"
SIZE = (40, 50)
FIELDS = {f"{PLATE}-A{well:02d}-{site}" for well in (1, 2) for site in (1, 2)}  # of treated wells
NPZ_PLATE, NPZ_SHAPE = "24277", (30, 40, 5)
NUMBERS = {"Hoechst": 1, "ERSyto": 2, "ERSytoBleed": 3, "Ph_golgi": 4, "Mito": 5}


def naive_to_uint8(channel: np.ndarray, cut: float, scale: float) -> np.ndarray:
    """As upstream: list the brightest pixels one by one, scale in float64 by the lowest of them.

    The two cases that go wrong upstream are as the docstring of `to_uint8` defines them.
    """
    n = max(1, int(np.around(channel.shape[0] * channel.shape[1] * cut)))
    brightest = np.argpartition(channel.ravel(), -n)[-n:]
    threshold = min([int(channel.ravel()[place]) for place in brightest])
    if threshold == 0:
        return np.zeros(channel.shape, np.uint8)
    scaled = channel.astype(float) * (float(scale) / threshold)
    scaled[scaled > 255] = 255
    return scaled.astype(np.uint8)


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
                    pixels = rng.integers(0, 4096, SIZE, dtype=np.uint16)
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

    def store(
        self, threads: int = 1, functions: Path | None = None, labelled: Path | None = None, **images
    ) -> dict[str, str]:
        """Run the stage; what was refused, as reason by item."""
        inputs = Inputs(self.folder, self.wells, functions, labelled)
        store_plate(self.config(**images), PLATE, inputs, self.out, threads)
        return self.refused()

    def stored(self) -> dict[str, np.ndarray]:
        """The stored images by sample key."""
        with open_plate(self.out) as plate:
            return dict(zip(plate.sample_keys(), plate.images[()], strict=True))

    def check(self, **images) -> dict[str, str]:
        """Run the stage within bounds and check what must hold whatever the archives are; what was refused.

        Each field of the treated wells is either stored, with the bytes of the naive way, or refused with a reason;
        nothing else is stored, and no other file is written.
        """
        before = self._files()
        with bounded():
            refused = self.store(**images)
        stored = self.stored()
        for key, image in stored.items():
            np.testing.assert_array_equal(image, self.naive(key), err_msg=key)
        assert set(stored).isdisjoint(refused)
        assert set(stored) <= FIELDS <= set(stored) | set(refused)
        assert all(refused.values())
        assert self._files() - before == {self.out, self.out.with_suffix(".refused.csv")}
        return refused

    def _files(self) -> set[Path]:
        # Also beside the plate's folder, where a name with ../ would lead.
        return {path for path in self.out.parent.parent.rglob("*") if path.is_file()}

    def naive(self, key: str) -> np.ndarray:
        """The image of a field of the form PLATE-WELL-SITE, made in the plainest way; the archives are as on disk."""
        _, well, site = key.split("-")
        channels = []
        for channel in PAPER_CHANNELS:
            with zipfile.ZipFile(self.zip_path(channel)) as file:
                (name,) = (name for name in file.namelist() if f"_{well.lower()}_s{site}_" in name)
                pixels = tifffile.imread(io.BytesIO(file.read(name)))
            channels.append(naive_to_uint8(pixels, cut=2.8e-5, scale=256))
        return np.stack(channels)

    @staticmethod
    def config(**images) -> Config:
        screen = {"kind": "archives", "name": "s", "plates": [PLATE], "labels": True}
        return Config.model_validate({"screen": screen, "images": images})

    def refused(self) -> dict[str, str]:
        table = read_refused(self.out.with_suffix(".refused.csv"))
        return dict(zip(table["item"], table["reason"], strict=True))


@contextmanager
def bounded(seconds: int = 10, megabytes: int = 400) -> Iterator[None]:
    """Let the block neither hang nor take much memory: beyond the address space of now, `megabytes` more."""

    def stop(*_):
        raise AssertionError(f"took more than {seconds} s")

    before, limits = signal.signal(signal.SIGALRM, stop), resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (megabytes << 20), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def naive():
    return naive_to_uint8


@pytest.fixture
def archived(tmp_path) -> ArchivedPlate:
    folder = tmp_path / "plate"
    folder.mkdir()
    return ArchivedPlate(folder)


class NpzScreen:
    """Plate 24277: wells A03 and A04 (treated), two sites each, and A05 (mock); the bytes of its files by name."""

    def __init__(self, folder: Path):
        self.folder, self.listing, self.out = folder, folder / "listing", folder / f"{NPZ_PLATE}.h5"
        self.tar, self.npz = folder / "dataset00.tar", folder / "npz"
        self.images, self.wells = [str(self.tar)], "treated"
        rng = np.random.default_rng(0)
        self.rows = [self.row("A03", 1), self.row("A03", 2), self.row("A04", 1, "BRD-2"), self.row("A04", 2, "BRD-2")]
        self.rows.append(self.row("A05", 1, compound=""))
        self.samples = {row["SAMPLE_KEY"]: rng.integers(1, 256, NPZ_SHAPE, dtype=np.uint8) for row in self.rows}
        self.files = {f"{key}.npz": self.packed(sample) for key, sample in self.samples.items()}

    @staticmethod
    def row(well: str, site: int, compound: str = "BRD-1", plate: str = NPZ_PLATE) -> dict:
        names = {"SAMPLE_KEY": f"{plate}-{well}-{site}", "BROAD_ID": compound, "PLATE_ID": int(plate)}
        return names | {"WELL_POSITION": well, "SITE": site, "SMILES": "CCO", "CPD_NAME": compound}

    @staticmethod
    def packed(sample: np.ndarray, name: str = "sample", save=np.savez_compressed, **more) -> bytes:
        buffer = io.BytesIO()
        save(buffer, **{name: sample}, **more)
        return buffer.getvalue()

    @staticmethod
    def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **attributes) -> None:
        """Add a member to a tar file; `attributes` say what is odd about it."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        for attribute, value in attributes.items():
            setattr(member, attribute, value)
        tar.addfile(member, io.BytesIO(content))

    def write(self) -> None:
        """Write the index and all files into one tar."""
        self.write_index(self.rows)
        with tarfile.open(self.tar, "w") as tar:
            for name, content in self.files.items():
                self.add(tar, name, content)

    def write_index(self, rows: list[dict], name: str = "index.csv") -> None:
        pd.DataFrame(rows).to_csv(self.folder / name, index=False)

    def write_folder(self) -> None:
        """Write the index and all files into a folder."""
        self.write_index(self.rows)
        self.images = [str(self.npz)]
        for name, content in self.files.items():
            path = self.npz / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def config(self, index: tuple[str, ...] = ("index.csv",), **images) -> Config:
        screen = {"kind": "npz", "name": "s", "images": self.images}
        screen["index"] = [str(self.folder / name) for name in index]
        return Config.model_validate({"screen": screen, "images": {"intensity": "none", "wells": self.wells, **images}})

    def list(self) -> dict[str, str]:
        """Make the listing; what is named as no field, as reason by item."""
        shutil.rmtree(self.listing, ignore_errors=True)
        _, refused = write_listing(self.images, self.listing)
        return dict(refused)

    def store(self, threads: int = 1, **images) -> dict[str, str]:
        """Make the plate store; what was refused, as reason by item."""
        store_plate(self.config(**images), NPZ_PLATE, Inputs(self.listing), self.out, threads)
        table = read_refused(self.out.with_suffix(".refused.csv"))
        return dict(zip(table["item"], table["reason"], strict=True))

    def stored(self) -> dict[str, np.ndarray]:
        """Images by sample key, (H, W, C)."""
        with open_plate(self.out) as plate:
            assert plate.channels == PAPER_CHANNELS
            return dict(zip(plate.fields()["sample_key"], np.moveaxis(plate.images[()], 1, -1), strict=True))


@pytest.fixture
def npz(tmp_path) -> NpzScreen:
    return NpzScreen(tmp_path)
