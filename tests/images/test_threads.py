"""Several threads make the same store as one, in the same order, and never run far ahead of the writer."""

import time
import weakref
from threading import Lock

import numpy as np
import pytest

from cloome.config import Images
from cloome.images.fields import stored_fields
from cloome.images.names import FieldFiles

WELLS = [f"{row}{column:02d}" for row in "ab" for column in range(1, 7)]


@pytest.fixture
def plate(archived):
    """24 fields, seven of which are bad in different ways."""
    rng = np.random.default_rng(0)
    for channel, members in archived.content.items():
        members.clear()
        for well in WELLS:
            for site in (1, 2):
                members[archived.name(channel, well, site)] = archived.tiff(rng.integers(0, 4096, (70, 90), np.uint16))
    mito = archived.content["Mito"]
    mito[archived.name("Mito", "a01", 1)] = b""
    mito[archived.name("Mito", "a01", 2)] = archived.tiff(np.zeros((70, 90), np.uint16))
    mito[archived.name("Mito", "a04", 1)] = archived.tiff(np.ones((71, 90), np.uint16))
    mito[archived.name("Mito", "b02", 2)] = archived.tiff(np.ones((70, 90), np.float32))
    mito[archived.name("Mito", "b06", 2)] = archived.tiff(np.ones((70, 90), np.uint16))[:-1]
    del mito[archived.name("Mito", "b03", 1)]
    mito["24278-Mito/other.txt"] = b""
    archived.write(roles=dict.fromkeys(WELLS, "treated"))
    return archived


SETTINGS = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "tiles": {"tiles": {"size": 32}},
    "mosaic": {"mosaic": {"rows": 1, "columns": 2}},
    "resize": {"resize": [64, 64]},
}


@pytest.mark.parametrize("images", SETTINGS.values(), ids=SETTINGS)
def test_any_number_of_threads_makes_the_same_files(plate, images):
    made = []
    for threads in (1, 4, 4):
        refused = plate.store(threads=threads, **images)
        assert len(refused) >= 7
        made.append((plate.out.read_bytes(), plate.out.with_suffix(".refused.csv").read_bytes()))
    assert made[0] == made[1] == made[2]


class Counting:
    """A source of images without files, which counts the fields that were made of it."""

    source = "memory"

    def __init__(self, fields: int):
        self.fields = [FieldFiles("A01", site, ("a.tif", "b.tif")) for site in range(fields)]
        self.refused = []
        self.finished = 0
        self._lock = Lock()

    def channels(self, files):
        for channel in range(2):
            yield np.full((20, 30), 100 + channel + files.site, np.uint16)
        with self._lock:
            self.finished += 1


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("images", [{}, {"tiles": {"size": 32}, "resize": [64, 64]}], ids=["fields", "tiles"])
def test_at_most_twice_as_many_fields_as_threads_are_made_ahead(threads, images):
    source, taken = Counting(fields=60), set()
    ahead = 2 * threads if threads > 1 else 0
    for field in stored_fields(source, "P1", ["a", "b"], Images(nuclei=None, **images), None, threads):
        taken.add(field.site)
        if len(taken) == 1:
            wait_until(lambda: source.finished == 1 + ahead)
        assert source.finished <= len(taken) + ahead
    assert (len(taken), source.finished, source.refused) == (60, 60, [])


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(
    ("images", "each"),
    [({}, 1), ({"tiles": {"size": 32}, "resize": [64, 96]}, 6), ({"resize": [10, 20]}, 1)],
    ids=["fields", "tiles", "resized"],
)
def test_a_bounded_number_of_images_is_in_memory_whatever_the_plates_size(threads, images, each):
    seen = []
    for field in stored_fields(Counting(fields=100), "P1", ["a", "b"], Images(nuclei=None, **images), None, threads):
        seen.append(weakref.ref(field.image))
        # Those made ahead, the one that is stored, and one that each thread makes.
        assert len({id(image()) for image in seen if image() is not None}) <= each * (3 * threads + 2)
    assert len(seen) == 100 * each


def wait_until(true, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)
