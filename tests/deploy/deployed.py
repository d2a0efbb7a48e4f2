"""An app as `sidelamb init` writes it, put into the emulator by the two real commands: sam build, sam deploy."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sidelamb_local.scaffold import files
from tests.deploy import bare_root
from tests.deploy.emulator import REDIS_URL, REGION, ROOT, Emulator
from tests.tools import installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# What the emulator does not know, and what stands for it. Everything else is the template as users have it.
UNKNOWN_RESOURCES = [
    "Type: AWS::Logs::QueryDefinition",
    "Type: AWS::CloudWatch::Alarm\n    Properties:(?:\n      .*)*\n      Metrics:",  # those that reckon
]
UNKNOWN = [
    # It runs functions on this machine; so does the bare root folder with the poller's bundle.
    ("arm64", "x86_64"),
    # It does not turn a parameter's text into a number here, as CloudFormation does.
    ("DesiredCount: !Ref PollerTasks", "DesiredCount: 1"),
    # In conditions it knows no Join, and takes a list for its text.
    ('!Equals [!Join ["", !Ref SubnetIds], ""]', '!Equals [!Ref SubnetIds, ""]'),
    ('!Equals [!Join ["", !Ref SecurityGroupIds], ""]', '!Equals [!Ref SecurityGroupIds, ""]'),
]
# It asks for this where AWS asks for lambda:GetLayerVersion on the version.
ASKED_INSTEAD = "lambda:ListLayers"


def sam_installed() -> Path:
    """Return SAM's command line."""
    return installed("sam", "aws-sam-cli>=1.140", "cfn-lint>=1.30") / "sam"


def wheels(folder: Path) -> Path:
    """Return the folder with the wheel: the one under test, or a fresh one."""
    if os.environ.get("SIDELAMB_TEST_WHEEL"):
        return Path(os.environ["SIDELAMB_TEST_WHEEL"]).parent / "dist"
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, "."]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def for_the_emulator(template: Path) -> None:
    """Change what the emulator does not know, and leave out what it has no idea of."""
    for unknown in UNKNOWN_RESOURCES:
        block = re.compile(rf"^  \w+:\n    {unknown}.*\n(?:(?:    .*)?\n)*", re.MULTILINE)
        text, count = block.subn("", template.read_text())
        assert count, f"the template has no {unknown} any more"
        template.write_text(text)
    for ours, theirs in UNKNOWN:
        assert ours in template.read_text(), f"{ours} is not in the template any more"
        template.write_text(template.read_text().replace(ours, theirs))


class App:
    """A folder with an app."""

    def __init__(self, folder: Path, name: str, sections: Mapping[str, str], more: Mapping[str, str]) -> None:
        """Write it.

        Args:
            folder: where.
            name: of its stack.
            sections: what its user has written into the template, by the titles of the sections.
            more: files of theirs, by path.
        """
        self.folder = folder
        self.name = name
        self._sam = sam_installed()
        written = files(name) | more
        for title, text in sections.items():
            mark = f"# --- yours: {title}\n"
            assert mark in written["template.yaml"]
            written["template.yaml"] = written["template.yaml"].replace(mark, mark + text)
        for path, text in written.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        for_the_emulator(folder / "template.yaml")

    @classmethod
    def there(cls, folder: Path, name: str) -> Self:
        """Return the app that was written into this folder."""
        found = cls.__new__(cls)
        found.folder, found.name, found._sam = folder, name, sam_installed()
        return found

    def build(self, dist: Path) -> None:
        """Run `sam build`; until a release is on the index, the wheel is found in `dist`."""
        path = f"{bare_root.python_of_the_runtime().parent}:{os.environ['PATH']}"
        self._run(
            "build",
            env={"PIP_FIND_LINKS": str(dist), "PATH": path, "PROCESSOR": "x86_64", "POLLER_PROCESSOR": "x86_64"},
        )

    def deploy(self, aws: Emulator, *words: str, **parameters: str) -> Stack:
        """Run `sam deploy`, and return what is there then. A parameter that is empty is left out."""
        given = [f"{name}={value}" for name, value in ({"RedisUrl": REDIS_URL} | parameters).items() if value]
        self._run(
            "deploy",
            "--no-confirm-changeset",
            *words,
            "--parameter-overrides",
            *given,
            env=owner_env(aws.endpoint),
        )
        name = (
            self.name if "--config-env" not in words else f"{self.name}-{words[words.index('--config-env') + 1]}"
        )
        return Stack(aws, name)

    def _run(self, *words: str, env: dict[str, str]) -> None:
        around = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": REGION}
        ended = subprocess.run(
            [self._sam, *words],
            cwd=self.folder,
            env=around | {"SAM_CLI_TELEMETRY": "0"} | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert ended.returncode == 0, f"sam {words}: {ended.stdout[-6000:]}{ended.stderr[-2000:]}"


def owner_env(endpoint: str) -> dict[str, str]:
    """Return the environment of a command that the account's owner runs."""
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class Stack:
    """What was deployed."""

    def __init__(self, aws: Emulator, name: str) -> None:
        self.aws = aws
        self.name = name
        cloudformation = aws.client("cloudformation")
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
        self.resources: dict[str, str] = {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for p in pages
            for one in p["StackResourceSummaries"]
        }
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        self.outputs: dict[str, str] = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        self.parameters: dict[str, str] = {
            one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]
        }
        self.task: dict[str, Any] = self._task()
        template = cloudformation.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
        container = template["Resources"]["PollerTask"]["Properties"]["ContainerDefinitions"][0]
        self.health_check: list[str] = container["HealthCheck"]["Command"]

    def _task(self) -> dict[str, Any]:
        ecs = self.aws.client("ecs")
        names = {"cluster": self.resources["PollerCluster"], "services": [self.resources["PollerService"]]}
        service = ecs.describe_services(**names)["services"][0]
        found: dict[str, Any] = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
        return found["taskDefinition"]

    @contextlib.contextmanager
    def poller(self, root: Path, log: Path) -> Iterator[bare_root.Contained]:
        """Run the task's container, as its definition says, in a root folder."""
        role, container = self.task["taskRoleArn"], self.task["containerDefinitions"][0]
        statement = {"Effect": "Allow", "Action": ASKED_INSTEAD, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        name = role.rpartition("/")[2]
        self.aws.client("iam").put_role_policy(RoleName=name, PolicyName="emulator", PolicyDocument=policy)
        env = {one["name"]: one["value"] for one in container["environment"]} | self._secrets()
        env |= self.aws.task_env(role)
        with bare_root.contained(root, container["command"], env, log) as running:
            yield running

    def _secrets(self) -> dict[str, str]:
        """Return what ECS reads out of secrets when it starts the task, with the rights of its execution role.

        Which they are is in the template: the emulator's task definition has forgotten their names.
        """
        arn = self.parameters.get("RedisSecret")
        if not arn:
            return {}
        there = self.aws.client("secretsmanager", self.aws.session(self.task["executionRoleArn"]))
        return {"SIDELAMB_REDIS_URL": there.get_secret_value(SecretId=arn)["SecretString"]}

    def log(self, group: str) -> list[str]:
        """Return the lines of a log group, none if nothing was said yet: worker, scheduler, or a name in full."""
        logs, group = self.aws.client("logs"), group if group[0] == "/" else f"/sidelamb/{self.name}/{group}"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return []
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]
