"""The system deployed: two stacks of one app, whose jobs the deployed functions run, for pollers like the task's.

The commands are the user's (`sam build`, `sam deploy`); the poller is the task's own command in a bare root
folder, with no package index in reach, and no more rights than the task's role has.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import textwrap
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from sidelamb import Client
from sidelamb.api import RetrySet, Stats
from tests.deploy import bare_root, island
from tests.deploy.deployed import App, wheels
from tests.deploy.emulator import REDIS_URL, emulator

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not island.possible(), reason="a network of one's own needs root"),
]


DOCS = Path(__file__).parents[2] / "docs"
VIDEO_JOBS = """\
from sidelamb import job

@job(name="cut", queue="video")
def cut(what: str) -> None:
    print(f"cutting {what}")
"""


def shown(page, language, words):
    """The block of a page that has these words, for it to be true."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    (text,) = [block for block in blocks if words in block]
    return text


VIDEO = {
    "resources": shown("deploy.md", "yaml", "VideoFunction:"),
    "capsules": textwrap.indent(shown("poller.md", "toml", "[capsules.video]"), " " * 16),
    "functions of the poller": shown("poller.md", "yaml", "VideoFunction.Alias"),
}


def until(holds, *tasks):
    """Wait for something that nobody announces."""
    deadline = time.monotonic() + 60
    while not holds():
        told = "\n".join(task.said for task in tasks)
        assert time.monotonic() < deadline, f"it did not come to pass within a minute\n{told}"
        assert all(task.process.poll() is None for task in tasks), told
        time.sleep(0.1)


def test_two_stacks_run_their_jobs_and_never_meet(tmp_path):
    app = App(tmp_path / "shop", "shop", VIDEO, {"video/jobs.py": VIDEO_JOBS})
    app.build(wheels(tmp_path / "dist"))
    roots = [tmp_path / "root", tmp_path / "other"]
    for root in roots:
        bare_root.make(root, bare_root.python_of_the_runtime())
    with emulator(tmp_path) as aws:
        shop = app.deploy(aws)
        staging = app.deploy(aws, "--config-env", "staging", Namespace="staging")
        no_name_is_in_both(shop, staging)
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(shop.poller(roots[0], tmp_path / "shop.log"))
            second = stack.enter_context(staging.poller(roots[1], tmp_path / "staging.log"))
            clients = [
                stack.enter_context(contextlib.closing(Client(REDIS_URL, namespace=n))) for n in ("", "staging")
            ]
            jobs_run_where_they_were_enqueued(shop, staging, clients, first, second)
            a_queue_of_its_own_goes_to_a_function_of_its_own(shop, clients[0], first)
            the_deployed_scheduler_promotes(shop, clients[0], first)
            a_failed_job_is_retried(clients[0], first)
            the_health_check_sees_it(shop, roots[0])
            assert first.terminate() == 0
            assert '"message":"stopped"' in first.said
        its_role_may_do_no_more(shop, staging)


def no_name_is_in_both(shop, staging):
    assert len(shop.resources) == len(staging.resources) > 15
    assert not set(shop.resources.values()) & set(staging.resources.values())


def jobs_run_where_they_were_enqueued(shop, staging, clients, *tasks):
    jids = [{client.enqueue("jobs.greet", f"{n}") for n in range(20)} for client in clients]
    until(lambda: all(Stats(client=client).summary().processed == 20 for client in clients), *tasks)
    for stack, mine, others in ((shop, *jids), (staging, *reversed(jids))):
        until(lambda of=stack, all_of=mine: all_of <= said_of(of), *tasks)
        assert not said_of(stack) & others
        assert any("Hello, 19!" in line for line in stack.log("worker"))


def a_queue_of_its_own_goes_to_a_function_of_its_own(shop, client, *tasks):
    client.enqueue("cut", "film", queue="video")
    until(lambda: any("cutting film" in line for line in shop.log("/aws/lambda/shop-video")), *tasks)
    assert not any("cutting" in line for line in shop.log("worker"))


def said_of(stack):
    """The jobs that a stack's worker has a line about."""
    lines = [json.loads(line) for line in stack.log("worker") if line.startswith("{")]
    return {line["jid"] for line in lines if "outcome" in line}


def the_deployed_scheduler_promotes(shop, client, *tasks):
    jid = client.enqueue_in(1, "jobs.greet", "later")
    until(lambda: any(jid in line for line in shop.log("worker")), *tasks)
    assert shop.log("scheduler")


def a_failed_job_is_retried(client, *tasks):
    jid = client.enqueue("jobs.greet", "one", "too many")
    until(lambda: [entry.jid for entry in RetrySet(client=client)] == [jid], *tasks)
    (entry,) = RetrySet(client=client)
    assert entry.error_class == "TypeError"


def the_health_check_sees_it(stack, root):
    check = stack.health_check
    assert check[0] == "CMD"
    words = ["unshare", f"--root={root}", *check[1:]]

    def healthy():
        return subprocess.run(words, env=bare_root.IMAGE_ENV, capture_output=True, check=False).returncode == 0

    assert healthy()
    alive, now = root / "opt/sidelamb/alive", time.time()
    os.utime(alive, (now - 600, now - 600))
    assert not healthy()
    until(healthy)


def its_role_may_do_no_more(shop, staging):
    role = shop.task["taskRoleArn"]
    there = shop.aws.client("lambda", shop.aws.session(role))
    mine, scheduler = shop.outputs["WorkerFunction"], shop.outputs["SchedulerFunction"]
    assert there.invoke(FunctionName=scheduler, Payload=b'{"source":"test"}')["StatusCode"] == 200
    forbidden = [
        (there.invoke, {"FunctionName": staging.outputs["WorkerFunction"], "Payload": b"{}"}),
        (there.invoke, {"FunctionName": mine.removesuffix(":live"), "Payload": b"{}"}),
        (there.get_function, {"FunctionName": mine}),
        (there.update_function_configuration, {"FunctionName": mine.removesuffix(":live"), "Timeout": 900}),
    ]
    for call, arguments in forbidden:
        with pytest.raises(ClientError, match="AccessDenied"):
            call(**arguments)
