"""Killed, out of disk, or robbed of its archive: a store is whole or absent, and the same command finishes it."""

import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import yaml

import cloome.images.command
from cloome.config import PAPER_CHANNELS
from cloome.data.plates import open_plate
from cloome.images.archives import open_archives
from cloome.images.fields import stored_fields
from cloome.images.wells import Kept

PLATE = "24278"
WELLS = [f"{row}{column:02d}" for row in "abcdefghij" for column in range(1, 11)]


@pytest.fixture
def plate(archived):
    """200 fields, whose store takes 13 MB."""
    images = [np.random.default_rng(seed).integers(0, 4096, (100, 130), np.uint16) for seed in range(7)]
    files = [archived.tiff(pixels) for pixels in images]
    for number, channel in enumerate(PAPER_CHANNELS):
        names = [archived.name(channel, well, site) for well in WELLS for site in (1, 2)]
        archived.content[channel] = {name: files[(number + place) % 7] for place, name in enumerate(names)}
    archived.content["Mito"][archived.name("Mito", "b01", 1)] = b""
    archived.write(roles=dict.fromkeys(WELLS, "treated"))
    return archived


class Command:
    """``python -m cloome images`` for the plate, as a process of its own."""

    def __init__(self, plate, out):
        self.out, config = out, plate.out.with_name("config.yaml")
        settings = plate.config().model_dump(include={"screen", "images"})
        config.write_text(yaml.safe_dump(settings))
        words = ["--config", config, "--plate", PLATE, "--in", plate.folder, "--wells", plate.wells, "--threads", 2]
        self.words = [sys.executable, "-m", "cloome", "images", *map(str, words), "--out", str(out)]

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(self.words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def run(self) -> tuple[int, str]:
        process = self.start()
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    @property
    def unfinished(self):
        return self.out.with_name(f".{self.out.name}.tmp")


def test_a_killed_command_leaves_nothing_half_written_and_finishes_when_repeated(plate, tmp_path):
    plate.store()
    expected = plate.out.read_bytes()
    command = Command(plate, tmp_path / "killed" / f"{PLATE}.h5")
    draw, killed = random.Random(0), 0
    # As soon as so many bytes are written; 0: while it starts.
    for size in [0, 1, *(draw.randrange(len(expected)) for _ in range(3))]:
        process = command.start()
        while size and process.poll() is None and written(command.unfinished) < size:
            time.sleep(0.0005)
        process.kill()
        killed += process.wait() < 0
        process.stderr.close()
        assert not command.out.exists() or command.out.read_bytes() == expected
    assert killed >= 3, "the others had ended before"
    assert command.run()[0] == 0
    assert command.out.read_bytes() == expected
    assert {path.name for path in command.out.parent.iterdir()} == {f"{PLATE}.h5", f"{PLATE}.refused.csv"}
    assert command.out.with_suffix(".refused.csv").read_bytes() == plate.out.with_suffix(".refused.csv").read_bytes()


def written(path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, and what changes its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(size: str, *options: str) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={size}"]), "tmpfs", str(folder)]
        try:
            return subprocess.run(words, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    if not resize("64k"):
        pytest.skip("no right to mount a small disk here")
    yield folder, lambda size: resize(size, "remount")
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_plainly_and_the_command_finishes_once_there_is_room(plate, small_disk):
    plate.store()
    folder, resize = small_disk
    command = Command(plate, folder / f"{PLATE}.h5")
    for size in ("64k", "3m", f"{plate.out.stat().st_size // 1024 - 8}k"):
        assert resize(size)
        status, said = command.run()
        assert status == 1
        assert "No space left on device" in said
        assert said.splitlines()[-1].endswith("; free some space, then run the same command again"), said
        assert "Traceback" not in said
        assert not command.out.exists()
    assert resize("40m")
    assert command.run()[0] == 0
    assert command.out.read_bytes() == plate.out.read_bytes()


# --- The archive changes while it is read. ---


def shorten(path):
    os.truncate(path, 100_000)


def empty(path):
    os.truncate(path, 0)


def overwrite(path):
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))


@pytest.mark.parametrize("spoil", [shorten, empty, overwrite])
@pytest.mark.parametrize("threads", [1, 4])
def test_an_archive_that_is_spoiled_while_it_is_read_costs_the_fields_that_are_left(plate, spoil, threads):
    images = plate.config().images
    with open_archives(plate.folder, PLATE, PAPER_CHANNELS, plate.wells, Kept("all")) as archives:
        made = stored_fields(archives, PLATE, PAPER_CHANNELS, images, None, threads)
        first = [next(made) for _ in range(3)]
        spoil(plate.zip_path("ERSyto"))
        others = list(made)
    assert [field.well for field in first] == ["A01", "A01", "A02"]
    refused = dict(archives.refused)
    assert len(first) + len(others) + len(refused) == 200
    reasons = [reason for item, reason in refused.items() if item != f"{PLATE}-B01-1"]
    assert len(reasons) > 100
    assert all("-ERSyto/" in reason and "damaged in the archive" in reason for reason in reasons)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_an_archive_that_is_removed_while_it_is_read_is_read_to_its_end(plate, how):
    images = plate.config().images
    with open_archives(plate.folder, PLATE, PAPER_CHANNELS, plate.wells, Kept("all")) as archives:
        made = stored_fields(archives, PLATE, PAPER_CHANNELS, images, None, 2)
        next(made)
        if how == "replaced":
            plate.wells.rename(plate.zip_path("ERSyto"))
        else:
            plate.zip_path("ERSyto").unlink()
        assert len(list(made)) == 198
    assert [item for item, _ in archives.refused] == [f"{PLATE}-B01-1"]


def test_a_source_that_fails_midway_leaves_no_store_and_no_thread_behind(plate, monkeypatch):
    """As a network disk that goes away: the error is said as it is."""
    read = os.preadv
    begun, threads = [], threading.active_count()

    def fail(*place):
        begun.append(place)
        if len(begun) > 100:
            raise OSError(5, "Input/output error")
        return read(*place)

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(OSError, match="Input/output error"):
        plate.store(threads=4)
    assert not plate.out.exists()
    assert threading.active_count() == threads
    assert not plate.out.with_name(f".{plate.out.name}.tmp").exists()


def test_a_writer_that_fails_midway_leaves_no_thread_that_reads_on(plate, monkeypatch):
    """The archives are closed by then."""
    threads = threading.active_count()

    def fail(out, plate, channels, fields, *settings):
        next(fields)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cloome.images.command, "write_plate", fail)
    with pytest.raises(OSError, match="No space left on device") as error:
        plate.store(threads=4)
    assert threading.active_count() == threads, f"while somebody holds on to {error!r}"


def test_a_repeated_command_replaces_an_older_store(plate):
    plate.store()
    before = plate.out.read_bytes()
    plate.store(resize=[50, 65])
    with open_plate(plate.out) as store:
        assert store.images.shape == (199, 5, 50, 65)
    plate.store()
    assert plate.out.read_bytes() == before
