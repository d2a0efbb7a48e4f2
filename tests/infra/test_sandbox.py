"""What becomes of an invocation: a response, an error, or the end of its process, in AWS's words."""

from __future__ import annotations

import asyncio
import os
import time

import pytest


def exit_message(reply, reason):
    return f"RequestId: {reply.headers['x-amzn-requestid']} Error: Runtime exited with error: {reason}"


async def test_a_handler_gets_the_event_and_its_result_is_the_answer(serve):
    local = await serve("echo")
    reply = await local.invoke("echo", {"a": [1, "ü", None]})
    assert (reply.status, reply.error, reply.body) == (200, None, {"a": [1, "ü", None]})
    assert reply.headers["x-amz-executed-version"] == "$LATEST"


async def test_what_a_handler_raises_is_reported_with_its_trace(serve):
    local = await serve("fail")
    reply = await local.invoke("fail")
    assert (reply.status, reply.error) == (200, "Unhandled")
    assert reply.body["errorType"] == "ValueError"
    assert reply.body["errorMessage"] == "it does not work"
    assert reply.body["requestId"] == reply.headers["x-amzn-requestid"]
    assert "in fail" in reply.body["stackTrace"][0]


async def test_a_trace_of_a_thousand_frames_arrives(serve):
    local = await serve("recurse")
    reply = await local.invoke("recurse")
    assert reply.body["errorType"] == "RecursionError"
    assert "more times" in reply.body["stackTrace"][-1]


async def test_an_invocation_beyond_its_timeout_is_ended_and_the_process_with_it(serve, spec, gone):
    local = await serve(spec("wait", timeout_s=0.3), spec("count"))
    began = time.monotonic()
    reply = await local.invoke("wait", {"s": 30}, LogType="Tail")
    assert time.monotonic() - began < 3
    assert (reply.status, reply.error) == (200, "Unhandled")
    message = f"RequestId: {reply.headers['x-amzn-requestid']} Error: Task timed out after 0.30 seconds"
    assert reply.body == {"errorType": "Sandbox.Timedout", "errorMessage": message}
    assert "Status: timeout" in reply.tail


async def test_a_killed_process_is_gone_before_its_caller_hears_of_it(serve, spec, pipes, state):
    local = await serve(spec("hold", timeout_s=0.5))
    running = asyncio.create_task(local.invoke("hold", {"folder": str(pipes)}))
    pid = int(await asyncio.to_thread((pipes / "started").read_text))
    assert (await running).body["errorType"] == "Sandbox.Timedout"
    with pytest.raises(FileNotFoundError):
        state(pid)


@pytest.mark.parametrize("how", ["leave", "sys_exit"])
async def test_a_handler_that_exits_is_an_exit_error(serve, how):
    local = await serve(how)
    reply = await local.invoke(how, {"status": 7})
    assert (reply.status, reply.error) == (200, "Unhandled")
    assert reply.body == {"errorType": "Runtime.ExitError", "errorMessage": exit_message(reply, "exit status 7")}


async def test_an_exit_without_a_status_gives_no_reason(serve):
    local = await serve("leave")
    reply = await local.invoke("leave", {"status": 0})
    assert reply.body["errorMessage"].endswith("Error: Runtime exited without providing a reason")


async def test_a_segmentation_fault_is_an_exit_error_with_its_signal(serve):
    local = await serve("segfault")
    reply = await local.invoke("segfault")
    assert reply.body["errorMessage"] == exit_message(reply, "signal: segmentation fault")


@pytest.mark.parametrize("how", ["hog", "spike", "child_hog"])
async def test_more_memory_than_the_function_has_is_out_of_memory(serve, spec, how):
    local = await serve(spec(how, memory_mb=128, timeout_s=20))
    reply = await local.invoke(how)
    assert (reply.status, reply.error) == (200, "Unhandled")
    assert reply.body == {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": exit_message(reply, "signal: killed"),
    }


async def test_a_response_over_six_megabytes_is_an_error(serve):
    local = await serve("big")
    reply = await local.invoke("big", {"size": 6_291_556})
    assert reply.error == "Unhandled"
    assert reply.body["errorType"] == "Function.ResponseSizeTooLarge"
    assert "(6291556 bytes)" in reply.body["errorMessage"]


async def test_a_response_of_six_megabytes_arrives(serve):
    local = await serve("big")
    reply = await local.invoke("big", {"size": 6_291_500})
    assert (reply.error, len(reply.body)) == (None, 6_291_500)


async def test_a_result_that_is_no_json_is_a_marshal_error(serve):
    local = await serve("strange")
    reply = await local.invoke("strange")
    assert (reply.error, reply.body["errorType"]) == ("Unhandled", "Runtime.MarshalError")


async def test_a_module_that_cannot_be_imported_is_reported_each_time(serve, spec):
    local = await serve(spec("nowhere.handler"))
    for _ in range(2):
        reply = await local.invoke("nowhere.handler")
        assert (reply.status, reply.error) == (200, "Unhandled")
        assert reply.body["errorType"] == "Runtime.ImportModuleError"
        assert reply.body["errorMessage"] == "Unable to import module 'nowhere': No module named 'nowhere'"
        assert reply.body["requestId"] == reply.headers["x-amzn-requestid"]


async def test_a_missing_handler_is_reported(serve):
    local = await serve("nothing")
    reply = await local.invoke("nothing")
    assert reply.body["errorType"] == "Runtime.HandlerNotFound"


