"""Where the bytes of each npz file lie, plate by plate, so that no plate's job goes through whole tar files.

A listing is a folder with ``{plate}.csv``, one row per file: well and site, from its name; name, for people; file,
offset and size; modified, the time stamp of the file; problem, why it cannot be used.
"""

import io
import os
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from cloome.data.files import read_csv, write_csv
from cloome.data.wells import parse_sample_key
from cloome.errors import CloomeError, FormatError

ENDING = ".npz"
STRANGE_NAME = "not named as PLATE-WELL-SITE.npz"
LARGEST_HEADER = 1 << 20  # of a member of a tar file; a long name takes 1 kB


class Place(NamedTuple):
    """Where the bytes of one npz file lie."""

    name: str  # for people: its path, or that of the tar file and its name in there
    file: str
    offset: int
    size: int  # in bytes
    modified: int  # time stamp of `file` in nanoseconds


class Found(NamedTuple):
    """An npz file, or what else lies there."""

    place: Place
    problem: str = ""


_TYPES = {"well": str, "site": int, **Place.__annotations__, "problem": str}


class _Headers(io.BufferedReader):
    """A tar file of which `tarfile` reads nothing but headers: one that claims to be huge is damaged."""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


def find_files(paths: list[str]) -> Iterator[Found]:
    """Everything in some folders, with all folders inside them, and tar files.

    Of a tar file only the headers are read.

    Raises
    ------
    CloomeError
        If a path is missing, or a tar file truncated, damaged or compressed.
    """
    for path in map(Path, paths):
        if path.is_dir():
            yield from _in_folder(path)
        elif path.is_file():
            yield from _in_tar(path)
        else:
            raise CloomeError(f"{path}: no such folder or tar file; correct screen.images, or fetch it first")


def _in_folder(folder: Path) -> Iterator[Found]:
    for parent, folders, names in os.walk(folder, onerror=_raise):
        for path in (os.path.join(parent, name) for name in sorted(names + folders)):
            if os.path.isdir(path):
                # Links could go round in circles, so they are not followed.
                if os.path.islink(path):
                    yield _unreadable(path, "a link to a folder; name that folder in screen.images")
                continue
            try:
                state = os.stat(path)
            except OSError as error:
                yield _unreadable(path, f"cannot be read: {error.strerror}")
            else:
                yield Found(Place(_printable(path), _printable(path), 0, state.st_size, state.st_mtime_ns))


def _unreadable(path: str, problem: str) -> Found:
    return Found(Place(_printable(path), _printable(path), 0, 0, 0), problem)


def _in_tar(path: Path) -> Iterator[Found]:
    modified, last = path.stat().st_mtime_ns, -1
    try:
        with _Headers(io.FileIO(path)) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                # A size below 0 can send the reading backwards, for ever.
                if member.size < 0 or member.offset <= last:
                    raise tarfile.ReadError(f"{member.name!r} has a size of {member.size} bytes")
                last = member.offset
                if not member.isdir():
                    name = _printable(member.name)
                    place = Place(f"{path}/{name}", str(path), member.offset_data, member.size, modified)
                    yield Found(place, _problem(member))
            _check_end(file)
    # ValueError: a size beyond what any file can have.
    except (tarfile.TarError, ValueError) as error:
        raise CloomeError(
            f"{path}: truncated, damaged or no plain tar file ({error}); fetch it again, or decompress it"
        ) from error


def _check_end(file: io.BufferedReader) -> None:
    """Raise ReadError unless a block of zeros was read last: `tarfile` takes a damaged header for the end as well."""
    file.seek(-tarfile.BLOCKSIZE, os.SEEK_CUR)
    if any(file.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError("unexpected end of data")


def _problem(member: tarfile.TarInfo) -> str:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "its name leads out of the tar file"
    if member.issym() or member.islnk():
        return "a link"
    return "" if member.isreg() and not member.issparse() else "no plain file"


def _printable(name: str) -> str:
    """A name without the stand-ins for what is not UTF-8, which no table can hold."""
    return name.encode("utf-8", "backslashreplace").decode()


def _raise(error: OSError) -> None:
    raise CloomeError(f"{error.filename}: cannot be read: {error.strerror}") from error


def write_listing(paths: list[str], folder: Path) -> tuple[int, list[tuple[str, str]]]:
    """Write the listing of some folders and tar files.

    Parameters
    ----------
    paths : list of str
        Folders and tar files.
    folder : Path
        Appears when it is complete.

    Returns
    -------
    listed : int
        Number of files in it.
    refused : list of (item, reason)
        What is named as no field.

    Raises
    ------
    CloomeError
        As `find_files`, or if the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise CloomeError(f"{folder}: holds files already; delete it, or name another folder")
    plates, refused = defaultdict(list), []
    for place, problem in find_files(paths):
        key = _key(place.name)
        if key is None:
            refused.append((place.name, problem or STRANGE_NAME))
        else:
            plate, well, site = key
            plates[plate].append((well, site, *place, problem))
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for plate, rows in plates.items():
        table = pd.DataFrame(rows, columns=list(_TYPES)).sort_values(["well", "site", "name"])
        write_csv(table, temporary / f"{plate}.csv")
    os.replace(temporary, folder)
    return sum(map(len, plates.values())), refused


def _key(name: str) -> tuple[str, str, int] | None:
    stem, ending = os.path.splitext(name.rpartition("/")[2])
    return parse_sample_key(stem) if ending == ENDING else None


def read_listing(folder: Path, plate: str) -> dict[tuple[str, int], list[Found]]:
    """The files of a plate by well and site; several files may claim to be one field.

    Raises
    ------
    FormatError
        If the folder is missing, or the plate's table cannot be read.
    """
    if not folder.is_dir():
        raise FormatError(f"{folder}: no such folder; write it with `cloome listing`")
    path = folder / f"{plate}.csv"
    files = defaultdict(list)
    if path.is_file():
        table = read_csv(path, list(_TYPES), dtype=_TYPES, keep_default_na=False)
        for well, site, *place, problem in table[list(_TYPES)].itertuples(index=False, name=None):
            files[well, site].append(Found(Place(*place), problem))
    return files
