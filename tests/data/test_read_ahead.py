"""Reading in background threads: in order, a bounded number of parts ahead, and errors come where they belong."""

import threading
from itertools import count

import pytest

from cloome.data.read_ahead import READERS, fill_ahead, read_ahead
from cloome.errors import FormatError


def test_parts_come_in_order_from_other_threads():
    threads = set()

    def read(part):
        threads.add(threading.get_ident())
        return part * 2

    assert list(read_ahead(read, range(50))) == [2 * part for part in range(50)]
    assert threading.get_ident() not in threads


def test_the_order_holds_when_later_parts_are_ready_first():
    second_is_done = threading.Event()

    def read(part):
        if part == 0:
            assert second_is_done.wait(10)
        if part == 1:
            second_is_done.set()
        return part

    assert list(read_ahead(read, range(5), readers=2)) == list(range(5))


@pytest.mark.parametrize("readers", [1, 2, 4])
def test_so_many_parts_are_read_at_once_as_there_are_readers(readers):
    """Each waits for the others: with fewer at once, none would end."""
    barrier = threading.Barrier(readers, timeout=10)

    def read(part):
        barrier.wait()
        return part

    assert list(read_ahead(read, range(4 * readers), readers=readers)) == list(range(4 * readers))


@pytest.mark.parametrize(("readers", "ahead"), [(1, None), (4, None), (1, 2), (2, 4), (4, 8), (4, 1)])
def test_never_more_than_the_number_asked_for_are_begun_ahead(readers, ahead):
    begun = []

    def read(part):
        begun.append(part)
        return part

    for taken in read_ahead(read, range(200), readers=readers, ahead=ahead):
        # `taken` itself is no longer ahead of the one who takes it.
        assert max(begun) - taken <= (ahead or readers)
    assert sorted(begun) == list(range(200))


def test_parts_are_taken_as_needed():
    """They may be without end."""
    results = read_ahead(lambda part: part, count())
    assert [next(results) for _ in range(10)] == list(range(10))
    results.close()


def test_no_parts_are_no_error():
    assert list(read_ahead(lambda part: part, [])) == []


def test_an_error_comes_in_place_of_its_part():
    begun = []

    def read(part):
        begun.append(part)
        if part == 3:
            raise FormatError("unreadable")
        return part

    results = read_ahead(read, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FormatError, match="unreadable"):
        next(results)
    assert max(begun) <= 3 + READERS


def test_none_is_read_any_more_once_the_results_are_closed():
    reading, end = threading.Event(), threading.Event()
    begun = []

    def read(part):
        begun.append(part)
        if part > 0:
            reading.set()
            assert end.wait(10)
        return part

    results = read_ahead(read, range(100), readers=1, ahead=20)
    assert next(results) == 0
    assert reading.wait(10)
    threading.Timer(0.01, end.set).start()
    results.close()
    assert begun == [0, 1], "closing waits for the one that is being read, and begins no other"


@pytest.mark.parametrize("readers", [1, 2, 3, 5])
def test_readers_share_the_rows_of_a_part_each_row_once(readers):
    threads = set()

    def fill(whole, part, rows):
        threads.add(threading.get_ident())
        for row in rows:
            assert whole[row] is None
            whole[row] = (part, row)

    sizes = [4, 1, 0, 7]
    filled = list(fill_ahead(lambda part: [None] * sizes[part], fill, enumerate(sizes), readers))
    assert filled == [(part, [(part, row) for row in range(size)]) for part, size in enumerate(sizes)]
    assert threading.get_ident() not in threads


def test_no_more_than_two_parts_are_made_ahead():
    made = []

    def make(part):
        made.append(part)

    parts = ((part, 10) for part in range(20))
    for part, _ in fill_ahead(make, lambda *_: None, parts, readers=3):
        assert max(made) - part <= 3, "two whole ones, and the one that readers begin as this one is done"
    assert made == list(range(20))
