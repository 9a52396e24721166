"""Copies of plates on a disk near the job: complete, shared, removed by the last reader, left away without space."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from cloome.data.near import copied_near
from cloome.errors import CloomeError, FormatError


@pytest.fixture
def plates(tmp_path) -> list[Path]:
    """Files that stand for plates: what is in them does not matter here."""
    paths = [tmp_path / "shared" / screen / f"{name}.h5" for screen in ("one", "other") for name in ("24277", "24278")]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * 1000)
    return paths


@pytest.fixture
def disk(tmp_path) -> Path:
    return tmp_path / "disk"


@pytest.fixture
def copies(disk) -> Path:
    """The folder of the copies on the disk."""
    return disk / f"cloome-plates-{os.getuid()}"


def left(copies: Path) -> list[str]:
    return sorted(path.name for path in copies.iterdir() if path.name != "in_use")


def test_without_a_folder_plates_are_read_where_they_lie(plates):
    for folder in (None, ""):
        with copied_near(plates, folder) as paths:
            assert paths == [str(plate) for plate in plates]


def test_copies_have_the_bytes_and_the_order_of_the_plates_and_are_removed_at_the_end(plates, disk, copies):
    with copied_near(plates, disk) as paths:
        assert {Path(path).parent for path in paths} == {copies}
        assert [Path(path).read_bytes() for path in paths] == [plate.read_bytes() for plate in plates]
    assert left(copies) == []


def test_what_else_lies_on_the_disk_stays(plates, disk):
    disk.mkdir()
    (disk / "mine.h5").write_bytes(b"mine")
    with copied_near(plates, disk):
        pass
    assert (disk / "mine.h5").is_file()


def test_copies_are_removed_after_an_error_too(plates, disk, copies):
    with pytest.raises(RuntimeError), copied_near(plates, disk):
        raise RuntimeError
    assert left(copies) == []


def test_a_second_job_reads_the_copies_of_the_first_and_the_last_one_removes_them(plates, disk, copies):
    with copied_near(plates[:2], disk) as second:
        with copied_near(plates, disk) as first:
            before = {path: os.stat(path).st_ino for path in first}
            with copied_near(plates, disk) as third:
                assert {path: os.stat(path).st_ino for path in third} == before
        assert all(Path(path).is_file() for path in second), "somebody still reads them"
    assert left(copies) == []


def test_what_a_killed_job_left_is_used_if_it_is_of_these_plates_and_else_makes_room(plates, disk, copies, monkeypatch):
    with copied_near(plates, disk) as paths:
        kept = Path(paths[1]).read_bytes()
    Path(paths[1]).write_bytes(kept)
    (copies / "24277-0123456789ab.h5").write_bytes(b"of another screen")
    (copies / "24277-ba9876543210.tmp").write_bytes(b"half")
    inode = os.stat(paths[1]).st_ino
    with copied_near(plates, disk) as again:
        assert again == paths
        assert os.stat(paths[1]).st_ino == inode
        assert left(copies) == sorted(Path(path).name for path in paths)
    assert left(copies) == []


def test_copies_of_another_job_are_no_leftovers(plates, disk):
    with copied_near(plates[:2], disk) as first, copied_near(plates[2:], disk) as second:
        assert all(Path(path).is_file() for path in [*first, *second])


def test_a_plate_that_was_made_anew_is_copied_anew(plates, disk):
    with copied_near(plates, disk):
        plates[0].write_bytes(b"new")
        with copied_near(plates, disk) as paths:
            assert Path(paths[0]).read_bytes() == b"new"


def test_plates_that_do_not_fit_are_read_where_they_lie(plates, disk, monkeypatch, caplog):
    free = shutil.disk_usage(plates[0])._replace(free=3999)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    with copied_near(plates, disk) as paths:
        assert paths == [str(plate) for plate in plates]
    assert "they take 4e-06 GB" in caplog.text


def test_copies_leave_a_little_of_the_disk_to_others(plates, disk, monkeypatch):
    disk_usage = type(shutil.disk_usage(plates[0]))
    for free, fits in ((6000, True), (5999, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: disk_usage(100_000, 0, free))
        with copied_near(plates, disk) as paths:
            assert (paths != [str(plate) for plate in plates]) is fits


def test_a_copy_that_cannot_be_removed_costs_no_result(plates, disk, monkeypatch, caplog):
    def refuse(path, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with copied_near(plates, disk):
        monkeypatch.setattr(Path, "unlink", refuse)
    assert "copies of plates stay: Read-only file system" in caplog.text


def test_a_disk_that_another_one_fills_meanwhile_stops_no_job(plates, disk, copies, monkeypatch, caplog):
    caplog.set_level("INFO")
    copyfile, copied = shutil.copyfile, []

    def fill(source, target, **options):
        if len(copied) == 1:
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copied.append(target)
        return copyfile(source, target, **options)

    monkeypatch.setattr(shutil, "copyfile", fill)
    with copied_near(plates, disk) as paths:
        assert paths[1:] == [str(plate) for plate in plates[1:]]
        assert Path(paths[0]).parent == copies
        assert len(left(copies)) == 1
    assert "1 of 4 plates copied" in caplog.text


def test_a_damaged_plate_is_named_and_not_its_copy(plates, disk):
    with pytest.raises(FormatError, match=f"^{plates[1]}: damaged$"), copied_near(plates, disk) as paths:
        raise FormatError(f"{paths[1]}: damaged")


@pytest.mark.parametrize(("place", "step", "number"), [(fcntl, "flock", errno.ENOLCK), (Path, "mkdir", errno.ENOSPC)])
def test_without_file_locks_or_space_for_them_plates_are_read_where_they_lie(
    plates, disk, monkeypatch, caplog, place, step, number
):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(place, step, refuse)
    with copied_near(plates, disk) as paths:
        assert paths == [str(plate) for plate in plates]
    assert f"{os.strerror(number)}: plates are read where they lie" in caplog.text


def test_copies_are_for_their_user_alone(plates, disk, copies, monkeypatch):
    with copied_near(plates, disk):
        assert copies.stat().st_mode & 0o077 == 0
    other = os.getuid() + 1
    copies.rename(disk / f"cloome-plates-{other}")
    monkeypatch.setattr(os, "getuid", lambda: other)
    with (
        pytest.raises(CloomeError, match="not a folder of this user; name another local_disk"),
        copied_near(plates, disk),
    ):
        pass


def test_a_plate_that_is_missing_is_named(plates, disk):
    plates[2].unlink()
    with pytest.raises(FileNotFoundError, match=str(plates[2])), copied_near(plates, disk):
        pass


READER = """
import sys
from pathlib import Path
from cloome.data.near import copied_near

disk, *plates = sys.argv[1:]
for _ in range(50):
    with copied_near(plates, disk) as paths:
        assert [Path(path).read_bytes() for path in paths] == [Path(plate).read_bytes() for plate in plates]
        assert {Path(path).parent.parent for path in paths} == {Path(disk)}
"""


def test_jobs_that_begin_and_end_at_any_time_never_miss_a_copy(plates, disk, copies):
    jobs = [subprocess.Popen([sys.executable, "-c", READER, disk, *plates]) for _ in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert left(copies) == []


@pytest.mark.parametrize("shared", [False, True])
def test_a_job_at_the_end_of_its_time_removes_its_copies_unless_another_one_reads_them(plates, disk, copies, shared):
    waiting = "import sys, time\nfrom cloome.data.near import copied_near\n"
    waiting += "with copied_near(sys.argv[2:], sys.argv[1]):\n    print(flush=True)\n    time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", waiting, disk, *plates], stdout=subprocess.PIPE) as job:
        job.stdout.readline()
        assert len(left(copies)) == 4
        with copied_near(plates, disk) if shared else nullcontext():
            job.terminate()
            assert job.wait() == -signal.SIGTERM
            assert len(left(copies)) == (4 if shared else 0)
