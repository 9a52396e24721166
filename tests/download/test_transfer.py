"""Fetching a file: it appears whole and verified or not at all, whatever the host does."""

import hashlib
import socket
import time
from email.utils import formatdate

import pytest

from cloome.data.sources import Source
from cloome.download import stream
from cloome.download.part import Part
from cloome.download.records import Records
from cloome.download.stream import RETRIES
from cloome.download.transfer import Terms
from cloome.download.transfer import fetch as fetch_all
from cloome.errors import CloomeError

TERMS = Terms(connections=2, records=Records(None))
GIVE_UP = [0] * (RETRIES + 1)  # after so many cuts without a new byte


@pytest.fixture
def out(tmp_path):
    return tmp_path / "folder" / "file.bin"


def source(*urls, size=None, sha256=None) -> Source:
    return Source("thing", urls, size, sha256)


def fetch(source: Source, out) -> None:
    fetch_all([(source, out)], TERMS)


def left_behind(out) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def dead_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/file"


def test_a_file_is_fetched_and_verified(host, out):
    fetch(source(host.url, size=len(host.content), sha256=hashlib.sha256(host.content).hexdigest()), out)
    assert out.read_bytes() == host.content
    assert left_behind(out) == ["file.bin"]


def test_nothing_is_seen_under_the_final_name_before_the_file_is_whole(host, out):
    seen = []
    host.cut_after = [1000, 500]
    host.during = lambda: seen.append(out.exists())
    fetch(source(host.url), out)
    assert seen == [False, False, False]
    assert out.read_bytes() == host.content


def test_a_cut_is_followed_by_a_request_for_the_rest(host, out):
    host.cut_after = [1000, 500]
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content
    assert host.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_a_body_shorter_than_announced_is_a_cut(host, out):
    host.length = len(host.content) + 10
    with pytest.raises(CloomeError, match=f"started again {RETRIES} times"):
        fetch(source(host.url), out)
    assert not out.exists()


def test_a_stalled_host_is_asked_again_for_the_rest(host, out, monkeypatch):
    monkeypatch.setattr(stream, "TIMEOUT", (1, 0.1))
    host.stall_after = [1000, 500]
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content
    assert host.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_a_mirror_steps_in_for_a_host_that_stalls_for_good(web, host, out, monkeypatch):
    monkeypatch.setattr(stream, "TIMEOUT", (1, 0.05))
    host.stall_after = [*GIVE_UP, 0]
    mirror = web.host("/mirror", etag='"other"')
    fetch(source(host.url, mirror.url), out)
    assert out.read_bytes() == mirror.content
    assert mirror.asked == [None]


def test_a_transfer_that_was_given_up_is_resumed_by_the_next_call(host, out):
    host.cut_after = [1000, *GIVE_UP]
    with pytest.raises(CloomeError, match="after 1000 bytes, again and again"):
        fetch(source(host.url), out)
    assert left_behind(out) == ["file.bin.part", "file.bin.part.json"]
    fetch(source(host.url), out)
    assert host.asked[-1] == "bytes=1000-"
    assert out.read_bytes() == host.content
    assert left_behind(out) == ["file.bin"]


def test_the_host_that_gave_a_part_goes_first_the_next_time(web, host, out):
    host.statuses = [404]
    mirror = web.host("/mirror", cut_after=[1000, *GIVE_UP])
    with pytest.raises(CloomeError):
        fetch(source(host.url, mirror.url), out)
    fetch(source(host.url, mirror.url), out)
    assert len(host.asked) == 1
    assert mirror.asked[-1] == "bytes=1000-"
    assert out.read_bytes() == mirror.content


