"""The service as a whole: start, stop, changed templates, schedules, and what it leaves behind (nothing)."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
import time

import pytest

from sidelamb_local.errors import ServiceStopped
from sidelamb_local.schedule import run_schedules
from sidelamb_local.service import LambdaService


async def test_a_stopped_service_leaves_no_process(serve, gone):
    local = await serve("spawn")
    pids = (await local.invoke("spawn")).body
    await local.service.stop()
    assert await gone(pids["pid"])
    assert await gone(pids["child"])


async def test_a_running_invocation_may_end_while_the_service_stops(serve, pipes):
    local = await serve("hold")
    running = asyncio.create_task(local.invoke("hold", {"folder": str(pipes)}))
    await asyncio.to_thread((pipes / "started").read_text)
    stopping = asyncio.create_task(local.service.stop(grace_s=5))
    await asyncio.to_thread((pipes / "word").write_text, "in time")
    assert (await running).body == "in time"
    await stopping


async def test_an_invocation_cut_off_by_a_stop_is_answered_as_unknown(serve, pipes):
    local = await serve("hold")
    running = asyncio.create_task(local.invoke("hold", {"folder": str(pipes)}))
    await asyncio.to_thread((pipes / "started").read_text)
    await local.service.stop(grace_s=0)
    reply = await running
    assert (reply.status, reply.body["Code"]) == (500, "ServiceException")


async def test_after_a_stop_nothing_is_run(serve):
    local = await serve("echo")
    await local.service.stop()
    with pytest.raises(ServiceStopped):
        await local.service.invoke("echo")


async def test_functions_come_change_and_go_with_the_template(serve, spec):
    local = await serve(spec("echo"), spec("count"))
    assert (await local.invoke("echo", 1)).body == 1
    changed = dataclasses.replace(spec("echo"), handler="app.tell", environment={"NEW": "yes"})
    local.service.update({"echo": changed, "fail": spec("fail")})
    assert (await local.invoke("echo")).body["env"]["NEW"] == "yes"
    assert (await local.invoke("fail")).body["errorType"] == "ValueError"
    assert (await local.invoke("count")).status == 404


async def test_the_log_of_each_function_has_a_file(serve, tmp_path):
    local = await serve("echo", "say", log_dir=tmp_path / "logs")
    await local.invoke("echo")
    await local.invoke("say", {})
    assert "REPORT RequestId" in (tmp_path / "logs" / "echo.log").read_text()
    assert "a line\n" in (tmp_path / "logs" / "say.log").read_text()


async def test_a_schedule_fires_after_its_first_period_and_again(serve, spec, until):
    local = await serve(spec("echo", schedule_s=0.2), "count")
    timer = asyncio.create_task(run_schedules(local.service))
    began = time.monotonic()
    await until(lambda: local.service.stats()["echo"].invocations == 2)
    assert time.monotonic() - began >= 0.4
    timer.cancel()
    assert local.service.stats()["count"].invocations == 0


async def test_a_port_that_is_taken_is_an_os_error(serve):
    local = await serve("echo")
    port = int(local.service.endpoint_url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        await LambdaService({}, port=port).start()


async def test_a_folder_that_has_gone_is_a_bad_gateway_and_not_a_crash(serve, spec, tmp_path):
    (tmp_path / "away").mkdir()
    local = await serve(spec("echo", code_dir=tmp_path / "away"))
    (tmp_path / "away").rmdir()
    reply = await local.invoke("echo")
    assert (reply.status, reply.body["Code"]) == (502, "EC2UnexpectedException")


async def test_a_warm_invocation_costs_milliseconds_not_tens_of_them(serve):
    """A guard against polling and Nagle, with room for a busy machine; the figures are in the benchmarks."""
    local = await serve("echo")
    await local.invoke("echo")
    host, port = local.service.endpoint_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    times = []
    for _ in range(100):
        began = time.perf_counter()
        writer.write(b"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"\r\n\r\n{}")
        times.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()
    assert statistics.median(times) < 0.005
