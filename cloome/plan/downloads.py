"""What is still to be fetched: file by file, from the table of sources and from what lies in resources/."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from cloome.config import Config
from cloome.data.sources import TABLES, read_sources
from cloome.errors import CloomeError
from cloome.plan.contents import Contents
from cloome.plan.places import Places

THIS_MACHINE = "this machine"


@dataclass(frozen=True)
class File:
    """One file to fetch."""

    source: str  # name in the table of sources
    use: str  # the source, and what is taken of it where this needs a word
    plate: str
    channel: str
    outputs: tuple[Path, ...]  # the file, or what is taken out of it
    finished: bool  # needed no more, or all outputs are there
    bytes: int | None  # of the whole file; None: nobody knows
    about: bool  # whether these are a rough size
    hosts: tuple[str, ...]  # in the order in which they are tried

    @property
    def arrived(self) -> int:
        """Bytes of a transfer that was cut."""
        parts = [output.with_name(f"{output.name}.part") for output in self.outputs]
        return sum(part.stat().st_size for part in parts if part.is_file())

    @property
    def left(self) -> int | None:
        """Bytes that are still to be fetched; None: not known."""
        if self.finished:
            return 0
        return None if self.bytes is None else max(0, self.bytes - self.arrived)


def list_files(config: Config, contents: Contents, places: Places) -> list[File]:
    """Every file that an experiment fetches from elsewhere; a simulated screen and one's own fetch none.

    Raises
    ------
    FormatError
        If the table of sources cannot be read.
    CloomeError
        If it has no row for a file.
    """
    if config.simulate or config.screen.kind != "archives":
        return []
    rows = _Rows(config.screen.sources)
    folder, channels = places.resources, config.screen.channels
    files = []
    for plate in contents.plates:
        # The archives of a stored plate have been deleted; they are fetched again only if the plate is redone.
        stored = plate in contents.stored
        for channel in channels:
            archive = folder / "archives" / plate / f"{plate}-{channel}.zip"
            files.append(rows.file("plate_archive", [archive], plate, channel, unneeded=stored))
        wells = [folder / "plates" / plate / name for name in ("mean_well_profiles.csv", "qc.csv")]
        files.append(rows.file("plate_metadata", wells, plate))
        if config.images.illumination:
            functions = [folder / "illumination" / plate / f"{channel}.mat" for channel in channels]
            files.append(
                rows.file("plate_metadata", functions, plate, use="plate_metadata, illumination", unneeded=stored)
            )
    return files + [rows.file(TABLES[name], [folder / name]) for name in _tables(config)]


def archive_bytes(files: list[File]) -> float:
    """Bytes of one plate's archives, on average over those of known size; 0 without any."""
    archives = [file for file in files if file.channel]
    sizes = [file.bytes for file in archives if file.bytes is not None]
    return len({file.channel for file in archives}) * sum(sizes) / len(sizes) if sizes else 0.0


def _tables(config: Config) -> list[str]:
    screen = config.screen
    published = any(split.kind == "published" for split in config.runs.splits.values())
    needed = {
        "compounds": True,
        "mechanisms": screen.mechanisms is not None,
        "labels": screen.labels,
        "split": published,
        "weights": config.model.source == "published",
    }
    return [name for name, source in TABLES.items() if needed[source.split("_")[0]]]


class _Rows:
    """The table of sources, read once: `find_source` reads it for each of thousands of files."""

    def __init__(self, path: str):
        self._path = path
        self._sources = {name: self._by_place(rows) for name, rows in read_sources(path).groupby("source")}

    @staticmethod
    def _by_place(rows: pd.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
        return {(row["plate"], row["channel"]): row for row in rows.to_dict("records")}

    def file(
        self,
        source: str,
        outputs: list[Path],
        plate: str = "",
        channel: str = "",
        use: str | None = None,
        unneeded: bool = False,
    ) -> File:
        """The file of a source, by the row that names most of its plate and channel."""
        rows = self._sources.get(source, {})
        keys = [(plate, channel), (plate, ""), ("", channel), ("", "")]
        row = next((rows[key] for key in keys if key in rows), None)
        if row is None:
            raise CloomeError(f"{self._path}: no row for {'-'.join(filter(None, [source, plate, channel]))}; add one")
        size = row["bytes"] or row["about_bytes"]
        return File(
            source=source,
            use=use or source,
            plate=plate,
            channel=channel,
            outputs=tuple(outputs),
            finished=unneeded or all(output.is_file() for output in outputs),
            bytes=int(size) if size else None,
            about=not row["bytes"],
            hosts=tuple(dict.fromkeys(_host(url) for url in [row["url"], *row["mirrors"].split()])),
        )


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc if parts.scheme in ("http", "https") else THIS_MACHINE
