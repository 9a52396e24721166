"""Single members of a plate's tar.gz, through the command; nothing else of the archive reaches the disk."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from cloome.cli import main
from cloome.data.wells import read_quality
from cloome.download import members, stream

NEEDED = ["profiles/mean_well_profiles.csv", "quality_control/qc.csv"]
TOP = "gigascience_upload/Plate_7"
NOISE = bytes(i * i * 7919 % 251 for i in range(100_000))
REAL = {
    f"{TOP}/extracted_features/7.sqlite": NOISE,
    f"{TOP}/illumination_correction_functions/7_IllumDNA.mat": b"dna",
    f"{TOP}/illumination_correction_functions/7_IllumMito.mat": b"mito",
    f"{TOP}/profiles/mean_well_profiles.csv": b"wells",
    f"{TOP}/profiles/other_mean_well_profiles.csv": b"other",
    f"{TOP}/quality_control/qc.csv": b"flags",
}


def archive(content: dict[str, bytes], **kinds) -> bytes:
    """A tar.gz; `kinds` are set in each entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in kinds.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


class Site:
    """A host with a plate's archive, and the command that fetches members of it."""

    def __init__(self, web, folder, capsys):
        self.host, self.web, self.out, self._capsys = web.host(content=archive(REAL)), web, folder / "out", capsys
        self.checksums = folder / "checksums"
        self.know()

    def know(self, **values: str) -> None:
        """What the table of sources says of the archive."""
        self._table = self.web.table(self.host.url, source="plate_metadata", **values)

    def download(self, *words: str) -> dict[str, bytes]:
        asked = ["--sources", str(self._table), "--source", "plate_metadata", "--plate", "7", "--out", str(self.out)]
        words = words or ("--members", *NEEDED)
        self.status = main(["download", *asked, "--record", str(self.checksums), *words])
        self.said = self._capsys.readouterr().err
        return self.files()

    def files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.out)): p.read_bytes() for p in self.out.rglob("*") if p.is_file()}


@pytest.fixture
def site(web, tmp_path, capsys) -> Site:
    return Site(web, tmp_path, capsys)


def test_only_the_members_are_written_under_their_base_names(site):
    assert site.download() == {"mean_well_profiles.csv": b"wells", "qc.csv": b"flags"}
    assert site.status == 0


def test_members_may_get_other_names(site):
    folder = "illumination_correction_functions"
    words = [f"{folder}/7_IllumDNA.mat=Hoechst.mat", f"{folder}/7_IllumMito.mat=Mito.mat"]
    assert site.download("--members", *words) == {"Hoechst.mat": b"dna", "Mito.mat": b"mito"}


def test_the_rest_is_not_read_once_all_are_found(site):
    site.host.content = archive(REAL) + b"?" * 10_000_000
    assert len(site.download()) == 2
    assert site.status == 0, "what is damaged lies behind them"


def test_a_local_archive_is_read_in_the_same_way(site, tmp_path):
    (tmp_path / "Plate_7.tar.gz").write_bytes(archive(REAL))
    site.host.url = "Plate_7.tar.gz"
    site.know()
    assert site.download() == {"mean_well_profiles.csv": b"wells", "qc.csv": b"flags"}


