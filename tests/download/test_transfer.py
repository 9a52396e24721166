"""Fetching a file: it appears whole and verified or not at all, whatever the host does."""

import hashlib
import socket

import pytest

from cloome.data.sources import Source
from cloome.download.transfer import RETRIES, fetch
from cloome.errors import CloomeError


@pytest.fixture
def out(tmp_path):
    return tmp_path / "folder" / "file.bin"


def source(*urls, size=None, sha256=None) -> Source:
    return Source("thing", urls, size, sha256)


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


def test_a_cut_is_followed_by_a_request_for_the_rest(host, out):
    host.cut_after = [1000, 500]
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content
    assert host.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_a_killed_transfer_is_resumed_by_the_next_call(host, out):
    host.cut_after = [1000] + [0] * (RETRIES + 1)
    with pytest.raises(CloomeError, match="cut after 1000 bytes, again and again"):
        fetch(source(host.url), out)
    assert left_behind(out) == ["file.bin.part", "file.bin.part.version"]
    fetch(source(host.url), out)
    assert host.asked[-1] == "bytes=1000-"
    assert out.read_bytes() == host.content
    assert left_behind(out) == ["file.bin"]


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changed_meanwhile_is_fetched_anew(host, out, if_range):
    host.cut_after = [1000] + [0] * (RETRIES + 1)
    with pytest.raises(CloomeError):
        fetch(source(host.url), out)
    host.content, host.etag, host.if_range = host.content[::-1], '"two"', if_range
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content


def test_a_part_of_unknown_version_is_not_trusted(host, out):
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


def test_a_complete_part_needs_no_byte_more(host, out):
    """The host answers 416: it has nothing beyond the end."""
    out.parent.mkdir()
    out.with_name("file.bin.part").write_bytes(host.content)
    out.with_name("file.bin.part.version").write_text(host.etag)
    fetch(source(host.url), out)
    assert host.asked == [f"bytes={len(host.content)}-"]
    assert out.read_bytes() == host.content


def test_a_part_that_is_too_long_is_fetched_anew(host, out):
    out.parent.mkdir()
    out.with_name("file.bin.part").write_bytes(host.content + b"more")
    out.with_name("file.bin.part.version").write_text(host.etag)
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content


def test_a_busy_host_is_asked_again(host, out):
    host.statuses = [503, 503]
    fetch(source(host.url), out)
    assert len(host.asked) == 3
    assert out.read_bytes() == host.content


def test_what_is_not_there_is_asked_for_once(host, out):
    host.statuses = [404]
    with pytest.raises(CloomeError, match=r"thing could not be fetched; http.*: 404 Not Found; correct the row"):
        fetch(source(host.url), out)
    assert len(host.asked) == 1
    assert left_behind(out) == []


def test_a_short_file_is_removed(host, out):
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


@pytest.mark.parametrize("first", ["dead", "absent", "missing file"])
def test_a_mirror_steps_in(host, out, tmp_path, first):
    urls = {"dead": dead_url(), "absent": host.url, "missing file": (tmp_path / "absent").as_uri()}
    host.statuses = [404] if first == "absent" else []
    fetch(source(urls[first], host.url), out)
    assert out.read_bytes() == host.content


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
    send = host.answer

    def marked(handler):
        plain = handler.end_headers
        handler.end_headers = lambda: (handler.send_header("Content-Encoding", "gzip"), plain())
        send(handler)

    host.answer = marked
    fetch(source(host.url), out)
    assert out.read_bytes() == host.content
