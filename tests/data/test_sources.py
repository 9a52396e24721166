"""The table of sources: which row and which urls a request leads to."""

from hashlib import sha256

import pytest

from cloome.data.sources import COLUMNS, find_source
from cloome.errors import CloomeError, FormatError

HEADER = ",".join(COLUMNS)


@pytest.fixture
def table(tmp_path):
    def write(*rows: str, header: str = HEADER):
        path = tmp_path / "sources.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


def row(source="s", plate="", channel="", url="https://host/file", mirrors="", size="", sha256="") -> str:
    return f"{source},{plate},{channel},{url},{mirrors},{size},{sha256},CC0-1.0,,what it is"


def test_a_template_is_filled_in_with_its_mirrors(table):
    path = table(row(url="https://a/{plate}/{plate}-{channel}.zip", mirrors="https://b/{plate} http://c/{channel}"))
    found = find_source(path, "s", "24278", "Mito")
    assert found.urls == ("https://a/24278/24278-Mito.zip", "https://b/24278", "http://c/Mito")
    assert (found.name, found.bytes, found.sha256) == ("s-24278-Mito", None, None)


def test_an_exact_row_goes_before_the_template(table):
    rows = [
        row(url="template"),
        row(plate="1", url="plate"),
        row(plate="1", channel="Mito", url="both", size="7", sha256="AB" * 32),
    ]
    path = table(*rows)
    assert find_source(path, "s", "2", "Mito").urls[0].endswith("/template")
    assert find_source(path, "s", "1", "Hoechst").urls[0].endswith("/plate")
    exact = find_source(path, "s", "1", "Mito")
    assert exact.urls[0].endswith("/both")
    assert (exact.bytes, exact.sha256) == (7, "ab" * 32)


def test_a_path_is_relative_to_the_folder_of_the_table(table, tmp_path):
    assert find_source(table(row(url="images/a.zip")), "s").urls == ((tmp_path / "images/a.zip").as_uri(),)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(source="other")], "no source 's'; it has other"),
        ([row(plate="7")], "no row for s"),
        ([row(), row()], "2 rows fit s equally well"),
        ([row(url="https://a/{plate}")], "its url needs a plate; give --plate"),
        ([row(url="ftp://a/b")], "is none of https, http, file"),
        ([row(url="")], "line 2: url is ''"),
        ([row(), row(plate="1", size="12 MB")], "line 3: bytes is '12 MB'"),
        ([row(sha256="abc")], "line 2: sha256 is 'abc'"),
    ],
)
def test_what_cannot_be_used_is_named(table, rows, message):
    with pytest.raises(CloomeError, match=message.replace("{", r"\{")):
        find_source(table(*rows), "s")


@pytest.mark.parametrize("header", [HEADER.removesuffix(",what"), f"{HEADER},comment"])
def test_other_columns_are_refused(table, header):
    with pytest.raises(FormatError, match="a table of sources has source,plate,channel"):
        find_source(table(header=header), "s")


def test_the_table_of_the_paper_has_all_sources(root):
    path = root / "config/sources.csv"
    assert find_source(path, "plate_archive", "24278", "Ph_golgi").urls == (
        "https://cildata.crbs.ucsd.edu/broad_data/plate_24278/24278-Ph_golgi.zip",
    )
    metadata = find_source(path, "plate_metadata", "24278")
    assert len(metadata.urls) == 2
    assert all(url.endswith("/100351/Plate_24278.tar.gz") for url in metadata.urls)
    for name in ("compounds", "mechanisms", "split_train", "split_test"):
        assert find_source(path, name).urls[0].startswith("https://")
    assert find_source(path, "weights_retrieval").bytes == 352_014_131


def test_the_labels_of_the_paper_are_those_at_hand(root, real_data):
    for name, file in (
        ("labels_matrix", "label-matrix.mtx"),
        ("labels_rows", "row-compound-index.csv"),
        ("labels_columns", "column-assay-index.csv"),
    ):
        source = find_source(root / "config/sources.csv", name)
        content = (real_data / "bray/labels" / file).read_bytes()
        assert source.urls[0].endswith(file)
        assert (source.bytes, source.sha256) == (len(content), sha256(content).hexdigest())
