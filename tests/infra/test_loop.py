"""The pure-Python runtime client gives the answers that AWS's own gives."""

from __future__ import annotations

import json

import pytest

CASES = [
    ("echo", {"a": [1, 2.5, "ü", None, True]}),
    ("fail", {}),
    ("strange", {}),
    ("nothing", {}),
    ("nowhere.handler", {}),
    ("broken.handler", {}),
    ("raises.handler", {}),
    ("leave", {"status": 3}),
    ("sys_exit", {"status": 4}),
    ("segfault", {}),
    ("big", {"size": 7_000_000}),
]


@pytest.fixture(autouse=True)
def modules(code):
    (code / "broken.py").write_text("def handler(:\n")
    (code / "raises.py").write_text("raise RuntimeError('not today')")


@pytest.mark.parametrize(("handler", "event"), CASES, ids=[name for name, _ in CASES])
async def test_it_answers_as_awslambdaric_does(serve, spec, handler, event):
    bodies = []
    for env in ({}, {"SIDELAMB_RUNTIME": "python"}):
        local = await serve(spec(handler), extra_env=env)
        reply = await local.invoke(handler, event)
        bodies.append((reply.status, reply.error, _without_request_id(reply)))
    assert bodies[0] == bodies[1]


def _without_request_id(reply):
    return json.loads(json.dumps(reply.body).replace(reply.headers["x-amzn-requestid"], "ID"))


async def test_it_really_is_the_loop(serve, spec, code):
    (code / "which.py").write_text("import sys\ndef handler(e, c): return 'awslambdaric' in sys.modules")
    ours = await serve(spec("which.handler"), extra_env={"SIDELAMB_RUNTIME": "python"})
    awss = await serve(spec("which.handler"))
    assert (await ours.invoke("which.handler")).body is False
    assert (await awss.invoke("which.handler")).body is True


async def test_its_context_has_what_a_handler_may_ask_for(serve, spec):
    told = []
    for env in ({}, {"SIDELAMB_RUNTIME": "python"}):
        local = await serve(spec("tell", timeout_s=5), extra_env=env)
        reply = await local.invoke("tell", {}, ClientContext="eyJjdXN0b20iOiB7ImEiOiAxfX0=")
        assert 4_000 < reply.body["remaining"] <= 5_000
        assert reply.body["request_id"] == reply.headers["x-amzn-requestid"]
        told.append({key: reply.body[key] for key in ("name", "arn", "memory", "group", "custom", "cwd", "path")})
    assert told[0] == told[1]


async def test_its_log_lines_carry_the_request_id(serve, spec):
    local = await serve("say", extra_env={"SIDELAMB_RUNTIME": "python"})
    reply = await local.invoke("say", {}, LogType="Tail")
    lines = reply.tail.splitlines()
    assert lines[1].endswith(f"\t{reply.headers['x-amzn-requestid']}\ta warning")
    assert lines[2:4] == ["a line", "an error line"]


async def test_it_freezes_and_keeps_its_state_too(serve, state, until):
    local = await serve("count", extra_env={"SIDELAMB_RUNTIME": "python"})
    first = (await local.invoke("count")).body
    await until(lambda: state(first["pid"]) == "T")
    assert (await local.invoke("count")).body == {"calls": 2, "pid": first["pid"]}
