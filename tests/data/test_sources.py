"""The table of sources: which row and which urls a request leads to."""

from hashlib import sha256

import pytest

from cloome.data.sources import COLUMNS, find_source, read_sources
from cloome.errors import CloomeError, FormatError

HEADER = ",".join(COLUMNS)


@pytest.fixture
def table(tmp_path):
    def write(*rows: str, header: str = HEADER):
        path = tmp_path / "sources.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


def row(source="s", plate="", channel="", url="https://host/file", mirrors="", size="", about="", sha256="") -> str:
    return f"{source},{plate},{channel},v1,{url},{mirrors},{size},{about},{sha256},CC0-1.0,,what it is"


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
        ([row(about="1 GB")], "line 2: about_bytes is '1 GB'; write a whole number of bytes, or empty"),
        ([row(about="1e9")], "line 2: about_bytes is '1e9'"),
        ([row(sha256="abc")], "line 2: sha256 is 'abc'"),
        ([row(source="../s")], "line 2: source is '../s'"),
    ],
)
def test_what_cannot_be_used_is_named(table, rows, message):
    with pytest.raises(CloomeError, match=message.replace("{", r"\{")):
        find_source(table(*rows), "s")


@pytest.mark.parametrize("plate", ["../7", "a/b", "7 8", "-7/", "7\n"])
def test_a_plate_that_could_not_be_part_of_a_file_name_is_refused(table, plate):
    with pytest.raises(CloomeError, match="plate and channel are made of letters"):
        find_source(table(row()), "s", plate)


def test_an_approximate_size_is_not_taken_for_the_exact_one(table):
    assert find_source(table(row(about="1000000000")), "s").bytes is None


@pytest.mark.parametrize("header", [HEADER.removesuffix(",what"), f"{HEADER},comment"])
def test_other_columns_are_refused(table, header):
    with pytest.raises(FormatError, match="a table of sources has source,plate,channel,version,url"):
        find_source(table(header=header), "s")


@pytest.fixture
def paper(root):
    return root / "config/sources.csv"


def test_the_table_of_the_paper_leads_to_the_archives_of_each_channel(paper):
    assert find_source(paper, "plate_archive", "24278", "Ph_golgi").urls == (
        "https://cildata.crbs.ucsd.edu/broad_data/plate_24278/24278-Ph_golgi.zip",
    )


def test_the_table_of_the_paper_has_mirrors_for_gigadb(paper):
    for name, file in (("plate_metadata", "Plate_24278.tar.gz"), ("compounds", "chemical_annotations.csv")):
        urls = find_source(paper, name, "24278").urls
        assert len(urls) == 2
        assert all(url.endswith(f"/100351/{file}") for url in urls)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("compounds_gallery", "cdrp_compounds.tsv"),
        ("curation", "image_curation_statistics.csv"),
        ("mechanisms", "BBBC036_v1_DatasetGroundTruth.csv"),
        ("split_train", "cellpainting-split-train-all-mols.csv"),
        ("split_test", "cellpainting-split-test-imgpermol.csv"),
        ("splits_hti_cnn", "datasplits.tar.gz"),
        ("split1_train", "datasplit1-train.csv"),
        ("split1_val", "datasplit1-val.csv"),
        ("split1_test", "datasplit1-test.csv"),
        ("weights_bioactivity", "cloome-bioactivity.pt"),
        ("weights_retrieval", "cloome-retrieval-zero-shot.pt"),
        ("weights_gapnet", "gapnet.pth.tar"),
        ("image_embeddings", "image_embeddings.zip"),
        ("zero_shot_data", "cellpainting-zeroshot-data.zip"),
        *((f"npz_{number:02d}", f"dataset{number:02d}.tar") for number in range(8)),
    ],
)
def test_the_table_of_the_paper_has_every_further_input(paper, name, file):
    url = find_source(paper, name).urls[0]
    assert url.startswith("https://")
    assert url.endswith(f"/{file}")


def test_the_published_weights_have_their_size_and_checksum(paper):
    for name, size in (("weights_bioactivity", 352_013_623), ("weights_retrieval", 352_014_131)):
        found = find_source(paper, name)
        assert found.bytes == size
        assert found.sha256


def test_each_row_of_the_table_of_the_paper_is_read_without_a_clash(paper):
    table = read_sources(paper)
    assert table["source"].is_unique
    assert set(table["what"].str.strip()) != {""}


def test_the_labels_of_the_paper_are_those_at_hand(paper, real_data):
    for name, file in (
        ("labels_matrix", "label-matrix.mtx"),
        ("labels_rows", "row-compound-index.csv"),
        ("labels_columns", "column-assay-index.csv"),
    ):
        source = find_source(paper, name)
        content = (real_data / "bray/labels" / file).read_bytes()
        assert source.urls[0].endswith(file)
        assert (source.bytes, source.sha256) == (len(content), sha256(content).hexdigest())
