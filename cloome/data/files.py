"""Writing so that a file is whole or absent, and reading so that a wrong file is named as such."""

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pandas as pd

from cloome.data.locks import locked
from cloome.data.seals import seal
from cloome.errors import FormatError

# HDF5 crashes when it releases a file that could not be written to its end, as on a full disk. An error holds on to
# the file through its traceback, so these errors are kept.
_UNWRITTEN: list[Exception] = []
AT_ONCE = "at once"


def _write_at_once(access: h5py.h5p.PropFAID) -> None:
    """Keep HDF5 from holding small data back until their data set is released.

    If the disk is full by then, nothing can be raised any more, and the next step crashes.
    """
    access.set_fapl_sec2()
    access.set_sieve_buf_size(0)


h5py.register_driver(AT_ONCE, _write_at_once)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The same name each time, so that what a killed process left behind is overwritten by the next.
    temporary = path.with_name(f".{path.name}.tmp")
    with locked(temporary):
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        seal(path)


@contextmanager
def create_h5(path: str | Path, kind: str, version: int) -> Iterator[h5py.File]:
    """Open a new HDF5 file of a `kind` and `version` that appears under `path` only when complete."""
    with replacing(path) as temporary:
        try:
            with h5py.File(temporary, "w", driver=AT_ONCE, locking=False) as file:
                yield file
                file.attrs["kind"] = kind
                file.attrs["version"] = version
        except OSError as error:
            _UNWRITTEN.append(error)
            raise
        except RuntimeError as error:
            _UNWRITTEN.append(error)
            raise _failed_write(error, path) from error


def _failed_write(error: RuntimeError, path: str | Path) -> Exception:
    """What h5py meant: it cannot close a file that could not be written, and then hides why it could not."""
    if isinstance(error.__context__, OSError):
        return error.__context__
    if os.strerror(errno.ENOSPC) in str(error):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return error


@contextmanager
def open_h5(path: str | Path, kind: str, version: int) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Keep to reading from it inside the block: a KeyError or OSError in there counts as damage to the file.

    Raises
    ------
    FormatError
        If the file is missing, truncated, damaged, of another kind or of another version.
    """
    if not Path(path).is_file():
        raise FormatError(f"{path}: no such file; run the stage that writes it (cloome --help lists them)")
    try:
        file = h5py.File(path, "r")
    except PermissionError as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error
    except OSError as error:
        raise FormatError(f"{path}: truncated or not HDF5; delete it and run its stage again") from error
    with file:
        try:
            found = (str(file.attrs.get("kind", "nothing")), int(file.attrs.get("version", 0)))
            if found != (kind, version):
                raise FormatError(
                    f"{path}: holds {found[0]} version {found[1]}, expected {kind} version {version}; "
                    "delete it and run its stage again"
                )
            yield file
        except (KeyError, OSError) as error:
            raise FormatError(f"{path}: damaged; delete it and run its stage again ({error})") from error


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table without its row numbers; the file is whole or absent."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def read_csv(path: str | Path, columns: list[str], **options) -> pd.DataFrame:
    """Read a CSV, or a TSV by its name's ending, that must have certain columns.

    Parameters
    ----------
    path : path
        The file; it may be compressed.
    columns : list of str
        Columns that must be there; others are kept too.
    **options
        Passed on to `pandas.read_csv`.

    Raises
    ------
    FormatError
        If the file is missing, cannot be read or parsed, or lacks a column; the message names what it has.
    """
    separator = "\t" if ".tsv" in Path(path).name else ","
    try:
        table = pd.read_csv(path, sep=separator, **options)
    except FileNotFoundError as error:
        raise FormatError(f"{path}: no such file") from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    # Errors of pandas are ValueErrors; the other two come from damaged compression.
    except (ValueError, EOFError, zlib.error) as error:
        raise FormatError(f"{path}: not a readable table: {error}") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        # The options may have left columns out.
        found = pd.read_csv(path, sep=separator, nrows=0).columns
        raise FormatError(
            f"{path}: no column {', '.join(missing)}; it has {', '.join(map(str, found[:20]))}. "
            "Name the right columns in the configuration"
        )
    return table
