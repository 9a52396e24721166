"""The table of sources: where each input is fetched from, and what is known of it beforehand. CSV.

The columns are explained in docs/sources.md.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from cloome.data.files import read_csv
from cloome.errors import CloomeError, FormatError

COLUMNS = [
    "source",
    "plate",
    "channel",
    "version",
    "url",
    "mirrors",
    "bytes",
    "about_bytes",
    "sha256",
    "licence",
    "date",
    "what",
]
SCHEMES = ("https", "http", "file")
# Files in resources/ and the source that each comes from.
TABLES = {
    "compounds.csv": "compounds",
    "mechanisms.csv": "mechanisms",
    "labels/label-matrix.mtx": "labels_matrix",
    "labels/row-compound-index.csv": "labels_rows",
    "labels/column-assay-index.csv": "labels_columns",
    "split_train.csv": "split_train",
    "split_test.csv": "split_test",
    "weights/published_retrieval.pt": "weights_retrieval",
    "weights/published_bioactivity.pt": "weights_bioactivity",
}


@dataclass(frozen=True)
class Source:
    """One file to fetch."""

    name: str  # the source, with plate and channel where it has them
    urls: tuple[str, ...]  # https, http or file; tried in this order
    bytes: int | None  # None: not known
    sha256: str | None  # small letters; None: not known


def find_source(path: str | Path, name: str, plate: str | None = None, channel: str | None = None) -> Source:
    """Look up one file in a table of sources.

    Parameters
    ----------
    path : path
        The table. A row without plate and channel is a template: its urls may hold ``{plate}`` and ``{channel}``.
        A row that names them holds for these only, and goes before the template.
    name : str
        Value of the column ``source``.
    plate, channel : str, optional
        What the file is of, for sources that have one file per plate or channel.

    Raises
    ------
    FormatError
        If the table lacks a column, has another one, or holds a value that cannot be used.
    CloomeError
        If no row fits, two fit equally well, or the template needs a plate or channel that is not given.
    """
    asked = {"plate": plate or "", "channel": channel or ""}
    label = "-".join([name, *filter(None, asked.values())])
    # The label and its parts become names of files.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", label):
        raise CloomeError(f"{label!r}: plate and channel are made of letters, digits, _, - and .")
    row = _best_row(read_sources(path), asked, name, label, path)
    texts = [row["url"], *row["mirrors"].split()]
    urls = tuple(_absolute(_filled(text, asked, label), path) for text in texts)
    return Source(label, urls, int(row["bytes"]) if row["bytes"] else None, row["sha256"].lower() or None)


def read_sources(path: str | Path) -> pd.DataFrame:
    """Read a whole table of sources as text; raises FormatError, with the line, for what cannot be used."""
    table = read_csv(path, [], dtype=str, keep_default_na=False)
    if sorted(table.columns) != sorted(COLUMNS):
        raise FormatError(f"{path}: columns are {', '.join(table.columns)}; a table of sources has {','.join(COLUMNS)}")
    table = table.apply(lambda column: column.str.strip())
    for column, pattern, what in (
        ("source", r"[A-Za-z0-9_]+", "a name of letters, digits and _"),
        ("url", r"\S+", "one url or path without spaces"),
        ("bytes", r"\d*", "the exact number of bytes, or empty"),
        ("about_bytes", r"\d*", "a whole number of bytes, or empty"),
        ("sha256", r"([0-9a-fA-F]{64})?", "64 hexadecimal digits, or empty"),
    ):
        wrong = ~table[column].str.fullmatch(pattern)
        if wrong.any():
            line = wrong.idxmax() + 2
            raise FormatError(f"{path}, line {line}: {column} is {table[column][wrong].iloc[0]!r}; write {what}")
    return table


def _best_row(table: pd.DataFrame, asked: dict[str, str], name: str, label: str, path: str | Path) -> pd.Series:
    """The fitting row that names most of what is asked for."""
    rows = table[table["source"] == name]
    if rows.empty:
        known = ", ".join(sorted(set(table["source"])))
        raise CloomeError(f"{path}: no source {name!r}; it has {known}")
    fits = pd.Series(True, index=rows.index)
    named = pd.Series(0, index=rows.index)
    for key, value in asked.items():
        fits &= rows[key].isin(["", value])
        named += rows[key] != ""
    if not fits.any():
        raise CloomeError(f"{path}: no row for {label}; add one, or a template without plate and channel")
    best = rows[fits & (named == named[fits].max())]
    if len(best) > 1:
        raise FormatError(f"{path}: {len(best)} rows fit {label} equally well; keep one (mirrors have a column)")
    return best.iloc[0]


def _filled(text: str, asked: dict[str, str], label: str) -> str:
    for key, value in asked.items():
        if f"{{{key}}}" in text and not value:
            raise CloomeError(f"{label}: its url needs a {key}; give --{key}")
        text = text.replace(f"{{{key}}}", value)
    return text


def _absolute(url: str, table: str | Path) -> str:
    """The url as it is, or that of a path relative to the folder of the table."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url):
        return (Path(table).resolve().parent / url).as_uri()
    if urlsplit(url).scheme not in SCHEMES:
        raise FormatError(f"{table}: {url} is none of {', '.join(SCHEMES)}, nor a path; use another address")
    return url