def test_a_part_of_one_host_is_not_continued_by_another(web, host, out):
    host.cut_after = [1000, *GIVE_UP]
    mirror = web.host("/mirror", content=host.content[::-1])
    fetch(source(host.url, mirror.url), out)
    assert mirror.asked == [None]
    assert out.read_bytes() == mirror.content


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changed_between_two_calls_is_fetched_anew(host, out, if_range):
    host.cut_after = [1000, *GIVE_UP]
    with pytest.raises(CloomeError):
        fetch(source(host.url), out)
    host.content, host.etag, host.if_range = host.content[::-1], '"two"', if_range
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changes_during_a_transfer_is_fetched_anew(host, out, if_range):
    def change():
        host.content, host.etag, host.if_range = host.content[::-1], '"two"', if_range
        host.during = lambda: None

    host.cut_after, host.during = [1000], change
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content
    assert host.asked == [None, "bytes=1000-", None]


def test_a_file_that_changes_each_time_is_given_up(host, out):
    def change():
        host.etag = f'"{len(host.asked)}"'

    host.cut_after, host.during = [1000] * 100, change
    with pytest.raises(CloomeError, match=f"started again {RETRIES} times"):
        fetch(source(host.url), out)
    assert not out.exists()


def test_a_host_without_marks_of_version_sends_all_again(host, out):
    host.etag, host.cut_after = "", [1000, 2000]
    fetch(source(host.url), out)
    assert host.asked == [None, None, None]
    assert out.read_bytes() == host.content


def test_a_part_of_unknown_origin_is_not_trusted(host, out):
    out.parent.mkdir()
    out.with_name("file.bin.part").write_bytes(b"from somewhere else")
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content


def test_a_host_that_ignores_ranges_sends_all_again(host, out):
    host.ranges, host.cut_after = False, [1000]
    fetch(source(host.url), out)
    assert host.asked == [None, "bytes=1000-"]
    assert out.read_bytes() == host.content


def test_a_host_that_ignores_ranges_and_always_cuts_is_given_up(host, out):
    host.ranges, host.cut_after = False, [1000] * 100
    with pytest.raises(CloomeError, match="again and again"):
        fetch(source(host.url), out)
    assert len(host.asked) == RETRIES + 2
    assert not out.exists()


def begin(host, out, content: bytes) -> None:
    """Leave behind what an earlier call received."""
    with Part(out) as part:
        part.restart(host.url, host.etag)
        part.write(content)


def test_a_part_that_has_every_byte_needs_none_more(host, out):
    """The host answers 416: it has nothing beyond the end."""
    begin(host, out, host.content)
    fetch(source(host.url), out)
    assert host.asked == [f"bytes={len(host.content)}-"]
    assert out.read_bytes() == host.content


def test_a_part_that_is_too_long_is_fetched_anew(host, out):
    begin(host, out, host.content + b"more")
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content


def test_a_redirect_to_another_host_is_followed_and_resumed_there(web, host, out):
    other = web.host("/elsewhere", cut_after=[1000])
    host.statuses = [302, 302]
    host.headers = {"Location": other.url.replace("127.0.0.1", "localhost")}
    fetch(source(host.url), out)
    assert other.asked == [None, "bytes=1000-"]
    assert out.read_bytes() == other.content


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_host_is_asked_again_later_each_time(host, out, pauses, status):
    host.statuses = [status] * 4
    fetch(source(host.url), out)
    assert len(host.asked) == 5
    assert out.read_bytes() == host.content
    base = stream.BACKOFF
    for number, pause in enumerate(pauses, start=1):
        assert 0.5 * base * 2**number <= pause <= 1.5 * base * 2**number


def test_pauses_are_not_the_same_each_time(host, out, pauses):
    """Jobs that were cut off together do not come back together."""
    for _ in range(4):
        host.statuses = [503]
        out.unlink(missing_ok=True)
        fetch(source(host.url), out)
    assert len(set(pauses)) == 4


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_busy_host_that_says_how_long_is_given_that_time(host, out, pauses, form):
    host.statuses = [503]
    host.headers = {"Retry-After": "90" if form == "seconds" else formatdate(time.time() + 90, usegmt=True)}
    fetch(source(host.url), out)
    assert len(pauses) == 1
    assert 60 < pauses[0] <= 90


