"""All channels of a plate with one command: all archives appear, or none, and nothing is fetched twice."""

import pytest

from cloome.cli import main

CHANNELS = ["Mito", "ERSyto", "Hoechst"]


@pytest.fixture
def hosts(web):
    return web.plate(*CHANNELS)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "archives/7"


@pytest.fixture
def words(web, hosts, out, tmp_path) -> list[str]:
    """The command that fetches the plate."""
    table = ["--sources", web.plate_table(), "--source", "plate_archive", "--plate", "7"]
    return [*map(str, table), "--channels", *CHANNELS, "--record", str(tmp_path / "checksums"), "--out", str(out)]


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def archives(hosts) -> dict[str, bytes]:
    return {f"7-{channel}.zip": host.content for channel, host in hosts.items()}


def test_each_channel_becomes_an_archive(words, hosts, out, tmp_path):
    assert main(["download", *words]) == 0
    assert files(out) == archives(hosts)
    records = sorted(path.name for path in (tmp_path / "checksums").iterdir())
    assert records == sorted(f"plate_archive-7-{channel}.json" for channel in CHANNELS)


def test_a_failure_of_the_last_channel_loses_nothing(words, hosts, out):
    hosts["Hoechst"].statuses = [404]
    assert main(["download", *words]) == 1
    assert not list(out.glob("*.zip")), "Snakemake would delete them"
    assert main(["download", *words]) == 0
    assert files(out) == archives(hosts)
    assert [hosts[channel].asked for channel in CHANNELS] == [[None], [None], [None, None]]


def test_no_archive_appears_before_all_have_arrived(words, hosts, out):
    seen = []
    hosts["Hoechst"].during = lambda: seen.extend(out.glob("*.zip"))
    assert main(["download", *words]) == 0
    assert seen == []


def test_an_archive_that_was_damaged_on_the_disk_meanwhile_is_fetched_again(words, hosts, out):
    hosts["Hoechst"].statuses = [404]
    main(["download", *words])
    part = out / "7-Mito.zip.part"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    assert main(["download", *words]) == 0
    assert files(out) == archives(hosts)
    assert len(hosts["Mito"].asked) == 2


def test_an_archive_that_the_table_now_knows_better_is_fetched_again(web, words, hosts, out, capsys):
    hosts["Hoechst"].statuses = [404]
    main(["download", *words])
    url = f"http://127.0.0.1:{web.port}/{{plate}}-{{channel}}.zip"
    web.table(url, bytes="3")
    assert main(["download", *words]) == 1
    assert "bytes expected 3, found" in capsys.readouterr().err
    assert len(hosts["Mito"].asked) == 2


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--source", "plates"], "no source 'plates'"),
        (["--connections", "0"], "at least one is needed"),
        (["--optional", "quality_control/qc.csv"], "goes without --optional"),
        (["--plate", "../7"], "plate and channel are made of letters"),
    ],
)
def test_what_cannot_be_meant_is_named(words, hosts, out, capsys, extra, message):
    assert main(["download", *words, *extra]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_killed_command_asks_for_the_missing_range_only(command, words, hosts, out, wait_until):
    hosts["ERSyto"].stall_after = [1000]
    part = out / "7-ERSyto.zip.part"
    process = command.start(*words)
    wait_until(lambda: part.exists() and part.stat().st_size == 1000)
    process.kill()
    process.wait()
    assert not list(out.glob("*.zip"))
    command.run(*words)
    assert files(out) == archives(hosts)
    assert [hosts[channel].asked for channel in CHANNELS] == [[None], [None, "bytes=1000-"], [None]]


def test_a_host_that_is_killed_and_comes_back_is_gone_on_with(command, web, other_server, out, wait_until):
    other_server.start(stall_after=[1000])
    words = ["--sources", web.table(other_server.url, source="thing"), "--source", "thing", "--out", out / "file"]
    process = command.start(*words)
    wait_until(lambda: out.exists() and sum(path.stat().st_size for path in out.glob("*.part")) == 1000)
    other_server.kill()
    wait_until(lambda: "going on at byte 1,000" in process.said())
    assert not (out / "file").exists()
    content = bytes(range(256)) * 400
    other_server.start(content=content)
    assert process.wait(20) == 0, process.said()
    assert (out / "file").read_bytes() == content


def test_a_full_disk_is_told_beforehand(web, words, hosts, small_disk, capsys):
    (small_disk / "other").write_bytes(bytes(200_000))
    assert main(["download", *words, "--out", str(small_disk / "7")]) == 1
    said = capsys.readouterr().err
    assert "plate_archive-7-Mito: needs 0.000 GB more on the disk of" in said
    assert "GB; free some space, then run the same command again" in said
    assert hosts["Mito"].asked == [None]


def test_after_a_full_disk_the_same_command_goes_on(web, small_disk, capsys):
    """The host does not say how long the file is."""
    host = web.host(length=None)
    words = ["--sources", str(web.table(host.url, source="thing")), "--source", "thing", "--out", str(small_disk / "f")]
    filler = small_disk / "other"
    filler.write_bytes(bytes(200_000))
    assert main(["download", *words]) == 1
    assert "is full" in capsys.readouterr().err
    kept = (small_disk / "f.part").stat().st_size
    assert 0 < kept < len(host.content)
    assert not (small_disk / "f").exists()
    filler.unlink()
    assert main(["download", *words]) == 0
    assert (small_disk / "f").read_bytes() == host.content
    assert host.asked == [None, f"bytes={kept}-"]
