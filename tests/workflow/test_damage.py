"""Files that are gone, damaged or of a strange time: the same command ends with the same tables."""

import os
import time

import pytest

pytestmark = pytest.mark.slow

RUN = "results/tiny/runs/random-cloob-seed0"


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["evaluation/retrieval.csv", "model.pt", "../../report/table_2.csv"])
def test_a_result_that_is_gone_is_made_again_though_the_report_is_there(copied, finished, tables, file):
    (copied.folder / RUN / file).unlink()
    copied.run()
    assert (copied.folder / RUN / file).is_file()
    assert tables(copied) == tables(finished)


@pytest.mark.parametrize("file", ["evaluation/retrieval.csv", "../../molecules.h5", "../../splits/random.csv"])
def test_a_result_with_one_flipped_bit_is_named_and_made_again(copied, finished, tables, file):
    path = (copied.folder / RUN / file).resolve()
    flip_a_byte(path)
    output = copied.run()
    assert f"{path.relative_to(copied.folder)} has changed since it was finished" in output
    assert tables(copied) == tables(finished)


def test_a_plate_from_the_future_makes_nothing_run(copied):
    for plate in copied.folder.glob("results/plates/*/*.h5"):
        os.utime(plate, (time.time() + 1e7,) * 2)
    assert "Nothing to be done" in copied.run()


def test_a_plate_in_a_shared_folder_that_changed_is_named_and_stays(copied, tmp_path):
    (copied.folder / "results/plates").rename(tmp_path / "plates")
    (copied.folder / "results/plates").symlink_to(tmp_path / "plates")
    plate = next((tmp_path / "plates").rglob("*.h5"))
    flip_a_byte(plate)
    content = plate.read_bytes()
    for _ in range(2):
        assert "it lies in a shared folder, so it stays" in copied.run("plates")
        assert plate.read_bytes() == content
