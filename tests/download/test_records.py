"""The first fetch is recorded; a later one that brings something else is refused."""

import hashlib
import json

import pytest

from cloome.data.sources import Source
from cloome.download.records import Records
from cloome.download.transfer import Terms, fetch
from cloome.errors import CloomeError, FormatError


@pytest.fixture
def checksums(tmp_path):
    return tmp_path / "checksums"


@pytest.fixture
def get(host, checksums, tmp_path):
    """Fetch the host's file; returns it and removes it, as the workflow removes a plate that is stored."""

    def once(size=None, sha256=None) -> bytes:
        out = tmp_path / "folder/file.bin"
        fetch([(Source("thing", (host.url,), size, sha256), out)], Terms(1, Records(checksums)))
        content = out.read_bytes()
        out.unlink()
        return content

    return once


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_first_fetch_is_recorded(host, get, checksums):
    get()
    record = json.loads((checksums / "thing.json").read_text())
    assert record.pop("date")[:2] == "20"
    assert record == {
        "item": "thing",
        "bytes": len(host.content),
        "sha256": digest(host.content),
        "url": host.url,
    }


def test_the_same_file_is_accepted_again(get, checksums):
    get()
    before = (checksums / "thing.json").read_bytes()
    get()
    assert (checksums / "thing.json").read_bytes() == before


def test_a_silent_change_is_refused_with_what_changed_and_what_to_delete(host, get, checksums, tmp_path):
    get()
    old, host.content, host.etag = host.content, host.content[::-1], '"two"'
    with pytest.raises(CloomeError) as refused:
        get()
    for part in (
        f"{len(old)} bytes with sha256 {digest(old)}",
        f"now {len(old)} bytes with sha256 {digest(host.content)}",
        f"delete {checksums / 'thing.json'}",
    ):
        assert part in str(refused.value)
    assert list((tmp_path / "folder").iterdir()) == []


def test_without_its_record_a_change_is_accepted(host, get, checksums):
    get()
    host.content = host.content[::-1]
    (checksums / "thing.json").unlink()
    assert get() == host.content


def test_the_table_goes_before_the_record(host, get, checksums):
    get()
    host.content = host.content[::-1]
    assert get(sha256=digest(host.content)) == host.content


def test_nothing_is_recorded_where_the_table_has_a_checksum(host, get, checksums):
    get(sha256=digest(host.content))
    assert not checksums.exists()


def test_a_size_in_the_table_alone_is_checked_beside_the_record(host, get, checksums):
    get(size=len(host.content))
    host.content = host.content[::-1]
    with pytest.raises(CloomeError, match="thing has changed"):
        get(size=len(host.content))


def test_what_could_not_be_fetched_is_not_recorded(host, get, checksums):
    with pytest.raises(CloomeError):
        get(size=1)
    assert not checksums.exists()


def test_a_mirror_with_the_recorded_file_steps_in(web, host, get, checksums, tmp_path):
    get()
    mirror = web.host("/mirror", content=host.content)
    host.content = b"something else"
    out = tmp_path / "folder/file.bin"
    fetch([(Source("thing", (host.url, mirror.url), None, None), out)], Terms(1, Records(checksums)))
    assert out.read_bytes() == mirror.content


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"sha256": "abc"}'])
def test_a_damaged_record_is_named(get, checksums, content):
    checksums.mkdir()
    (checksums / "thing.json").write_text(content)
    with pytest.raises(FormatError, match=r"thing\.json: not a record of a download; delete it"):
        get()
