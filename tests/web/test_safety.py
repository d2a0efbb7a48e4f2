"""Who gets in, who may act, what a form needs, and what no input does."""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import RedirectResponse

from sidelamb import Client, ConfigError
from sidelamb_handlers.web import Visitor, anyone, by_password, web
from sidelamb_handlers.web.app import FENCE
from sidelamb_handlers.web.finding import digest
from sidelamb_local.errors import LocalStackError
from sidelamb_local.web_command import server_for
from tests.handlers.kit import everything
from tests.web.hostile import TEXTS, addresses, everywhere
from tests.web.scan import fields, routes
from tests.web.stand import HOSTILE, SCRIPT, SHOWN, entries, fill

if TYPE_CHECKING:
    import redis

    from sidelamb_local.redis_server import RedisServer

PAGES = (
    *SHOWN,
    "/retries?q=x",
    "/dead?q=*",
    "/metric?name=big",
    "/batch?bid=bad1",
    "/batch?bid=bad3",
    *(f"/periodic/one?name={name}" for name in ("raw", "list", "odd")),
    "/guards?q=lock1",
    "/search?q=*",
    "/search?q=s3cr3t",
    "/lease?id=default:<scr20",
)
PASSWORD = "anna:correct horse battery"


def caller(server: RedisServer, **options: Any) -> httpx.AsyncClient:
    app = web(Client(server.url), **{"auth": anyone, **options})
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=True), base_url="http://localhost"
    )


async def token(http: httpx.AsyncClient, **headers: str) -> str:
    answer = await http.get("/about", headers=headers)
    found = re.search(r'name="token" value="(\w+)"', answer.text)
    assert found
    return found[1]


