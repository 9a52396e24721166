"""Single members of a plate's tar.gz, through the command; nothing else of the archive reaches the disk."""

import argparse
import io
import tarfile

import pytest

from cloome.data.sources import COLUMNS
from cloome.download import members
from cloome.download.command import add_arguments, run
from cloome.errors import CloomeError, FormatError

ENDINGS = ["profiles/mean_well_profiles.csv", "quality_control/qc.csv"]
TOP = "gigascience_upload/Plate_7"
REAL = {
    f"{TOP}/extracted_features/7.sqlite": b"x" * 100_000,
    f"{TOP}/profiles/mean_well_profiles.csv": b"wells",
    f"{TOP}/profiles/other_mean_well_profiles.csv": b"other",
    f"{TOP}/quality_control/qc.csv": b"flags",
}


class Site:
    def __init__(self, folder):
        self.folder, self.out = folder, folder / "out"
        self.archive = folder / "Plate_7.tar.gz"
        row = "plate_metadata,,,Plate_{plate}.tar.gz,,,,CC0-1.0,,metadata"
        (folder / "sources.csv").write_text(f"{','.join(COLUMNS)}\n{row}\n")

    def write(self, content: dict[str, bytes], **kinds) -> None:
        with tarfile.open(self.archive, "w:gz") as tar:
            for name, data in content.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                for key, value in kinds.items():
                    setattr(entry, key, value)
                tar.addfile(entry, io.BytesIO(data))

    def download(self, *endings: str) -> dict[str, bytes]:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        words = ["--sources", str(self.folder / "sources.csv"), "--source", "plate_metadata", "--plate", "7"]
        run(parser.parse_args([*words, "--members", *(endings or ENDINGS), "--out", str(self.out)]))
        return self.files()

    def files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.out)): p.read_bytes() for p in self.out.rglob("*") if p.is_file()}


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def test_only_the_members_are_written_under_their_base_names(site):
    site.write(REAL)
    assert site.download() == {"mean_well_profiles.csv": b"wells", "qc.csv": b"flags"}


def test_the_rest_is_not_read_once_all_are_found(site):
    site.write(REAL | {f"{TOP}/zz": bytes(i * i % 251 for i in range(1 << 20))})
    content = site.archive.read_bytes()
    site.archive.write_bytes(content[:-1000])
    assert len(site.download()) == 2, "what is damaged lies behind them"


def test_a_missing_member_is_named(site):
    site.write({name: data for name, data in REAL.items() if "qc" not in name})
    with pytest.raises(FormatError, match=r"no member quality_control/qc\.csv"):
        site.download()
    assert set(site.files()) <= {"mean_well_profiles.csv"}, "the archive is not kept"


@pytest.mark.parametrize("name", ["../../profiles/mean_well_profiles.csv", "/profiles/mean_well_profiles.csv"])
def test_a_path_that_leaves_the_folder_is_refused(site, name):
    site.write({name: b"evil"})
    with pytest.raises(FormatError, match="leaves its folder"):
        site.download()
    assert site.files() == {}
    assert sorted(path.name for path in site.folder.iterdir()) == ["Plate_7.tar.gz", "out", "sources.csv"]


def test_a_link_in_place_of_a_member_is_refused(site):
    site.write({ENDINGS[0]: b""}, type=tarfile.SYMTYPE, linkname="/etc/hostname")
    with pytest.raises(FormatError, match="is no plain file"):
        site.download()
    assert site.files() == {}


def test_a_member_beyond_the_limit_is_refused(site, monkeypatch):
    monkeypatch.setattr(members, "LARGEST_MEMBER", 4)
    site.write(REAL)
    with pytest.raises(FormatError, match="has 5 bytes, allowed are 4"):
        site.download()


@pytest.mark.parametrize("content", [b"no archive at all", b""])
def test_what_is_no_archive_is_named(site, content):
    site.archive.write_bytes(content)
    with pytest.raises(FormatError, match=r"truncated or not a tar\.gz"):
        site.download()


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_truncated_archive_is_named(site, share):
    site.write(REAL | {f"{TOP}/profiles/mean_well_profiles.csv": bytes(i * i % 251 for i in range(100_000))})
    content = site.archive.read_bytes()
    site.archive.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FormatError, match=r"truncated or not a tar\.gz"):
        site.download()
    assert site.files() == {}


def test_members_of_one_name_are_refused_before_anything_is_fetched(site):
    with pytest.raises(CloomeError, match="two have the same file name"):
        site.download("a/qc.csv", "b/qc.csv")
    assert not site.out.exists()
