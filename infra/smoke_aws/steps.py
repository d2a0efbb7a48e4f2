"""What is tried, each step a function named for what holds after it. They are carried out in this order."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from infra.smoke_aws.account import Account, Failed, until
from infra.smoke_aws.app import write_jobs
from sidelamb_handlers.prices import PRICES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["NOT_IN_AN_EMULATOR", "STEPS", "cost", "gone"]

JOBS = 100
LOGS_S = 180
"""CloudWatch shows a log line after some seconds."""
METRICS_S = 600
ALARM_S = 1200
"""An alarm looks at whole minutes, several of them."""


def the_stack_is_deployed(account: Account, wheels: Path) -> str:
    account.deploy(wheels)
    return ", ".join(f"{name}: {value}" for name, value in account.outputs().items())


def the_poller_runs_and_is_healthy(account: Account, _: Path) -> str:
    there = account.resources()
    name = there["PollerService"]
    names = {"cluster": there["PollerCluster"], "services": [name]}

    def steady() -> bool:
        (service,) = account.client("ecs").describe_services(**names)["services"]
        return bool(service["runningCount"] == service["desiredCount"] and len(service["deployments"]) == 1)

    until(steady, "the poller's service is steady", 600)
    until(lambda: account.log("poller", 0), "the poller has said something", LOGS_S)
    return name


def jobs_run_and_are_in_the_log(account: Account, _: Path) -> str:
    began = time.time()
    jids = account.enqueue("greet", *([f"job {n}"] for n in range(JOBS)))
    _in_the_log(account, jids, began)
    return f"{JOBS} jobs in {time.time() - began:.1f} s, as the log has them"


def a_failure_is_in_the_log(account: Account, _: Path) -> str:
    began = time.time()
    (jid,) = account.enqueue("fail", [])
    (line,) = _in_the_log(account, [jid], began)
    if "as it should" not in line:
        raise Failed(f"the line of the failed job does not say why: {line}")
    return line


def metrics_are_there(account: Account, _: Path) -> str:
    cloudwatch = account.client("cloudwatch")

    def processed() -> float:
        now = time.time()
        found = cloudwatch.get_metric_statistics(
            Namespace="Sidelamb",
            MetricName="Processed",
            Dimensions=[{"Name": "Stack", "Value": account.stack}],
            StartTime=now - 3600,
            EndTime=now,
            Period=3600,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in found["Datapoints"]))

    found = until(lambda: (n := processed()) >= JOBS and n, f"{JOBS} jobs in the metric Processed", METRICS_S)
    return f"Processed: {found:g}"


def an_alarm_sees_that_the_poller_is_gone_and_that_it_is_back(account: Account, _: Path) -> str:
    alarms = account.client("cloudwatch").describe_alarms(AlarmNamePrefix=account.stack)["MetricAlarms"]
    about = [alarm["AlarmName"] for alarm in alarms if "oller" in alarm["AlarmName"]]
    if not about:
        raise Failed(f"no alarm of {account.stack} is about the poller: {[a['AlarmName'] for a in alarms]}")
    name: str = about[0]
    _pollers(account, 0)
    until(lambda: _state(account, name) == "ALARM", f"alarm {name} goes off", ALARM_S, 10)
    _pollers(account, 1)
    until(lambda: _state(account, name) == "OK", f"alarm {name} is quiet again", ALARM_S, 10)
    return name


def a_new_version_runs_and_one_command_goes_back(account: Account, wheels: Path) -> str:
    there = account.client("lambda")
    name = f"{account.stack}-worker"
    before = there.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    write_jobs(account.folder, 2)
    account.deploy(wheels)
    after = there.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    _runs_version(account, 2)
    there.update_alias(FunctionName=name, Name="live", FunctionVersion=before)
    _runs_version(account, 1)
    return f"{name} went from {before} to {after} and back"


STEPS: list[Callable[[Account, Path], str]] = [
    the_stack_is_deployed,
    the_poller_runs_and_is_healthy,
    jobs_run_and_are_in_the_log,
    a_failure_is_in_the_log,
    metrics_are_there,
    an_alarm_sees_that_the_poller_is_gone_and_that_it_is_back,
    a_new_version_runs_and_one_command_goes_back,
]

NOT_IN_AN_EMULATOR: dict[Callable[[Account, Path], str], str] = {
    the_poller_runs_and_is_healthy: "it starts no container; who runs this starts the task's command beside it",
    metrics_are_there: "it makes no metrics out of log lines",
    an_alarm_sees_that_the_poller_is_gone_and_that_it_is_back: "as there are no metrics",
}


def gone(account: Account) -> str:
    """Take the stack down, and see that nothing of it is left.

    Raises:
        Failed: something is.
    """
    account.delete()
    logs, prefix = account.client("logs"), f"/sidelamb/{account.stack}/"
    for group in logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
        logs.delete_log_group(logGroupName=group["logGroupName"])  # a line that came late had made it again
    pages = account.client("lambda").get_paginator("list_functions").paginate()
    every = [one["FunctionName"] for page in pages for one in page["Functions"]]
    pages = account.client("lambda").get_paginator("list_layers").paginate()
    every += [one["LayerName"] for page in pages for one in page["Layers"]]
    left = [name for name in every if name.startswith(f"{account.stack}-")]
    if left or account.resources():
        raise Failed(f"of {account.stack} there is still: {', '.join(left) or 'the stack itself'}")
    return "no function, layer, log group or stack of that name"


def cost(hours: float, reports: list[str]) -> str:
    """Return what it cost, reckoned with the price table: what AWS will bill is seen a day later.

    Args:
        hours: From deploy to teardown.
        reports: Log lines of the functions, of which Lambda's REPORT lines say what was billed.
    """
    gb_s = 0.0
    for line in reports:
        billed = re.search(r"(?:Billed Duration: |billedDurationMs\":)([\d.]+)", line)
        memory = re.search(r"(?:Memory Size: |memorySizeMB\":)(\d+)", line)
        if billed and memory:
            gb_s += float(billed[1]) / 1000 * int(memory[1]) / 1024
    parts = {
        "Lambda": gb_s * PRICES.lambda_gb_s,
        "Fargate": hours * (0.25 * PRICES.fargate_vcpu_h + 0.5 * PRICES.fargate_gb_h),
        "an address": hours * PRICES.address_h,
        "two Redis nodes": hours * 2 * PRICES.redis_node_h,
    }
    each = ", ".join(f"{name} {usd:.4f}" for name, usd in parts.items())
    return f"about {sum(parts.values()):.3f} USD in {hours:.2f} h at prices of {PRICES.date}: {each}"


def _in_the_log(account: Account, jids: list[str], since: float) -> list[str]:
    """Wait until each job has its line, and return these."""

    def found() -> list[str]:
        lines = [line for line in account.log("worker", since - 5) if '"outcome"' in line]
        mine = [next((line for line in lines if jid in line), "") for jid in jids]
        return mine if all(mine) else []

    lines: list[str] = until(found, f"{len(jids)} jobs have a line in the log", LOGS_S)
    return lines


def _runs_version(account: Account, version: int) -> None:
    name = f"{time.time()}"
    account.enqueue("greet", [name])
    words = f"Hello, {name}, from version {version}!"
    until(lambda: any(words in line for line in account.log("worker", 0)), words, LOGS_S)


def _pollers(account: Account, count: int) -> None:
    there = account.resources()
    account.client("ecs").update_service(
        cluster=there["PollerCluster"], service=there["PollerService"], desiredCount=count
    )


def _state(account: Account, alarm: str) -> str:
    (found,) = account.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    state: str = found["StateValue"]
    return state