def test_a_stream_that_is_cut_goes_on_where_it_stopped(site):
    size = len(site.host.content)
    site.host.cut_after = [size // 3, size // 3]
    assert len(site.download()) == 2
    assert site.host.asked == [None, f"bytes={size // 3}-", f"bytes={size // 3 * 2}-"]


def test_a_stream_that_cannot_be_continued_starts_again(site):
    site.host.etag, site.host.cut_after = "", [len(site.host.content) // 2]
    assert len(site.download()) == 2
    assert site.host.asked == [None, None]


def test_an_archive_that_changes_in_the_middle_is_read_anew(site):
    def change():
        site.host.content, site.host.etag = archive(REAL | {f"{TOP}/quality_control/qc.csv": b"new"}), '"two"'

    site.host.cut_after, site.host.during = [len(site.host.content) // 2], change
    assert site.download()["qc.csv"] == b"new"
    assert len(site.host.asked) == 3


def test_a_mirror_steps_in(site, web, monkeypatch):
    site.host.content = site.host.content[:1000]
    mirror = web.host("/mirror", content=archive(REAL))
    site.know(mirrors=mirror.url)
    assert len(site.download()) == 2
    assert mirror.asked == [None]


def test_no_member_appears_before_all_are_there(site):
    seen = []
    site.host.during = lambda: seen.extend(path for path in site.out.rglob("*.csv") if not path.name.startswith("."))
    site.host.cut_after = [len(site.host.content) - 50]
    assert len(site.download()) == 2
    assert len(site.host.asked) == 2
    assert seen == []


def test_a_missing_member_is_named(site):
    site.host.content = archive({name: data for name, data in REAL.items() if "qc" not in name})
    assert site.download() == {}
    assert "no member quality_control/qc.csv" in site.said


def test_a_missing_optional_member_gives_an_empty_table(site, tmp_path):
    site.host.content = archive({name: data for name, data in REAL.items() if "qc" not in name})
    found = site.download("--members", NEEDED[0], "--optional", NEEDED[1])
    assert found["mean_well_profiles.csv"] == b"wells"
    assert found["qc.csv"] == b"Image_Metadata_Plate,Well,Site,isSaturated,isBlurry\n"
    assert "no member quality_control/qc.csv; an empty table stands for it" in site.said
    flags = read_quality(site.out / "qc.csv")
    assert flags.columns.tolist() == ["plate", "well", "site", "is_blurry", "is_saturated"]
    assert len(flags) == 0


def test_an_optional_member_that_is_there_is_taken(site):
    assert site.download("--members", NEEDED[0], "--optional", NEEDED[1])["qc.csv"] == b"flags"


@pytest.mark.parametrize("name", ["../../profiles/mean_well_profiles.csv", "/profiles/mean_well_profiles.csv"])
def test_a_path_that_leaves_the_folder_is_refused(site, name, tmp_path):
    before = {path for path in tmp_path.rglob("*") if "cloome-connections" not in str(path)}
    site.host.content = archive({name: b"evil"})
    assert site.download() == {}
    assert "leaves its folder" in site.said
    after = {path for path in tmp_path.rglob("*") if "cloome-connections" not in str(path)}
    assert after - before == {site.out}


def test_a_link_in_place_of_a_member_is_refused(site):
    site.host.content = archive({f"{TOP}/{NEEDED[0]}": b""}, type=tarfile.SYMTYPE, linkname="/etc/hostname")
    assert site.download() == {}
    assert "is no plain file" in site.said


def test_a_member_beyond_the_limit_is_refused(site, monkeypatch):
    monkeypatch.setattr(members, "LARGEST_MEMBER", 4)
    assert site.download() == {}
    assert "has 5 bytes, allowed are 4" in site.said


@pytest.mark.parametrize("content", [b"no archive at all", b""])
def test_what_is_no_archive_is_named(site, content):
    site.host.content = content
    assert site.download() == {}
    assert "truncated or not a tar.gz" in site.said


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_an_archive_that_is_truncated_at_its_host_is_named(site, share):
    site.host.content = site.host.content[: int(share * len(site.host.content))]
    assert site.download() == {}
    assert "truncated or not a tar.gz" in site.said


def test_flipped_bits_are_noticed_where_the_archive_is_read_to_its_end(site):
    plain = bytearray(gzip.decompress(archive(REAL)))
    plain[plain.index(b"wells")] ^= 1
    packed = gzip.compress(bytes(plain))
    site.host.content = packed[:-8] + archive(REAL)[-8:]
    site.know(bytes=str(len(packed)))
    assert site.download() == {}
    assert "truncated or not a tar.gz: CRC check failed" in site.said


@pytest.mark.parametrize("column", ["bytes", "sha256"])
def test_an_archive_that_the_table_knows_is_verified_to_its_end(site, column):
    right = {"bytes": str(len(site.host.content)), "sha256": hashlib.sha256(site.host.content).hexdigest()}
    site.know(**{column: right[column]})
    assert len(site.download()) == 2
    site.host.content = archive(REAL | {f"{TOP}/zz": b"one member more, behind all that are wanted"})
    for path in site.out.iterdir():
        path.unlink()
    assert site.download() == {}
    assert f"{column} expected {right[column]}, found" in site.said


def test_members_are_recorded_and_a_silent_change_is_refused(site):
    before = site.download()
    record = site.checksums / "plate_metadata-7-qc.csv.json"
    assert json.loads(record.read_text())["sha256"] == hashlib.sha256(b"flags").hexdigest()
    site.host.content = archive(REAL | {f"{TOP}/quality_control/qc.csv": b"new"})
    assert site.download() == before
    assert (
        f"plate_metadata-7-qc.csv has changed: 5 bytes with sha256 {hashlib.sha256(b'flags').hexdigest()}" in site.said
    )
    assert f"delete {record}" in site.said
    record.unlink()
    assert site.download()["qc.csv"] == b"new"


def test_a_host_that_stalls_is_given_up_in_the_end(site, monkeypatch):
    monkeypatch.setattr(stream, "TIMEOUT", (1, 0.03))
    site.host.stall_after = [100, *[0] * 10]
    assert site.download() == {}
    assert "after 100 bytes, again and again" in site.said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--members", "a/qc.csv", "b/qc.csv"], "two have the same file name; write ENDING=NAME"),
        (["--members", "a/qc.csv=x/qc.csv"], "is no plain file name"),
        (["--members", "a/qc.csv=.."], "is no plain file name"),
    ],
)
def test_names_that_cannot_be_used_are_refused_before_anything_is_fetched(site, words, message):
    site.download(*words)
    assert message in site.said
    assert site.host.asked == []
    assert not site.out.exists()
