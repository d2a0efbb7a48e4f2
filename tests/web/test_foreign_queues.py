"""A queue whose key another program uses: the pages say so of that one, and show all others as ever."""

from __future__ import annotations

import json
import re
import time
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.stand import SHOWN, fill, job
from tests.web.test_safety import act, caller

if TYPE_CHECKING:
    import redis

    from sidelamb_local.redis_server import RedisServer

SAID = "is no list: another program uses its key {}; rename or delete it"


@pytest.fixture
def spoiled(db: redis.Redis) -> redis.Redis:
    """A Redis with jobs, and a string where the list of a queue should be."""
    fill(db, 12, hostile=False)
    db.sadd("queues", "foo")
    db.set("queue:foo", "another program's")
    return db


def plain(text: str) -> str:
    """What one reads, on one line."""
    return " ".join(unescape(re.sub("</?(code|bdi)>", "", text)).split())


async def test_every_page_is_there(spoiled: redis.Redis, web_server: RedisServer) -> None:
    async with caller(web_server) as http:
        for path in (*SHOWN, "/queue?name=foo"):
            assert (await http.get(path)).status_code < 500, path


async def test_the_lists_say_it_of_that_one_and_count_the_others(
    spoiled: redis.Redis, web_server: RedisServer
) -> None:
    async with caller(web_server) as http:
        for path in ("/", "/queues"):
            text = (await http.get(path)).text
            found = re.findall(r"<tr><th.*?<bdi>(\w+)</bdi>(.*?)</tr>", text, re.DOTALL)
            rows = {name: plain(row) for name, row in found}
            assert SAID.format("queue:foo") in rows["foo"], path
            assert '<td class="n">0</td>' in rows["foo"]
            assert '<td class="n">3</td>' in rows["mail"]
            assert "is no list" not in rows["mail"]
        assert f"The queue foo {SAID.format('queue:foo')}." in plain((await http.get("/")).text)


async def test_its_own_page_says_it_in_a_sentence_and_offers_nothing_to_do_there(
    spoiled: redis.Redis, web_server: RedisServer
) -> None:
    async with caller(web_server) as http:
        answer = await http.get("/queue?name=foo")
        assert answer.status_code == 200
        assert f"This queue {SAID.format('queue:foo')}." in plain(answer.text)
        assert 'value="clear"' not in answer.text
        assert (await act(http, "/queues", name="foo", do="pause")).status_code == 303
    assert spoiled.get("queue:foo") == b"another program's"


async def test_jobs_of_other_queues_are_found(spoiled: redis.Redis, web_server: RedisServer) -> None:
    jid = json.loads(spoiled.lindex("queue:mail", 0))["jid"]
    async with caller(web_server) as http:
        assert "Found." in (await http.get("/search", params={"q": jid})).text


@pytest.mark.parametrize(
    ("key", "make"),
    [
        ("queue:foo", lambda db, key: db.set(key, "x")),
        ("queue:foo", lambda db, key: db.hset(key, "x", "y")),
        ("sidelamb:alone:foo", lambda db, key: db.sadd(key, "x")),
    ],
)
async def test_whatever_it_is_its_key_is_named(
    db: redis.Redis, web_server: RedisServer, key: str, make: Any
) -> None:
    db.sadd("queues", "foo")
    make(db, key)
    async with caller(web_server) as http:
        assert SAID.format(key) in plain((await http.get("/queues")).text)
        assert SAID.format(key) in plain((await http.get("/queue?name=foo")).text)


async def test_when_the_key_is_gone_the_queue_is_one_again(spoiled: redis.Redis, web_server: RedisServer) -> None:
    spoiled.rename("queue:foo", "foo")
    spoiled.lpush("queue:foo", json.dumps(job(1, time.time())))
    async with caller(web_server) as http:
        assert "is no list" not in (await http.get("/queues")).text
        assert "1 job" in (await http.get("/queue?name=foo")).text


async def test_a_hostile_name_is_escaped(db: redis.Redis, web_server: RedisServer) -> None:
    name = "<script>document.title='owned'</script>"
    db.sadd("queues", name)
    db.set(f"queue:{name}", "x")
    async with caller(web_server) as http:
        for path, params in (("/", {}), ("/queues", {}), ("/queue", {"name": name})):
            answer = await http.get(path, params=params)
            assert answer.status_code == 200
            assert "is no list" in answer.text
            assert name not in answer.text
