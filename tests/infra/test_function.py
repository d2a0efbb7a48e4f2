"""A function's sandboxes: how many, which one is next, and how they are replaced."""

from __future__ import annotations

import asyncio

import pytest


async def test_as_many_run_at_once_as_the_concurrency_says(serve, spec, tmp_path):
    (tmp_path / "meeting").mkdir()
    local = await serve(spec("meet", concurrency=4, timeout_s=10))
    event = {"folder": str(tmp_path / "meeting"), "n": 4}
    replies = await asyncio.gather(*(local.invoke("meet", event) for _ in range(4)))
    assert len({reply.body for reply in replies}) == 4
    assert local.service.stats()["meet"].sandboxes == 4


async def test_one_at_a_time_needs_one_sandbox_and_is_never_throttled(serve, spec):
    local = await serve(spec("count", concurrency=1))
    for _ in range(50):
        assert (await local.invoke("count")).status == 200
    stats = local.service.stats()["count"]
    assert (stats.invocations, stats.cold_starts, stats.sandboxes, stats.busy) == (50, 1, 1, 0)


async def test_the_sandbox_that_worked_last_works_next(serve, spec, tmp_path):
    (tmp_path / "meeting").mkdir()
    local = await serve(spec("meet", timeout_s=10))
    await asyncio.gather(*(local.invoke("meet", {"folder": str(tmp_path / "meeting"), "n": 3}) for _ in range(3)))
    pids = {(await local.invoke("meet", {"folder": str(tmp_path / "meeting"), "n": 1})).body for _ in range(5)}
    assert len(pids) == 1


async def test_new_code_runs_after_a_recycle(serve, spec, code):
    (code / "fresh.py").write_text("def handler(event, context): return 'old'")
    local = await serve(spec("fresh.handler"))
    assert (await local.invoke("fresh.handler")).body == "old"
    (code / "fresh.py").write_text("def handler(event, context): return 'the new one'")
    local.service.recycle()
    assert (await local.invoke("fresh.handler")).body == "the new one"


async def test_a_busy_sandbox_finishes_on_old_code_and_is_then_replaced(serve, spec, pipes, gone):
    local = await serve(spec("hold", concurrency=1), "count")
    running = asyncio.create_task(local.invoke("hold", {"folder": str(pipes)}))
    pid = int(await asyncio.to_thread((pipes / "started").read_text))
    local.service.recycle()
    await asyncio.to_thread((pipes / "word").write_text, "done on old code")
    assert (await running).body == "done on old code"
    assert await gone(pid)
    assert local.service.stats()["hold"].sandboxes == 0


async def test_the_counters_say_what_ran_and_what_it_would_cost(serve, spec):
    local = await serve(spec("echo", memory_mb=512), "fail")
    await local.invoke("echo")
    await local.invoke("echo")
    await local.invoke("fail")
    echo, fail = local.service.stats()["echo"], local.service.stats()["fail"]
    assert (echo.invocations, echo.errors, echo.cold_starts) == (2, 0, 1)
    assert (fail.invocations, fail.errors) == (1, 1)
    assert echo.billed_ms >= 2
    assert echo.gb_s == pytest.approx(echo.billed_ms / 1000 * 0.5)