async def act(
    http: httpx.AsyncClient, path: str, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    return await http.post(path, data={"token": await token(http, **(headers or {})), **fields}, headers=headers)


def test_nobody_deciding_is_refused_before_anything_is_served(web_server: RedisServer) -> None:
    with pytest.raises(ConfigError, match="auth="):
        web(Client(web_server.url))


@pytest.mark.parametrize("credential", ["", "anna", "anna:short", ":a long enough one"])
def test_a_weak_credential_is_refused(credential: str) -> None:
    with pytest.raises(ConfigError, match="12 characters"):
        by_password(credential)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_alone_on_an_address_that_others_reach_it_needs_a_credential(
    web_server: RedisServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.delenv("SIDELAMB_WEB_CREDENTIAL", raising=False)
    with pytest.raises(LocalStackError, match="SIDELAMB_WEB_CREDENTIAL"):
        server_for(Client(web_server.url), host=host, port=0)


def test_alone_on_loopback_it_needs_none_and_takes_the_next_port(
    web_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIDELAMB_WEB_CREDENTIAL", raising=False)
    _, first = server_for(Client(web_server.url), host="127.0.0.1", port=None)
    _, second = server_for(Client(web_server.url), host="127.0.0.1", port=None)
    with first, second:
        assert first.getsockname()[1] != second.getsockname()[1]
        with pytest.raises(LocalStackError, match="cannot listen"):
            server_for(Client(web_server.url), host="127.0.0.1", port=first.getsockname()[1])


async def test_another_sites_name_that_leads_here_gets_nothing(
    filled: redis.Redis, web_server: RedisServer
) -> None:
    async with caller(web_server) as http:
        answer = await http.get("http://evil.example/retries")
        assert answer.status_code == 421
        assert "shop.charge" not in answer.text


async def test_a_password_lets_in_and_nothing_else_does(filled: redis.Redis, web_server: RedisServer) -> None:
    async with caller(web_server, auth=by_password(PASSWORD)) as http:
        for header in (
            {},
            {"Authorization": "Basic !!"},
            {"Authorization": "Basic " + base64.b64encode(b"anna:no").decode()},
        ):
            for path in ("/", "/retries", "/nowhere"):
                answer = await http.get(path, headers=header)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Basic")
            assert (
                await http.post("/queues", data={"do": "clear", "name": "mail"}, headers=header)
            ).status_code == 401
        good = {"Authorization": "Basic " + base64.b64encode(PASSWORD.encode()).decode()}
        assert (await http.get("/retries", headers=good)).status_code == 200
    assert filled.llen("queue:mail")


async def test_the_host_apps_callable_decides_who_sees_and_who_acts(
    filled: redis.Redis, web_server: RedisServer
) -> None:
    async def auth(request: Any) -> Any:
        who = request.headers.get("who")
        if who is None:
            return RedirectResponse("/login")
        return {"boss": Visitor("boss"), "guest": Visitor("guest", may_act=False)}.get(who)

    async with caller(web_server, auth=auth) as http:
        assert (await http.get("/")).headers["location"] == "/login"
        assert (await http.get("/", headers={"who": "stranger"})).status_code == 403
        assert (await http.get("/queues", headers={"who": "guest"})).text.count("Pause") == 0
        refused = await act(http, "/queues", {"who": "guest"}, do="clear", name="mail")
        assert refused.status_code == 403
        assert filled.llen("queue:mail")
        assert (await act(http, "/queues", {"who": "boss"}, do="clear", name="mail")).status_code == 303
        assert not filled.llen("queue:mail")


async def test_read_only_is_read_only_for_all(filled: redis.Redis, web_server: RedisServer) -> None:
    async with caller(web_server, read_only=True) as http:
        for path in (
            "/queues",
            "/queue",
            "/retries",
            "/retries/all",
            "/dead",
            "/job",
            "/busy",
            "/batch",
            "/periodic",
            "/guards",
            "/limit",
        ):
            assert (await act(http, path, do="delete", name="mail")).status_code == 403, path
        assert "read only" in (await http.get("/")).text
        assert (await act(http, "/theme", theme="dark", back="/")).status_code == 303


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin", "origin": "http://proxied.example"}, True),
        ({"origin": "http://localhost"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
    ],
)
async def test_a_form_of_another_site_changes_nothing(
    filled: redis.Redis, web_server: RedisServer, headers: dict[str, str], good: bool
) -> None:
    async with caller(web_server) as http:
        fields = {"token": await token(http), "do": "pause", "name": "mail"}
        answer = await http.post("/queues", data=fields, headers=headers)
        assert (answer.status_code == 303) is good
        assert bool(filled.sismember("paused", "mail")) is good


async def test_a_form_needs_the_browsers_own_token(filled: redis.Redis, web_server: RedisServer) -> None:
    async with caller(web_server) as http:
        ours = await token(http)
        cookie = http.cookies.jar
        assert all(c.has_nonstandard_attr("HttpOnly") and c.get_nonstandard_attr("SameSite") for c in cookie)
        for said in ("", "0" * 32, ours[:-1], "é" * 32):
            assert (
                await http.post("/queues", data={"token": said, "do": "pause", "name": "mail"})
            ).status_code == 403
    async with caller(web_server) as stranger:
        assert (
            await stranger.post("/queues", data={"token": ours, "do": "pause", "name": "mail"})
        ).status_code == 403
    assert not filled.sismember("paused", "mail")


@pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/job", "/static/app.css", "/static/../app.py", "/theme"])
async def test_every_answer_is_fenced_in_and_nothing_is_inline(
    filled: redis.Redis, web_server: RedisServer, path: str
) -> None:
    async with caller(web_server) as http:
        answer = await http.get(path)
        for name, value in FENCE.items():
            assert answer.headers[name] == value
        assert "'unsafe" not in answer.headers["content-security-policy"]
        assert answer.status_code < 500
        if answer.headers["content-type"].startswith("text/html"):
            assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text)
            assert answer.headers["cache-control"] == "no-store"


async def test_no_page_prints_encrypted_arguments(filled: redis.Redis, web_server: RedisServer) -> None:
    async with caller(web_server) as http:
        for path in ("/retries", "/retries?q=secret.job"):
            text = (await http.get(path)).text
            assert "encrypted" in text
            assert "s3cr3t" not in text
        for key in entries(filled, "retry"):
            answer = await http.get("/job", params={"in": "retries", "key": key})
            assert answer.status_code == 200
            assert "s3cr3t" not in answer.text


async def test_every_page_survives_all_ten(filled: redis.Redis, web_server: RedisServer) -> None:
    assert len(HOSTILE) == 10
    async with caller(web_server) as http:
        for path in PAGES:
            answer = await http.get(path)
            assert answer.status_code == 200, path
            assert SCRIPT not in answer.text, path
            assert len(answer.content) < 400_000, path
        for place, key_of in (("retries", "retry"), ("scheduled", "schedule"), ("dead", "dead")):
            for key in entries(filled, key_of):
                answer = await http.get("/job", params={"in": place, "key": key})
                assert answer.status_code == 200, key
                assert SCRIPT not in answer.text


async def test_ten_texts_in_every_name_break_no_page(db: redis.Redis, web_server: RedisServer) -> None:
    """Each is a class, an argument, a queue, an error, a tag, a process, a batch, a periodic job, a limit, a lock.

    /search, unasked, shows nobody's words, and /metrics at an hour's beginning nobody's either.
    """
    assert len(TEXTS) == 10
    everywhere(db, web_server.url, time.time(), time.time() + 600, "low")
    paths = [path for path in PAGES if "=" not in path or "by=" in path] + ["/queue?name=low"]
    quiet = [path for path in paths if path.startswith(("/search", "/metrics"))]
    async with caller(web_server) as http:
        for path in (*paths, *(one for text in TEXTS for one in addresses(text))):
            answer = await http.get(path)
            assert answer.status_code in ({200} if path in paths else {200, 400, 404}), path
            assert "set-cookie: a=b" not in str(answer.headers)
            for text in TEXTS[:5]:
                assert text not in answer.text.replace("&#39;", ""), (path, text)
            assert not re.search(r'(?i)href="javascript|<img|<svg onload', answer.text), path
            assert "<bdi>" in answer.text or path not in paths or path in quiet, path


HOSTILE_TEXTS = (
    "-1",
    "9" * 30,
    "1e309",
    "nan",
    "../..",
    "%00",
    "\x00",
    "\ud800",
    SCRIPT,
    "*" * 50,
    "x" * 5_000,
    "eJwDAAAAAAE=",
    "inf~0",
    "nan~0",
    "1.0~",
    "//evil.example",
    "\r\nset-cookie: a=b",
    "[" * 3_000,
    '{"a":1}',
    "queue:mail",
    "lease:",
    "9999-12-31T23:59",
    "0001-01-01T00:00",
    "reschedule",
    "[1]",
)
VALUES = st.one_of(st.sampled_from(HOSTILE_TEXTS), st.text(max_size=40), st.integers().map(str))


@pytest.fixture(scope="module")
def fuzzed(web_server: RedisServer) -> Any:
    import redis

    with redis.Redis.from_url(web_server.url) as client:
        client.flushall()
        fill(client, 3)
    return web(Client(web_server.url), auth=anyone)


@pytest.mark.parametrize(("path", "method"), [*routes(), ("/x", "GET"), ("/x", "POST")])
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(fields=st.dictionaries(st.sampled_from(fields()), VALUES, max_size=6))
async def test_whatever_a_path_is_asked_or_sent_nothing_breaks(
    fuzzed: Any, path: str, method: str, fields: dict[str, str]
) -> None:
    sent = {name: value.encode(errors="surrogatepass") for name, value in fields.items()}
    transport = httpx.ASGITransport(app=fuzzed, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        if method == "POST":
            body = urlencode({**sent, "token": (await token(http)).encode()})
            form = {"content-type": "application/x-www-form-urlencoded"}
            answer = await http.post(path, content=body, headers=form)
        else:
            answer = await http.get(f"{path}?{urlencode(sent)}")
    assert answer.status_code < 500, (path, fields, answer.text[:2000])
    if answer.status_code == 303:
        assert re.match(r"/(?![/\\])", answer.headers["location"])
    assert "set-cookie: a=b" not in str(answer.headers)


@pytest.mark.parametrize("do", ["", "explode"])
@pytest.mark.parametrize(
    ("path", "about"),
    [
        ("/queues", {"name": "mail"}),
        ("/queue", {"name": "mail"}),
        ("/busy", {}),
        ("/periodic", {"name": "cache.warm"}),
        ("/limit", {"kind": "concurrent", "name": "bank"}),
        ("/retries", {}),
        ("/retries/all", {}),
    ],
)
async def test_a_form_that_does_not_say_what_to_do_does_nothing(
    filled: redis.Redis, web_server: RedisServer, path: str, about: dict[str, str], do: str
) -> None:
    before = everything(filled)
    async with caller(web_server) as http:
        assert (await act(http, path, **about, do=do)).status_code == 400
    assert everything(filled) == before


@pytest.mark.parametrize(
    ("path", "allowed"), [("/", "GET"), ("/queues", "GET POST"), ("/retries/all", "POST"), ("/nowhere", "")]
)
async def test_a_method_that_there_is_none_of_is_told_which_there_are(
    db: redis.Redis, web_server: RedisServer, path: str, allowed: str
) -> None:
    async with caller(web_server) as http:
        for method in ("OPTIONS", "PUT", "DELETE"):
            answer = await http.request(method, path)
            assert answer.status_code == (405 if allowed else 404)
            said = set(re.findall(r"\w+", answer.headers.get("allow", "")))
            assert said - {"HEAD"} == set(allowed.split())
        answer = await http.head(path)
        assert (answer.status_code, answer.content) == ({"": 404, "POST": 405}.get(allowed, 200), b"")


async def test_a_form_beyond_all_bounds_is_refused(filled: redis.Redis, web_server: RedisServer) -> None:
    async with caller(web_server) as http:
        assert (await http.post("/queues", content=b"a=" + b"x" * 17_000_000)).status_code == 413
        assert (await http.post("/queues", content=b"&".join([b"a=1"] * 3_000))).status_code == 413
        assert (await http.put("/queues")).status_code == 405


async def test_without_redis_pages_say_so(web_server: RedisServer) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=web(Client("redis://127.0.0.1:1/0"), auth=anyone)),
        base_url="http://localhost",
    ) as http:
        answer = await http.get("/")
        assert answer.status_code == 503
        assert "Redis" in answer.text


async def test_every_action_is_audited(
    filled: redis.Redis, web_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    filled.flushall()
    fill(filled, 6, hostile=False)
    keys = {name: list(entries(filled, name)) for name in ("retry", "dead", "schedule")}
    limit = {"kind": "concurrent", "name": "bank"}
    (holder,) = filled.zrange("sidelamb:limit:concurrent:bank", 0, 0)
    waiting = digest(filled.lindex("queue:media", 0))
    bid = filled.zrange("sidelamb:batches", 0, 0)[0].decode()
    caplog.set_level(logging.INFO, logger="sidelamb.web.audit")
    expected, acted = [], {"/theme"}  # which changes nothing but what its visitor sees
    async with caller(web_server) as http:
        for path, action, fields in (
            ("/queues", "queue.pause", {"name": "mail", "do": "pause"}),
            ("/queues", "queue.resume", {"name": "mail", "do": "resume"}),
            ("/retries", "job.retry", {"do": "retry", "key": keys["retry"][0]}),
            ("/retries", "job.kill", {"do": "kill", "key": keys["retry"][1]}),
            ("/retries", "job.delete", {"do": "delete", "key": keys["retry"][2]}),
            ("/retries", "job.reschedule", {"do": "reschedule", "in": "600", "key": keys["retry"][3]}),
            ("/scheduled/all", "job.reschedule", {"do": "reschedule", "at": "2040-01-31T06:00"}),
            ("/scheduled", "job.retry", {"do": "retry", "key": keys["schedule"][0]}),
            ("/dead", "job.delete", {"do": "delete", "key": keys["dead"][0]}),
            ("/job", "job.retry", {"in": "dead", "key": keys["dead"][1], "args": "[5]", "queue": "mail"}),
            ("/dead/all", "job.retry", {"do": "retry", "q": "shop"}),
            ("/busy", "process.quiet", {"do": "quiet", "identity": "ip-10-0-1-17:1:9f2c4a"}),
            ("/busy", "process.stop", {"do": "stop"}),
            ("/retries/all", "job.kill", {"do": "kill"}),
            ("/scheduled/all", "job.delete", {"do": "delete"}),
            ("/queue", "job.delete", {"name": "media", "key": waiting, "do": "delete"}),
            ("/batch", "batch.cancel", {"bid": bid}),
            ("/periodic", "periodic.pause", {"name": "cache.warm", "do": "pause"}),
            ("/periodic/one", "periodic.resume", {"name": "cache.warm", "do": "resume"}),
            ("/periodic", "periodic.run", {"name": "cache.warm", "do": "run"}),
            ("/limit", "limit.release", {**limit, "member": holder.decode(), "do": "release"}),
            ("/limit", "limit.reset", {**limit, "do": "reset"}),
            ("/guards", "lock.release", {"key": f"shop.charge:{0:032x}", "jid": "lock0"}),
            ("/queues", "queue.clear", {"name": "mail", "do": "clear"}),
        ):
            if path == "/scheduled":
                fields["key"] = next(entries(filled, "schedule"))
            answer = await act(http, path, **fields)
            assert answer.status_code in {200, 303}, (path, fields)
            expected.append(action)
            acted.add(path)
    assert acted == {path for path, method in routes() if method == "POST"}
    lines = [json.loads(record.message) for record in caplog.records if record.name == "sidelamb.web.audit"]
    assert [line["audit"] for line in lines] == expected
    assert all(line["who"] == "local" and line["count"] > 0 and line["what"] for line in lines), lines
