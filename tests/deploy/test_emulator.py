"""The system deployed: two stacks of one app, whose jobs the deployed functions run, for pollers like the task's.

One of them has its Redis named by a secret. The commands are the user's (`sam build`, `sam deploy`); the poller is
the task's own command in a bare root folder, with no package index in reach, and no more rights than its role has.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import time

import httpx
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sidelamb import Client
from sidelamb.api import RetrySet, Stats
from sidelamb_local.errors import LocalStackError
from sidelamb_local.signing_proxy import FunctionUrl, SigningProxy
from tests.deploy import bare_root, by_secret, island
from tests.deploy.deployed import owner_env
from tests.deploy.emulator import REDIS_URL, REGION, emulator
from tests.web.stand import Served

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not island.possible(), reason="a network of one's own needs root"),
]


LATE_S = 5.0


def until(holds, *tasks, again=None):
    """Wait for something that nobody announces.

    What a sandbox writes later than some milliseconds before its answer, the emulator shows with what the same
    sandbox says next: `again` has it invoked once more.
    """
    deadline, late = time.monotonic() + 60, time.monotonic() + LATE_S
    while not holds():
        if again is not None and time.monotonic() > late:
            again()
            late = time.monotonic() + LATE_S
        told = "\n".join(task.said for task in tasks)
        assert time.monotonic() < deadline, f"it did not come to pass within a minute\n{told}"
        assert all(task.process.poll() is None for task in tasks), told
        time.sleep(0.3)


def test_two_stacks_run_their_jobs_and_never_meet(shop_app, tmp_path):
    roots = [tmp_path / "root", tmp_path / "other"]
    bare_root.make(roots[0], bare_root.python_of_the_runtime())
    shutil.copytree(roots[0], roots[1], symlinks=True, copy_function=os.link)
    with emulator(tmp_path) as aws:
        shop = shop_app.deploy(aws)
        mine, another = by_secret.secrets(aws)
        given = {"Namespace": "staging", "WebPage": "full", "RedisUrl": "", **mine}
        deploy = functools.partial(shop_app.deploy, aws, "--config-env", "staging", **given)
        staging = deploy()
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
            the_deployed_scheduler_promotes(staging, clients[1], second)
            a_failed_job_is_retried(shop, clients[0], first)
            the_health_check_sees_it(shop, roots[0])
            assert first.terminate() == 0
            assert '"message":"stopped"' in first.said
        its_role_may_do_no_more(shop, staging)
        the_page_opens_by_its_url_for_whom_its_policy_is_given(staging)
        by_secret.nothing_shows_the_url(staging)
        by_secret.only_its_own_secret_is_read(staging, mine["RedisSecret"], another)
        by_secret.only_the_worker_reads_the_keys(staging, mine["KeysSecret"])
        by_secret.a_parameter_reaches_the_alias(staging, deploy)


def no_name_is_in_both(shop, staging):
    more = {name for name in staging.resources if name.startswith("Web") or name in {"RedisAccess", "KeysAccess"}}
    assert len(more) == 7
    assert len(shop.resources) == len(staging.resources) - len(more) > 15
    assert not set(shop.resources.values()) & set(staging.resources.values())


def jobs_run_where_they_were_enqueued(shop, staging, clients, *tasks):
    jids = [{client.enqueue("jobs.greet", f"{n}") for n in range(20)} for client in clients]
    until(lambda: all(Stats(client=client).summary().processed == 20 for client in clients), *tasks)
    for stack, client, mine, others in ((shop, clients[0], *jids), (staging, clients[1], *reversed(jids))):
        until(lambda of=stack, all_of=mine: all_of <= said_of(of), *tasks, again=lambda of=client: greet(of))
        assert not said_of(stack) & others
        assert any("Hello, 19!" in line for line in stack.log("worker"))


def a_queue_of_its_own_goes_to_a_function_of_its_own(shop, client, *tasks):
    """Its job is in no other one's modules; what it says is where the stack's queries and `sidelamb logs` look."""
    jid = client.enqueue("cut", "film", queue="video")
    again = functools.partial(client.enqueue, "cut", "another", queue="video")
    until(lambda: any(jid in line and "succeeded" in line for line in shop.log("worker")), *tasks, again=again)
    assert any("cutting film" in line for line in shop.log("worker"))
    for option in (["--queue", "video"], ["--class", "cut"], ["--jid", jid]):
        said = logs(shop, *option)
        assert f"✓ cut  {jid}" in said
        assert "jobs.greet" not in said


def logs(stack, *options):
    """What `sidelamb logs` shows a person of a stack."""
    command = [sys.executable, "-m", "sidelamb_local.cli", "logs", "--stack", stack.name, *options]
    env = os.environ | owner_env(stack.aws.endpoint) | {"AWS_REGION": REGION}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True).stdout


def greet(client):
    """Have every sandbox that is warm run a job."""
    for _ in range(10):
        client.enqueue("jobs.greet", "again")


def said_of(stack):
    """The jobs that a stack's worker has a line about."""
    lines = [json.loads(line) for line in stack.log("worker") if line.startswith("{")]
    return {line["jid"] for line in lines if "outcome" in line}


