"""The service as a process: its first line, its exit status, code reload, and what `kill -9` leaves (nothing)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

TEMPLATE = """
Resources:
  Count:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: count, CodeUri: code/, Handler: app.count}
  Spawn:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: spawn, CodeUri: code/, Handler: app.spawn}
"""


@pytest.fixture
def template(tmp_path, code):
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


@pytest.fixture
async def run(template, connect):
    """Start the command; returns the process and a way to invoke."""
    started = []

    async def start(*options):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "sidelamb_local.service", "--template", str(template), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        word, _, url = (await process.stdout.readline()).decode().strip().partition(" ")
        assert word == "ready"
        client = connect(url)
        started.append((process, client))

        async def invoke(name):
            response = await asyncio.to_thread(client.invoke, FunctionName=name)
            return json.loads(response["Payload"].read())

        return process, invoke

    yield start
    for process, client in started:
        client.close()
        if process.returncode is None:
            process.kill()
        await process.communicate()


def group_of_guards(pid):
    """The children of a process that are guards."""
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", "guard.py"], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_and_everything_it_started(run, gone, number):
    process, invoke = await run()
    pids = await invoke("spawn")
    process.send_signal(number)
    assert await process.wait() == 0
    assert await gone(pids["pid"])
    assert await gone(pids["child"])


async def test_nothing_is_left_after_kill_9(run, gone):
    process, invoke = await run()
    pids = await invoke("spawn")
    [guard] = group_of_guards(process.pid)
    process.kill()
    await process.wait()
    assert await gone(pids["pid"])
    assert await gone(pids["child"])
    assert await gone(guard)


async def test_nothing_is_left_after_kill_9_of_service_and_guard_but_grandchildren(run, gone):
    process, invoke = await run()
    pids = await invoke("spawn")
    [guard] = group_of_guards(process.pid)
    os.kill(guard, signal.SIGKILL)
    process.kill()
    await process.wait()
    assert await gone(pids["pid"])
    os.kill(pids["child"], signal.SIGKILL)


async def test_changed_code_and_a_changed_template_are_picked_up(run, code, template):
    _, invoke = await run()
    assert (await invoke("count"))["calls"] == 1
    (code / "app.py").write_text("def count(event, context): return {'calls': 'new code'}\n")
    await _answers(invoke, "count", {"calls": "new code"})
    (code / "other.py").write_text("def count(event, context): return {'calls': 'new template'}\n")
    template.write_text(TEMPLATE.replace("app.count", "other.count"))
    await _answers(invoke, "count", {"calls": "new template"})


async def test_a_template_broken_while_it_runs_is_reported_and_the_last_one_stays(run, template):
    process, invoke = await run("--log", str(template.parent / "functions.log"))
    assert (await invoke("count"))["calls"] == 1
    template.write_text("Resources: {")
    assert b"line 1 is not YAML" in await process.stderr.readline()
    assert (await invoke("count"))["calls"] == 2


async def test_the_log_file_names_the_function_on_each_line(run, template):
    _, invoke = await run("--log", str(template.parent / "functions.log"))
    await invoke("count")
    lines = (template.parent / "functions.log").read_text().splitlines()
    assert lines[0].startswith("count\tSTART RequestId: ")
    assert lines[-1].startswith("count\tREPORT RequestId: ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--template", "nowhere.yaml"], "nowhere.yaml"),
        (["--template", "{template}", "--port", "{taken}"], "cannot be used"),
        (["--template", "{template}", "--log", "/nowhere/at.all"], "/nowhere/at.all cannot be written"),
    ],
)
async def test_what_cannot_be_served_is_one_line_and_status_2(template, options, says):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        argv = [option.format(template=template, taken=taken.getsockname()[1]) for option in options]
        status, stdout, stderr = await finished(*argv)
    assert (status, stdout) == (2, b"")
    assert len(stderr.splitlines()) == 1
    assert says in stderr.decode()


async def finished(*argv):
    """Run the command to its end; returns its status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "sidelamb_local.service", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stdout, stderr = await process.communicate()
    return process.returncode, stdout, stderr


async def _answers(invoke, name, expected):
    async with asyncio.timeout(10):
        while await invoke(name) != expected:  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.05)
