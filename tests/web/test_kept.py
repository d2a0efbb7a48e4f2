"""What a job with `result_ttl` keeps, on its page, and found by its id when it is gone."""

from __future__ import annotations

import json
import re
import secrets
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from sidelamb import Client, Discard, Job, configure, current_job, registry, settings
from sidelamb.api import Queue
from sidelamb.testing import drain
from tests.web.hostile import TEXTS
from tests.web.test_safety import caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    import redis

    from sidelamb_local.redis_server import RedisServer

SCRIPT = "<script>document.title='owned'</script>"


@pytest.fixture
def client(db: redis.Redis, web_server: RedisServer) -> Iterator[Client]:
    made = Client(web_server.url)
    yield made
    made.close()


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`@job()`; a job is named as its function is, and gone after the test."""
    for kept in ("_jobs", "_aliases", "_functions", "_modules"):
        monkeypatch.setattr(registry, kept, {})

    def declared(**options: Any) -> Callable[[Any], Any]:
        def declare(function: Any) -> Any:
            made: Job[..., Any] = Job(function, {"name": function.__name__, **options})
            registry.add(made)
            return made

        return declare

    return declared


@pytest.fixture
def keyed(web_server: RedisServer) -> Iterator[None]:
    configure(keys={"k1": secrets.token_bytes(32)})
    yield
    settings.reset()


def run(client: Client) -> None:
    drain(client=client, raise_errors=False)


async def found(http: httpx.AsyncClient, jid: str) -> str:
    """Return the page to which a search by id leads."""
    answer = (await http.get("/search", params={"q": jid})).text
    assert "Found." in answer
    (link,) = re.findall(r'<th scope="row"><a href="(/job[^"]+)"', answer)
    page = await http.get(unescape(link))
    assert page.status_code == 200
    return page.text


def rows(text: str) -> dict[str, str]:
    """Return what the card says, by the names of its rows."""
    pairs = re.findall(r'<tr><th scope="row">([^<]+)</th><td>(.*?)</td></tr>', text, re.DOTALL)
    return {name: " ".join(unescape(re.sub("<[^>]+>", " ", value)).split()) for name, value in pairs}


def result(text: str) -> str:
    return "".join(re.findall(r"<h2>Result</h2><pre[^>]*><bdi>(.*?)</bdi>", text, re.DOTALL))


async def test_one_that_succeeded_is_found_by_its_id_with_its_result(
    job: Any, client: Client, web_server: RedisServer
) -> None:
    @job(result_ttl=60)
    def add(a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    jid = add.using(client=client).enqueue(1, 2)
    run(client)
    async with caller(web_server) as http:
        assert "Go on looking" not in (await http.get("/search", params={"q": jid})).text
        text = await found(http, jid)
    assert "succeeded" in text
    assert "The job itself is not in Redis any more." in text
    assert unescape(result(text)) == '{"sum": 3}'
    assert {"Attempt", "Enqueued", "Started", "Ended"} == set(rows(text))


async def test_its_old_address_shows_the_result_too(job: Any, client: Client, web_server: RedisServer) -> None:
    @job(result_ttl=60)
    def add(a: int, b: int) -> int:
        return a + b

    jid = add.using(client=client).enqueue(1, 2)
    async with caller(web_server) as http:
        answer = (await http.get("/search", params={"q": jid})).text
        (link,) = re.findall(r'<th scope="row"><a href="(/job[^"]+)"', answer)
        waiting = await http.get(unescape(link))
        assert ("queued" in waiting.text, result(waiting.text)) == (True, "")
        run(client)
        over = await http.get(unescape(link))
        assert (over.status_code, result(over.text)) == (200, "3")


async def test_one_that_is_running_shows_how_far_it_is(job: Any, client: Client, web_server: RedisServer) -> None:
    steps = [(3, 10, "photos"), (0.5, None, ""), (7, 0, ""), (12, 10, SCRIPT)]
    pages: list[str] = []

    @job(result_ttl=60, max_retries=3)
    def resize(n: int) -> None:
        done, total, note = steps[n]
        current_job().progress(done, total, note)
        raise ValueError(SCRIPT)

    for n in range(len(steps)):
        jid = resize.using(client=client).enqueue(n)
        run(client)
        async with caller(web_server) as http:
            pages.append(await found(http, jid))
    assert [rows(text)["Progress"] for text in pages] == ["3 of 10 photos", "0.5", "7", f"12 of 10 {SCRIPT}"]
    assert [re.findall(r'aria-label="([\d.]+) %"', text) for text in pages] == [["30.0"], [], [], ["100.0"]]
    assert "retrying" in pages[0]
    assert not any(SCRIPT in text for text in pages)


@pytest.mark.parametrize("state", ["discarded", "deleted"])
async def test_one_that_was_dropped_is_found_without_a_result(
    job: Any, client: Client, web_server: RedisServer, state: str
) -> None:
    @job(result_ttl=60)
    def work() -> None:
        raise Discard("no need")

    jid = work.using(client=client).enqueue()
    if state == "deleted":
        Queue("default", client).delete(next(iter(Queue("default", client))))
    else:
        run(client)
    async with caller(web_server) as http:
        text = await found(http, jid)
    assert (state in text, result(text)) == (True, "")


async def test_one_that_is_dead_is_found_where_it_is(job: Any, client: Client, web_server: RedisServer) -> None:
    @job(result_ttl=60, max_retries=0)
    def work() -> None:
        raise ValueError("no such account")

    jid = work.using(client=client).enqueue()
    run(client)
    async with caller(web_server) as http:
        text = await found(http, jid)
        assert 'class="crumb"><a href="/dead"' in text
        assert "ValueError no such account" in rows(text)["Last error"]


async def test_of_a_job_that_keeps_nothing_there_is_no_card(
    job: Any, client: Client, web_server: RedisServer
) -> None:
    @job()
    def work() -> int:
        return 1

    jid = work.using(client=client).enqueue()
    async with caller(web_server) as http:
        assert "What it keeps" not in await found(http, jid)
        run(client)
        answer = await http.get("/search", params={"q": jid})
        assert "It is nowhere in Redis" in answer.text
        gone = await http.get("/job", params={"in": "kept", "jid": jid})
        assert (gone.status_code, "Back to the search" in gone.text) == (404, True)


async def test_the_result_of_an_encrypted_job_is_not_shown(
    job: Any, client: Client, web_server: RedisServer, keyed: None
) -> None:
    returned = ["4111-1111", {"4111-1111"}]

    @job(result_ttl=60, encrypt=True)
    def charge(card: str, n: int) -> Any:
        return returned[n]

    for n in range(2):
        jid = charge.using(client=client).enqueue("4111-1111", n)
        async with caller(web_server) as http:
            assert "4111-1111" not in await found(http, jid)
            run(client)
            text = await found(http, jid)
        assert "4111-1111" not in text
        assert "[encrypted]" in text
        assert "succeeded" in text


async def test_what_json_does_not_have_is_said_to_be_no_result(
    job: Any, client: Client, web_server: RedisServer
) -> None:
    @job(result_ttl=60)
    def work() -> Any:
        return {SCRIPT}

    jid = work.using(client=client).enqueue()
    run(client)
    async with caller(web_server) as http:
        text = await found(http, jid)
    assert "No result: " in text
    assert "which JSON does not have" in text
    assert SCRIPT not in text


async def test_a_long_result_is_cut_and_a_hostile_one_escaped(
    job: Any, client: Client, web_server: RedisServer
) -> None:
    results = [SCRIPT, "x" * 200_000, *TEXTS]

    @job(result_ttl=60)
    def work(n: int) -> Any:
        return results[n]

    async with caller(web_server) as http:
        for n, value in enumerate(results):
            jid = work.using(client=client).enqueue(n)
            run(client)
            text = await found(http, jid)
            if n == 1:
                assert (len(unescape(result(text))), "The beginning of 195 KB." in text) == (20_000, True)
            else:
                assert json.loads(unescape(result(text))) == value.encode(errors="replace").decode()
            assert SCRIPT not in text


@pytest.mark.parametrize(
    "fields",
    [
        {"state": SCRIPT, "name": SCRIPT, "error_class": SCRIPT, "error_message": SCRIPT, "result": SCRIPT},
        {"state": "succeeded", "result": "[" * 10_000, "unkept": SCRIPT},
        {"state": "succeeded", "attempt": "inf", "enqueued_at": "nan", "finished_at": "1e300", "due_at": "soon"},
        {"state": "deleted", "progress": "not json"},
        {"state": "deleted", "progress": "[1]"},
        {"state": "deleted", "progress": f'["{SCRIPT}", "{SCRIPT}", ["{SCRIPT}"]]'},
        {"state": "deleted", "progress": "[1e999, -1, null]"},
        {"state": b"deleted", b"\xff": b"\xff", "result": b"\xff\xfe"},
    ],
    ids=str,
)
async def test_whatever_stands_in_its_place_is_shown(
    db: redis.Redis, web_server: RedisServer, fields: dict[Any, Any]
) -> None:
    db.hset("sidelamb:status:j1", mapping=fields)
    async with caller(web_server) as http:
        page = await http.get("/job", params={"in": "kept", "jid": "j1"})
        assert page.status_code == 200
        assert SCRIPT not in page.text
        assert SCRIPT not in await found(http, "j1")


async def test_a_key_of_another_program_is_nothing_that_is_kept(
    db: redis.Redis, job: Any, client: Client, web_server: RedisServer
) -> None:
    @job(result_ttl=60)
    def work() -> None: ...

    jid = work.using(client=client).enqueue()
    db.delete(f"sidelamb:status:{jid}")
    db.set(f"sidelamb:status:{jid}", "x")
    async with caller(web_server) as http:
        assert "What it keeps" not in await found(http, jid)


@pytest.mark.parametrize("jid", ["", "x" * 1_000, "\ud800", "a b*", "\0", "j1\n"])
async def test_what_is_no_id_keeps_nothing(db: redis.Redis, web_server: RedisServer, jid: str) -> None:
    async with caller(web_server) as http:
        for path in ("/search", "/job"):
            said = quote(jid.encode(errors="surrogatepass"))
            answer = await http.get(f"{path}?q={said}&in=kept&jid={said}")
            assert answer.status_code == (200 if path == "/search" else 404)