def the_deployed_scheduler_promotes(shop, client, *tasks):
    jid = client.enqueue_in(1, "jobs.greet", "later")
    until(lambda: any(jid in line for line in shop.log("worker")), *tasks, again=lambda: greet(client))
    until(lambda: shop.log("scheduler"), *tasks)  # its pass may end after the job that it has promoted


def a_failed_job_is_retried(shop, client, *tasks):
    jid = client.enqueue("jobs.greet", "one", "too many")
    until(lambda: [entry.jid for entry in RetrySet(client=client)] == [jid], *tasks)
    (entry,) = RetrySet(client=client)
    assert entry.error_class == "TypeError"
    until(lambda: f"↻ jobs.greet  {jid}" in logs(shop, "--failed"), *tasks, again=lambda: greet(client))


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


def the_page_opens_by_its_url_for_whom_its_policy_is_given(stack):
    """The emulator asks IAM as AWS does, but its event has no word about who came: then nobody sees anything."""
    iam = stack.aws.client("iam")
    url = stack.outputs["WebUrl"]
    place = FunctionUrl(
        f"{stack.aws.endpoint}/_aws/lambda-url/{url.removeprefix('https://').split('.')[0]}", REGION
    )
    assert FunctionUrl.read(url).region == REGION
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    proxies = {}
    for name, policies in (("viewer", [stack.outputs["WebAccess"]]), ("stranger", [])):
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        for policy in policies:
            iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        keys = stack.aws.session(role)
        credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        proxies[name] = SigningProxy(place, credentials, profile="")
    proxies["viewer"].check()
    with pytest.raises(LocalStackError, match="may not open the page: they need lambda:InvokeFunctionUrl"):
        proxies["stranger"].check()
    with Served(proxies["viewer"].app) as here:
        said = httpx.get(f"{here}/queues")
    assert (said.status_code, said.text) == (403, "this page is not for you")
    page = page_for(stack, "arn:aws:iam::000000000000:user/anna")
    assert page["statusCode"] == 200
    assert "Pause default" in page["body"]


def page_for(stack, arn):
    """What the deployed function answers when AWS says who came."""
    event = {
        "version": "2.0",
        "rawPath": "/queues",
        "rawQueryString": "",
        "headers": {"host": "x", "x-forwarded-proto": "https"},
        "requestContext": {
            "authorizer": {"iam": {"userArn": arn}},
            "http": {"method": "GET", "path": "/queues", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
        },
        "isBase64Encoded": False,
    }
    name = stack.resources["WebFunction"]
    return json.loads(
        stack.aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))["Payload"].read()
    )