def test_a_host_that_asks_for_too_much_time_is_left_for_its_mirror(web, host, out, pauses):
    host.statuses, host.headers = [503], {"Retry-After": "86400"}
    mirror = web.host("/mirror")
    fetch(source(host.url, mirror.url), out)
    assert pauses == []
    assert len(host.asked) == len(mirror.asked) == 1


def test_a_host_that_stays_busy_is_named(host, out, pauses):
    host.statuses = [503] * 100
    with pytest.raises(CloomeError, match="again and again: 503 Service Unavailable"):
        fetch(source(host.url), out)
    assert len(host.asked) == RETRIES + 1


def test_what_is_not_there_is_asked_for_once(host, out):
    host.statuses = [404]
    with pytest.raises(CloomeError, match=r"thing could not be fetched; http.*: 404 Not Found; correct the row"):
        fetch(source(host.url), out)
    assert len(host.asked) == 1
    assert left_behind(out) == []


def test_a_file_that_is_shorter_than_the_table_says_is_removed(host, out):
    """The host itself says that this is all."""
    with pytest.raises(CloomeError, match=f"bytes expected 200000, found {len(host.content)}"):
        fetch(source(host.url, size=200_000), out)
    assert left_behind(out) == []


def test_a_wrong_checksum_is_removed(host, out):
    found = hashlib.sha256(host.content).hexdigest()
    with pytest.raises(CloomeError, match=f"sha256 expected {'0' * 64}, found {found}"):
        fetch(source(host.url, sha256="0" * 64), out)
    assert left_behind(out) == []


def test_an_old_file_stays_until_the_new_one_is_complete(host, out):
    out.parent.mkdir()
    out.write_bytes(b"old")
    with pytest.raises(CloomeError):
        fetch(source(host.url, sha256="0" * 64), out)
    assert out.read_bytes() == b"old"


def test_a_file_that_is_there_and_right_is_not_fetched_again(host, out):
    asked = source(host.url, sha256=hashlib.sha256(host.content).hexdigest())
    fetch(asked, out)
    fetch(asked, out)
    assert len(host.asked) == 1


@pytest.mark.parametrize("first", ["dead", "absent", "missing file"])
def test_a_mirror_steps_in(host, out, tmp_path, first):
    urls = {"dead": dead_url(), "absent": host.url, "missing file": (tmp_path / "absent").as_uri()}
    host.statuses = [404] if first == "absent" else []
    fetch(source(urls[first], host.url), out)
    assert out.read_bytes() == host.content


def test_mirrors_are_asked_in_their_order(web, host, out):
    mirrors = [web.host(f"/{number}", content=b"%d" % number) for number in range(3)]
    host.statuses = [404]
    fetch(source(host.url, *(mirror.url for mirror in mirrors)), out)
    assert out.read_bytes() == b"0"
    assert [len(mirror.asked) for mirror in mirrors] == [1, 0, 0]


def test_a_mirror_steps_in_for_a_wrong_file(host, out, tmp_path):
    (tmp_path / "wrong").write_bytes(b"wrong")
    fetch(source((tmp_path / "wrong").as_uri(), host.url, size=len(host.content)), out)
    assert out.read_bytes() == host.content


def test_every_failure_is_named(host, out, tmp_path):
    urls = (dead_url(), (tmp_path / "absent").as_uri())
    with pytest.raises(CloomeError, match=r"no answer: .*; file://.*absent: No such file"):
        fetch(source(*urls), out)


def test_bytes_arrive_as_they_are_at_the_host(host, out):
    """A host may mark a tar.gz as packed in transfer; unpacking it would change the file."""
    host.headers = {"Content-Encoding": "gzip"}
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content


def test_a_file_that_another_process_is_fetching_is_left_to_it(host, out):
    with Part(out), pytest.raises(CloomeError, match="another process is fetching it"):
        fetch(source(host.url), out)
    assert host.asked == []
