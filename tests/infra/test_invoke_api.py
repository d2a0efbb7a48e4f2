"""The Invoke API as its clients see it: statuses, headers, error bodies."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

PATH = "/2015-03-31/functions/{}/invocations"


async def post(local, path, body=b"{}", *, headers=None, read=True):
    """A request by hand, for what boto3 would not send; returns status, headers, body."""
    host, port = local.service.endpoint_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = {"Host": host, "Content-Length": str(len(body)), "Connection": "close"} | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    await writer.drain()
    answer = await reader.read() if read else b"HTTP/1.1 000 \r\n\r\n"
    writer.close()
    await writer.wait_closed()
    head, _, payload = answer.partition(b"\r\n\r\n")
    status, *rest = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in rest), payload


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        "EchoFunction",
        "echo:live",
        "123456789012:function:echo",
        "arn:aws:lambda:us-east-1:123456789012:function:echo",
        "arn:aws:lambda:us-east-1:123456789012:function:echo:live",
    ],
)
async def test_a_function_is_found_by_name_logical_id_qualifier_and_arn(serve, spec, name):
    local = await serve(spec("echo", logical_id="EchoFunction"))
    assert (await local.invoke(name, 1)).body == 1


async def test_an_unknown_function_is_not_found(serve):
    local = await serve("echo")
    reply = await local.invoke("other")
    assert (reply.status, reply.body["Code"]) == (404, "ResourceNotFoundException")
    assert reply.body["Message"] == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:other"
    status, headers, body = await post(local, PATH.format("other"))
    assert (status, headers["x-amzn-errortype"]) == (404, "resourcenotfoundexception")
    assert json.loads(body) == {"Type": "User", "Message": reply.body["Message"]}


async def test_an_event_is_accepted_and_runs_later(serve, pipes):
    local = await serve("hold")
    reply = await local.invoke("hold", {"folder": str(pipes), "done": True}, InvocationType="Event")
    assert (reply.status, reply.error) == (202, None)
    await asyncio.to_thread((pipes / "started").read_text)
    await asyncio.to_thread((pipes / "word").write_text, "now")
    assert await asyncio.to_thread((pipes / "done").read_text) == "now"


async def test_an_event_that_fails_is_not_repeated(serve, until):
    local = await serve("fail")
    await local.invoke("fail", {}, InvocationType="Event")
    await until(lambda: local.service.stats()["fail"].errors == 1)
    await local.invoke("fail")
    assert local.service.stats()["fail"].invocations == 2


async def test_events_wait_for_a_free_sandbox(serve, spec, until):
    local = await serve(spec("count", concurrency=1))
    for _ in range(5):
        assert (await local.invoke("count", {}, InvocationType="Event")).status == 202
    await until(lambda: local.service.stats()["count"].invocations == 5)
    assert local.service.stats()["count"].throttles == 0


async def test_a_dry_run_runs_nothing(serve):
    local = await serve("count")
    assert (await local.invoke("count", {}, InvocationType="DryRun")).status == 204
    assert local.service.stats()["count"].sandboxes == 0


async def test_the_log_comes_back_only_when_asked_for(serve):
    local = await serve("say")
    assert (await local.invoke("say", {})).tail == ""
    assert "a line" in (await local.invoke("say", {}, LogType="Tail")).tail


async def test_a_client_context_reaches_the_handler(serve):
    local = await serve("tell")
    context = base64.b64encode(json.dumps({"custom": {"tenant": "ü"}}).encode()).decode()
    assert (await local.invoke("tell", {}, ClientContext=context)).body["custom"] == {"tenant": "ü"}


@pytest.mark.parametrize("context", ["no base64!", base64.b64encode(b"[1]").decode(), "e30=" * 1000])
async def test_a_client_context_that_is_none_is_refused(serve, context):
    local = await serve("echo")
    status, headers, _ = await post(local, PATH.format("echo"), headers={"X-Amz-Client-Context": context})
    assert (status, headers["x-amzn-errortype"]) == (400, "invalidrequestcontentexception")


async def test_a_body_that_is_no_json_is_refused(serve):
    local = await serve("echo")
    reply = await local.invoke("echo", b"{not json")
    assert (reply.status, reply.body["Code"]) == (400, "InvalidRequestContentException")
    assert local.service.stats()["echo"].sandboxes == 0


async def test_no_body_is_an_empty_event(serve):
    local = await serve("echo")
    assert (await local.invoke("echo", b"")).body == {}


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6_291_456), ("Event", 1_048_576)])
async def test_a_request_beyond_the_limit_is_refused_before_anything_runs(serve, kind, limit):
    local = await serve("echo")
    reply = await local.invoke("echo", json.dumps("x" * (limit - 1)).encode(), InvocationType=kind)
    assert (reply.status, reply.body["Code"]) == (413, "RequestTooLargeException")
    assert local.service.stats()["echo"].sandboxes == 0


async def test_a_request_of_six_megabytes_is_taken(serve):
    local = await serve("big")
    reply = await local.invoke("big", {"size": 1, "padding": "x" * 6_291_400})
    assert reply.body == "x"


async def test_an_unknown_invocation_type_is_refused(serve):
    local = await serve("echo")
    status, headers, _ = await post(local, PATH.format("echo"), headers={"X-Amz-Invocation-Type": "Now"})
    assert (status, headers["x-amzn-errortype"]) == (400, "invalidparametervalueexception")


async def test_any_other_path_is_not_served(serve):
    local = await serve("echo")
    status, _, body = await post(local, "/2015-03-31/functions/echo")
    assert status == 404
    assert b"only Invoke" in body


async def test_beyond_its_reserved_concurrency_a_caller_is_throttled(serve, spec, pipes):
    local = await serve(spec("hold", concurrency=1))
    running = asyncio.create_task(local.invoke("hold", {"folder": str(pipes)}))
    await asyncio.to_thread((pipes / "started").read_text)
    throttled = await local.invoke("hold", {})
    await asyncio.to_thread((pipes / "word").write_text, "go on")
    assert (await running).body == "go on"
    assert (throttled.status, throttled.body["Code"]) == (429, "TooManyRequestsException")
    assert throttled.headers["retry-after"] == "1"
    status, _, body = await post(local, PATH.format("hold"), b"not run")
    assert (status, json.loads(body)["Type"]) == (400, "User")
    assert local.service.stats()["hold"].throttles == 1


@pytest.mark.parametrize(
    ("reserved", "reason"),
    [(None, "ConcurrentInvocationLimitExceeded"), (0, "ReservedFunctionConcurrentInvocationLimitExceeded")],
)
async def test_a_throttle_names_the_limit_that_was_hit(serve, spec, reserved, reason):
    local = await serve(spec("echo", concurrency=reserved), concurrency=0)
    status, headers, body = await post(local, PATH.format("echo"))
    assert (status, headers["x-amzn-errortype"]) == (429, "toomanyrequestsexception")
    assert json.loads(body) == {"Reason": reason, "Type": "User", "message": "Rate Exceeded."}


async def test_an_invocation_whose_caller_went_away_runs_to_its_end(serve, pipes, until):
    local = await serve("hold")
    event = json.dumps({"folder": str(pipes), "done": True}).encode()
    await post(local, PATH.format("hold"), event, read=False)
    await asyncio.to_thread((pipes / "started").read_text)
    await asyncio.to_thread((pipes / "word").write_text, "still here")
    assert await asyncio.to_thread((pipes / "done").read_text) == "still here"
    await until(lambda: local.service.stats()["hold"].invocations == 1)
