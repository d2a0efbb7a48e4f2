"""A stack whose Redis is named by a secret: its functions read it and no other. A parameter is a new version.

The emulator checks signatures and policies, so what the functions ask for is signed as AWS wants it, and allowed.
"""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.deploy.emulator import REDIS_URL


def secrets(aws):
    """Return the stack's parameters that name its secrets, and one that is none of its business."""
    there = aws.client("secretsmanager")
    mine = {
        "RedisSecret": there.create_secret(Name="shop/redis", SecretString=REDIS_URL)["ARN"],
        "KeysSecret": there.create_secret(Name="shop/keys", SecretString="k1:" + "A" * 43 + "=")["ARN"],
    }
    return mine, there.create_secret(Name="shop/other", SecretString="redis://elsewhere")["ARN"]


def nothing_shows_the_url(stack):
    functions = stack.aws.client("lambda")
    for part in ("worker", "scheduler"):
        said = functions.get_function_configuration(FunctionName=f"{stack.name}-{part}", Qualifier="live")
        assert REDIS_URL not in json.dumps(said, default=str)
        assert said["Environment"]["Variables"]["SIDELAMB_REDIS_URL"].startswith("arn:aws:secretsmanager:")
    (container,) = stack.task["containerDefinitions"]
    assert REDIS_URL not in json.dumps(container)
    assert "SIDELAMB_REDIS_URL" not in {one["name"] for one in container["environment"]}


def only_its_own_secret_is_read(stack, arn, other):
    iam = stack.aws.client("iam")
    for role, mine in (
        ("WorkerFunctionRole", True),
        ("SchedulerFunctionRole", True),
        ("PollerExecutionRole", True),
        ("PollerTaskRole", False),
    ):
        held = stack.aws.session(iam.get_role(RoleName=stack.resources[role])["Role"]["Arn"])
        there = stack.aws.client("secretsmanager", held)
        if mine:
            assert there.get_secret_value(SecretId=arn)["SecretString"] == REDIS_URL
        for asked in (other, *([] if mine else [arn])):
            with pytest.raises(ClientError, match="AccessDenied"):
                there.get_secret_value(SecretId=asked)


def only_the_worker_reads_the_keys(stack, keys):
    functions = stack.aws.client("lambda")
    worker = functions.get_function_configuration(FunctionName=f"{stack.name}-worker", Qualifier="live")
    assert worker["Environment"]["Variables"]["SIDELAMB_KEYS"] == keys
    iam = stack.aws.client("iam")
    for role in ("WorkerFunctionRole", "SchedulerFunctionRole", "PollerExecutionRole", "PollerTaskRole"):
        held = stack.aws.session(iam.get_role(RoleName=stack.resources[role])["Role"]["Arn"])
        there = stack.aws.client("secretsmanager", held)
        if role == "WorkerFunctionRole":
            assert there.get_secret_value(SecretId=keys)["SecretString"][:3] == "k1:"
        else:
            with pytest.raises(ClientError, match="AccessDenied"):
                there.get_secret_value(SecretId=keys)


def a_parameter_reaches_the_alias(stack, deploy):
    functions, name = stack.aws.client("lambda"), f"{stack.name}-worker"

    def live():
        alias = functions.get_alias(FunctionName=name, Name="live")
        said = functions.get_function_configuration(FunctionName=name, Qualifier="live")
        return alias["FunctionVersion"], said["Timeout"]

    first, timeout = live()
    assert timeout == 60
    deploy(WorkerTimeout="90")
    second, timeout = live()
    assert (timeout, second == first) == (90, False)
    old = functions.get_function_configuration(FunctionName=name, Qualifier=first)
    assert old["Timeout"] == 60, "what a rollback returns to is still there"
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=first)
    assert live() == (first, 60)
