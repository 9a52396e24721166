"""Connections to one host are counted over all processes of the machine."""

import threading

import pytest

from cloome.download import slots
from cloome.download.slots import connection
from cloome.errors import CloomeError


@pytest.fixture
def words(web, tmp_path):
    """The command that fetches one of two files."""

    def of(name: str, limit: int) -> list:
        table = ["--sources", web.table(f"http://127.0.0.1:{web.port}/{{plate}}", source="thing"), "--source", "thing"]
        return [*table, "--plate", name, "--connections", limit, "--out", tmp_path / "out" / name]

    return of


@pytest.fixture
def pair(web):
    """Two files whose transfers stand still until they are told to go on."""
    hosts = [web.host(f"/{name}", etag="") for name in ("a", "b")]
    go = threading.Event()
    for host in hosts:
        host.during = lambda: go.wait(20)
    yield hosts, go
    go.set()


def test_a_further_process_waits_for_a_free_connection(command, words, pair, wait_until):
    hosts, go = pair
    first = command.start(*words("a", 1))
    wait_until(lambda: hosts[0].asked)
    second = command.start(*words("b", 1))
    wait_until(lambda: "waiting: 1 connections to 127.0.0.1" in second.said())
    assert hosts[1].asked == []
    go.set()
    assert (first.wait(20), second.wait(20)) == (0, 0)


def test_processes_within_the_limit_are_connected_at_the_same_time(command, words, pair, wait_until):
    hosts, go = pair
    both = [command.start(*words(name, 2)) for name in ("a", "b")]
    wait_until(lambda: hosts[0].asked and hosts[1].asked)
    go.set()
    assert [process.wait(20) for process in both] == [0, 0]


def test_a_killed_process_frees_its_connection(command, words, pair, wait_until):
    hosts, go = pair
    first = command.start(*words("a", 1))
    wait_until(lambda: hosts[0].asked)
    first.kill()
    second = command.start(*words("b", 1))
    wait_until(lambda: hosts[1].asked)
    go.set()
    assert second.wait(20) == 0, second.said()


def test_another_host_has_connections_of_its_own(monkeypatch):
    monkeypatch.setattr(slots.time, "sleep", lambda _: pytest.fail("it waited"))
    with connection("http://one/file", 1), connection("http://two/file", 1), connection("http://one:81/file", 1):
        pass


def test_a_connection_is_free_again_after_an_error(monkeypatch):
    monkeypatch.setattr(slots.time, "sleep", lambda _: pytest.fail("it waited"))
    for _ in range(2):
        with pytest.raises(ValueError, match="cut"), connection("http://one/file", 1):
            raise ValueError("cut")


def test_a_folder_that_someone_else_put_there_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(slots.os, "getuid", lambda: 12345)
    with pytest.raises(CloomeError, match="not a folder of this user; set TMPDIR"), connection("http://one/file", 1):
        pass
