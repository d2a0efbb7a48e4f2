"""Lambda's Invoke API over HTTP, against a server that says what each case needs."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from sidelamb.errors import ConfigError
from sidelamb_handlers.poller.invoker import HttpInvoker
from sidelamb_handlers.poller.reply import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

ANSWER = {"sidelamb": 1, "lease": "c:1", "status": "settled", "ran": 1, "ms": 2.0}


class Lambda:
    """A server that notes what it is asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.ok

    async def ok(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(ANSWER, headers={"x-amzn-requestid": "abc"})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, request.raw_path, headers, body))
        return await self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Lambda, str]]:
    made = Lambda()
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield made, f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return monkeypatch


@pytest.fixture
async def invoker(server: tuple[Lambda, str], environment: pytest.MonkeyPatch) -> AsyncIterator[HttpInvoker]:
    environment.setenv("AWS_ENDPOINT_URL_LAMBDA", server[1])
    made = await HttpInvoker.open()
    yield made
    await made.close()


async def test_an_event_is_posted_once_signed_and_its_answer_read(invoker, server):
    event = b'{"sidelamb":1,"jobs":[{"x":"\xc3\xa9"}]}'
    reply = await invoker.invoke("app-worker", event, timeout=5)
    ((method, path, headers, body),) = server[0].requests
    assert (method, path) == ("POST", "/2015-03-31/functions/app-worker/invocations")
    assert body == event
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-central-1/lambda/aws4_request" in headers["authorization"]
    assert (reply.kind, reply.request_id) == (Kind.ANSWERED, "abc")
    assert reply.answer is not None
    assert reply.answer.lease == "c:1"


async def test_a_function_may_be_named_by_its_arn_or_with_a_version(invoker, server):
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:app:live"
    await invoker.invoke(arn, b"{}", timeout=5)
    assert server[0].requests[0][1] == f"/2015-03-31/functions/{arn.replace(':', '%3A')}/invocations"


async def test_connections_are_used_again(invoker, server):
    peers: set[Any] = set()

    async def ok(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response(ANSWER)

    server[0].answer = ok
    for _ in range(5):
        await invoker.invoke("f", b"{}", timeout=5)
    assert len(peers) == 1


async def test_many_fly_at_once(invoker, server):
    met = asyncio.Barrier(200)

    async def together(request: web.Request) -> web.StreamResponse:
        await asyncio.wait_for(met.wait(), 10)
        return web.json_response(ANSWER)

    server[0].answer = together
    replies = await asyncio.gather(*(invoker.invoke("f", b"{}", timeout=20) for _ in range(200)))
    assert {reply.kind for reply in replies} == {Kind.ANSWERED}


@pytest.mark.parametrize("warm", [False, True])
async def test_a_connection_that_breaks_before_the_answer_is_told_and_nothing_is_sent_again(invoker, server, warm):
    if warm:
        await invoker.invoke("f", b"{}", timeout=5)

    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server[0].answer = hang_up
    reply = await invoker.invoke("f", b'{"once":1}', timeout=5)
    assert reply.kind is Kind.UNKNOWN
    assert [body for *_, body in server[0].requests].count(b'{"once":1}') == 1


async def test_an_answer_that_does_not_come_in_time_is_told(invoker, server):
    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.Response()

    server[0].answer = never
    began = time.monotonic()
    reply = await invoker.invoke("f", b"{}", timeout=0.1)
    assert (reply.kind, time.monotonic() - began < 0.9) == (Kind.UNKNOWN, True)
    assert "TimeoutError" in reply.message
    assert len(server[0].requests) == 1


async def test_nobody_there_is_told(environment):
    environment.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    invoker = await HttpInvoker.open()
    reply = await invoker.invoke("f", b"{}", timeout=5)
    await invoker.close()
    assert reply.kind is Kind.UNKNOWN
    assert "no answer from Lambda" in reply.message


async def test_throttles_and_errors_of_functions_come_through(invoker, server):
    async def throttled(request: web.Request) -> web.StreamResponse:
        body = json.dumps({"Reason": "CallerRateLimitExceeded", "message": "slow down"})
        return web.Response(status=429, body=body, headers={"x-amzn-ErrorType": "TooManyRequestsException"})

    async def failed(request: web.Request) -> web.StreamResponse:
        body = json.dumps({"errorType": "Runtime.ExitError", "errorMessage": "gone"})
        return web.Response(body=body, headers={"X-Amz-Function-Error": "Unhandled", "X-Amzn-RequestId": "r9"})

    server[0].answer = throttled
    assert (await invoker.invoke("f", b"{}", timeout=5)).kind is Kind.RATE_LIMITED
    server[0].answer = failed
    reply = await invoker.invoke("f", b"{}", timeout=5)
    assert (reply.kind, reply.request_id) == (Kind.SANDBOX_GONE, "r9")


async def test_without_a_region_it_says_what_to_set(environment):
    environment.delenv("AWS_REGION")
    with pytest.raises(ConfigError, match="set AWS_REGION, or a region in your profile"):
        await HttpInvoker.open()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AWS_ENDPOINT_URL_LAMBDA", "nonsense", "Invalid endpoint: nonsense; look at AWS_ENDPOINT_URL_LAMBDA"),
        ("AWS_PROFILE", "nobody", r"profile \(nobody\) could not be found; look at .*AWS_PROFILE"),
    ],
)
async def test_a_setting_of_aws_that_is_wrong_is_named(environment, variable, value, says):
    environment.setenv(variable, value)
    with pytest.raises(ConfigError, match=says):
        await HttpInvoker.open()


async def test_credentials_that_cannot_be_fetched_are_one_line(environment, tmp_path):
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "config").write_text("[default]\ncredential_process = /bin/false\n")
    with pytest.raises(ConfigError, match="Error when retrieving credentials from custom-process") as told:
        await HttpInvoker.open()
    assert "\n" not in str(told.value)


async def test_without_credentials_it_says_what_to_set(environment):
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="no AWS credentials were found; set AWS_PROFILE"):
        await HttpInvoker.open()
