"""An account, as the commands and calls of somebody who deploys see it: on AWS, or in an emulator on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Account", "Failed", "until"]


class Failed(Exception):
    """Something is not as it should be; says what."""


def until(holds: Callable[[], Any], what: str, limit_s: float, every_s: float = 2.0) -> Any:
    """Wait for something, and return it.

    Raises:
        Failed: it did not come to pass in time.
    """
    deadline = time.monotonic() + limit_s
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {limit_s:g} s")
        time.sleep(every_s)


class Account:
    """One stack of ours in it.

    Args:
        folder: The app's.
        stack: The stack's name.
        sam: SAM's command.
        region: Where.
        endpoint_url: Of an emulator; empty for AWS.
        parameters: Of the template.
    """

    def __init__(
        self, folder: Path, stack: str, *, sam: str, region: str, endpoint_url: str, parameters: Sequence[str]
    ) -> None:
        self.folder, self.stack = folder, stack
        self.is_emulator = bool(endpoint_url)
        self._sam, self._parameters = sam, list(parameters)
        self._session = boto3.Session(region_name=region)
        self._endpoint = endpoint_url or None
        self._env = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "SAM_CLI_TELEMETRY": "0"}
        if endpoint_url:
            self._env["AWS_ENDPOINT_URL"] = endpoint_url

    def client(self, service: str) -> Any:
        """Return boto3's client of a service."""
        return self._session.client(service, endpoint_url=self._endpoint)

    def sam(self, *words: str, env: Mapping[str, str] | None = None) -> None:
        """Run a command of SAM in the app's folder; what it says is seen.

        Raises:
            Failed: it did.
        """
        command = [self._sam, *words]
        ended = subprocess.run(  # noqa: S603 - the commands of docs/deploy.md
            command, cwd=self.folder, env={**os.environ, **self._env, **(env or {})}, check=False
        )
        if ended.returncode:
            raise Failed(f"{' '.join(command[:2])} ended with {ended.returncode}")

    def deploy(self, wheels: Path) -> None:
        """Build and deploy, as a user does."""
        self.sam("build", env={"PIP_FIND_LINKS": str(wheels)})
        given = ["--parameter-overrides", *self._parameters] if self._parameters else []
        self.sam("deploy", "--no-confirm-changeset", "--no-progressbar", *given)

    def delete(self) -> None:
        """Take it all down."""
        self.sam("delete", "--no-prompts", "--stack-name", self.stack)

    def resources(self) -> dict[str, str]:
        """Return the names of what the stack has, by logical id; empty if there is no stack."""
        cloudformation = self.client("cloudformation")
        try:
            pages = list(cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.stack))
        except cloudformation.exceptions.ClientError:
            return {}
        every = (one for page in pages for one in page["StackResourceSummaries"])
        return {one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in every}

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}

    def enqueue(self, job: str, *each: Sequence[Any]) -> list[str]:
        """Enqueue jobs from inside, and return their ids."""
        event = json.dumps({"job": job, "each": each})
        reply = self.client("lambda").invoke(FunctionName=f"{self.stack}-producer:live", Payload=event)
        answer = json.loads(reply["Payload"].read())
        if reply.get("FunctionError"):
            raise Failed(f"the producer could not enqueue: {answer}")
        jids: list[str] = answer["jids"]
        return jids

    def log(self, what: str, since: float) -> list[str]:
        """Return the lines of a log group, worker, scheduler or poller, from an epoch second on."""
        pages = self.client("logs").get_paginator("filter_log_events")
        group = f"/sidelamb/{self.stack}/{what}"
        found = pages.paginate(logGroupName=group, startTime=int(since * 1000))
        return [event["message"] for page in found for event in page["events"]]