async def test_a_module_that_raises_or_exits_at_import_is_reported(serve, spec, code):
    (code / "raises.py").write_text("raise RuntimeError('not today')")
    (code / "exits.py").write_text("import os; os._exit(3)")
    local = await serve(spec("raises.handler"), spec("exits.handler"))
    raised, exited = await local.invoke("raises.handler"), await local.invoke("exits.handler")
    assert (raised.body["errorType"], raised.body["errorMessage"]) == ("RuntimeError", "not today")
    assert exited.body == {"errorType": "Runtime.ExitError", "errorMessage": exit_message(exited, "exit status 3")}


async def test_a_function_works_again_once_its_module_can_be_imported(serve, spec, code):
    local = await serve(spec("late.handler"))
    assert (await local.invoke("late.handler")).error == "Unhandled"
    (code / "late.py").write_text("def handler(event, context): return 'here'")
    assert (await local.invoke("late.handler")).body == "here"


async def test_the_invocation_after_a_crash_gets_a_new_process(serve, spec):
    local = await serve(spec("leave", concurrency=1))
    for status in (3, 4):
        reply = await local.invoke("leave", {"status": status})
        assert reply.body["errorMessage"] == exit_message(reply, f"exit status {status}")


async def test_a_sandbox_keeps_its_state_between_invocations(serve):
    local = await serve("count")
    replies = [(await local.invoke("count")).body for _ in range(3)]
    assert [reply["calls"] for reply in replies] == [1, 2, 3]
    assert len({reply["pid"] for reply in replies}) == 1


async def test_an_idle_sandbox_is_frozen_and_works_when_thawed(serve, state, until):
    local = await serve("count")
    first = (await local.invoke("count")).body
    await until(lambda: state(first["pid"]) == "T")
    second = (await local.invoke("count")).body
    assert second == {"calls": 2, "pid": first["pid"]}


async def test_what_a_job_spawned_is_frozen_with_it_and_dies_with_it(serve, state, until, gone):
    local = await serve("spawn")
    pids = (await local.invoke("spawn")).body
    await until(lambda: state(pids["child"]) == "T")
    local.service.recycle()
    assert await gone(pids["pid"])
    assert await gone(pids["child"])


async def test_a_sandbox_that_died_while_idle_is_replaced_unseen(serve, until):
    local = await serve("count")
    first = (await local.invoke("count")).body
    os.kill(first["pid"], 9)
    await until(lambda: local.service.stats()["count"].sandboxes == 0)
    second = await local.invoke("count")
    assert (second.error, second.body["calls"]) == (None, 1)
    assert second.body["pid"] != first["pid"]


async def test_the_environment_is_that_of_lambda_and_little_else(serve, spec, code, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THIS_MACHINE", "x")
    given = {"SHARED": "template", "OWN": "template", "AWS_LAMBDA_LOG_FORMAT": "JSON"}
    local = await serve(
        spec("tell", timeout_s=9, memory_mb=256, environment=given), extra_env={"SHARED": "extra", "MORE": "extra"}
    )
    reply = await local.invoke("tell")
    told, env = reply.body, reply.body["env"]
    assert 8_000 < told["remaining"] <= 9_000
    assert told["request_id"] == reply.headers["x-amzn-requestid"]
    assert (told["name"], told["memory"], told["group"]) == ("tell", "256", "/aws/lambda/tell")
    assert told["arn"].endswith(":function:tell")
    assert "[$LATEST]" in told["stream"]
    assert (told["cwd"], told["path"], env["LAMBDA_TASK_ROOT"]) == (str(code), str(code), str(code))
    assert (env["SHARED"], env["OWN"], env["MORE"]) == ("extra", "template", "extra")
    assert (env["_HANDLER"], env["AWS_REGION"]) == ("app.tell", "us-east-1")
    assert env["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "AWS_LAMBDA_LOG_FORMAT" not in env
    assert "SECRET_OF_THIS_MACHINE" not in env


async def test_the_log_has_awss_lines_around_what_was_printed(serve):
    local = await serve("say")
    reply = await local.invoke("say", {}, LogType="Tail")
    lines = reply.tail.splitlines()
    request_id = reply.headers["x-amzn-requestid"]
    assert lines[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert lines[1].startswith("[WARNING]\t")
    assert lines[1].endswith(f"\t{request_id}\ta warning")
    assert lines[2:5] == ["a line", "an error line", ""]
    assert lines[5] == f"END RequestId: {request_id}"
    for part in ("Duration: ", "Billed Duration: ", "Memory Size: 128 MB", "Max Memory Used: ", "Init Duration: "):
        assert f"\t{part}" in lines[6]
    assert [line for _, line in local.lines] == lines


async def test_only_a_cold_start_has_an_init_duration(serve):
    local = await serve("echo")
    tails = [(await local.invoke("echo", {}, LogType="Tail")).tail for _ in range(2)]
    assert ["Init Duration" in tail for tail in tails] == [True, False]


async def test_a_handler_that_leaves_a_thread_printing_holds_nobody_up(serve, spec, code):
    (code / "noisy.py").write_text(
        "import threading\n"
        "def shout():\n"
        "    while True: print('x' * 1000)\n"
        "def handler(event, context):\n"
        "    threading.Thread(target=shout, daemon=True).start()\n"
    )
    local = await serve(spec("noisy.handler"), "echo")
    assert (await local.invoke("noisy.handler")).error is None
    assert (await local.invoke("echo", 1)).body == 1


async def test_the_tail_is_four_kilobytes_at_most(serve):
    local = await serve("say")
    reply = await local.invoke("say", {"size": 10_000}, LogType="Tail")
    assert len(reply.tail) == 4096
    assert "REPORT RequestId" in reply.tail
