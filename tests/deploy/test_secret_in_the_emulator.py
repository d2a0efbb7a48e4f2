"""A stack whose Redis is named by a secret: its functions read it and no other. A parameter is a new version.

The emulator checks signatures and policies, so what the functions ask for is signed as AWS wants it, and allowed.
"""

from __future__ import annotations

import contextlib
import json

import pytest
from botocore.exceptions import ClientError

from sidelamb import Client
from sidelamb.api import Stats
from tests.deploy import bare_root, island
from tests.deploy.emulator import REDIS_URL, emulator
from tests.deploy.test_emulator import until

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not island.possible(), reason="a network of one's own needs root"),
]


def test_the_functions_read_exactly_their_secret_and_follow_their_parameters(shop_app, tmp_path):
    with emulator(tmp_path) as aws:
        secrets = aws.client("secretsmanager")
        arn = secrets.create_secret(Name="shop/redis", SecretString=REDIS_URL)["ARN"]
        keys = secrets.create_secret(Name="shop/keys", SecretString="k1:" + "A" * 43 + "=")["ARN"]
        other = secrets.create_secret(Name="shop/other", SecretString="redis://elsewhere")["ARN"]
        shop = shop_app.deploy(aws, RedisUrl="", RedisSecret=arn, KeysSecret=keys)
        nothing_shows_the_url(shop)
        a_job_runs(shop, tmp_path)
        only_its_own_secret_is_read(shop, arn, other)
        only_the_worker_reads_the_keys(shop, keys)
        a_parameter_reaches_the_alias(shop_app, aws, arn)


def nothing_shows_the_url(shop):
    functions = shop.aws.client("lambda")
    for part in ("worker", "scheduler"):
        said = functions.get_function_configuration(FunctionName=f"shop-{part}", Qualifier="live")
        assert REDIS_URL not in json.dumps(said, default=str)
        assert said["Environment"]["Variables"]["SIDELAMB_REDIS_URL"].startswith("arn:aws:secretsmanager:")
    (container,) = shop.task["containerDefinitions"]
    assert REDIS_URL not in json.dumps(container)
    assert "SIDELAMB_REDIS_URL" not in {one["name"] for one in container["environment"]}


def a_job_runs(shop, folder):
    """Due later, so that poller, scheduler and worker have each found Redis, whose address only the secret has."""
    bare_root.make(folder / "root", bare_root.python_of_the_runtime())
    with (
        shop.poller(folder / "root", folder / "poller.log") as task,
        contextlib.closing(Client(REDIS_URL)) as client,
    ):
        jid = client.enqueue_in(1, "jobs.greet", "world")
        until(lambda: any(jid in line and "succeeded" in line for line in shop.log("worker")), task)
        assert Stats(client=client).summary().processed == 1


def only_its_own_secret_is_read(shop, arn, other):
    iam = shop.aws.client("iam")
    for role, mine in (
        ("WorkerFunctionRole", True),
        ("SchedulerFunctionRole", True),
        ("PollerExecutionRole", True),
        ("PollerTaskRole", False),
    ):
        held = shop.aws.session(iam.get_role(RoleName=shop.resources[role])["Role"]["Arn"])
        there = shop.aws.client("secretsmanager", held)
        if mine:
            assert there.get_secret_value(SecretId=arn)["SecretString"] == REDIS_URL
        for asked in (other, *([] if mine else [arn])):
            with pytest.raises(ClientError, match="AccessDenied"):
                there.get_secret_value(SecretId=asked)


def only_the_worker_reads_the_keys(shop, keys):
    worker = shop.aws.client("lambda").get_function_configuration(FunctionName="shop-worker", Qualifier="live")
    assert worker["Environment"]["Variables"]["SIDELAMB_KEYS"] == keys
    iam = shop.aws.client("iam")
    for role in ("WorkerFunctionRole", "SchedulerFunctionRole", "PollerExecutionRole", "PollerTaskRole"):
        held = shop.aws.session(iam.get_role(RoleName=shop.resources[role])["Role"]["Arn"])
        there = shop.aws.client("secretsmanager", held)
        if role == "WorkerFunctionRole":
            assert there.get_secret_value(SecretId=keys)["SecretString"][:3] == "k1:"
        else:
            with pytest.raises(ClientError, match="AccessDenied"):
                there.get_secret_value(SecretId=keys)


def a_parameter_reaches_the_alias(app, aws, arn):
    functions = aws.client("lambda")

    def live():
        alias = functions.get_alias(FunctionName="shop-worker", Name="live")
        said = functions.get_function_configuration(FunctionName="shop-worker", Qualifier="live")
        return alias["FunctionVersion"], said["Timeout"]

    first, timeout = live()
    assert timeout == 60
    app.deploy(aws, RedisUrl="", RedisSecret=arn, WorkerTimeout="90")
    second, timeout = live()
    assert (timeout, second == first) == (90, False)
    old = functions.get_function_configuration(FunctionName="shop-worker", Qualifier=first)
    assert old["Timeout"] == 60, "what a rollback returns to is still there"
    functions.update_alias(FunctionName="shop-worker", Name="live", FunctionVersion=first)
    assert live() == (first, 60)
